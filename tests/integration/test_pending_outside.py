"""A payment provider that is still at work when it is asked again: what it may yet do is undone (P3)."""

from amends import Context, Definition, Participant, Pending, Rejected, SagaState, Step
from amends_coordinator.testing import LocalCoordinator


class Provider:
    """Takes a charge in, and has not decided it yet; asked again, it has mislaid it, and says no."""

    def __init__(self) -> None:
        self.asked = 0
        self.charges: set[str] = set()

    def charge(self, key: str) -> None:
        self.asked += 1
        if self.asked == 1:
            self.charges.add(key)  # it will be settled tonight, whatever anybody hears until then
            raise Pending(retry_after=1.0)
        raise Rejected("NO_SUCH_CHARGE", "never heard of it")


async def test_what_was_pending_is_undone_though_it_is_rejected_later() -> None:
    """An external step that was pending and is then rejected is compensated, as its fence expects."""
    provider = Provider()
    payments = Participant("payments", store="memory:")

    @payments.action(external=True)
    async def charge(amount: int, ctx: Context) -> None:
        provider.charge(ctx.idempotency_key)

    @charge.compensate
    async def refund(amount: int, _charge: None, ctx: Context) -> None:
        provider.charges.discard(ctx.idempotency_key)

    order = Definition("order", [Step("charge", "payments", "charge")])
    async with LocalCoordinator(payments) as coordinator:
        saga = await coordinator.run(order, 5)
        assert saga.state is SagaState.COMPENSATED
    assert provider.charges == set()
