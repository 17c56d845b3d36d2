"""For tests of your own: a participant called as a coordinator would, a service given events as a bus would.

::

    async def test_charge_is_fenced() -> None:
        async with ParticipantTester(payments) as tester:
            await tester.assert_fenced("charge", Order(account="ada", amount=12))
"""

from amends.testing._event_tester import EventTester, Told
from amends.testing._outcomes import CompensateOutcome, TryOutcome
from amends.testing._tester import ParticipantTester

__all__ = ["CompensateOutcome", "EventTester", "ParticipantTester", "Told", "TryOutcome"]
