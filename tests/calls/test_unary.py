"""What is special about unary calls: replies that are broken, and rich errors."""

from typing import Any

from google.rpc.code_pb2 import Code

from amends_coordinator.core.outcomes import Unknown
from amends_coordinator.core.values import Direction
from tests.calls.fake_participant import Connect, Request, Serve


async def test_bytes_that_are_no_message_leave_the_outcome_unknown(serve: Serve, connect: Connect) -> None:
    """A participant gone mad is asked again; nothing crashes, and the log says why."""
    server = await serve("unary")

    async def garbage(_request: Request) -> Any:
        return b"\xff\xff\xff"

    server.answer = garbage
    rig = connect(server)
    for direction, name in [(Direction.FORWARD, "TryResponse"), (Direction.BACKWARD, "CompensateResponse")]:
        outcome = await rig.call(direction=direction)
        assert outcome == Unknown(Code.DATA_LOSS, f"the participant answered with bytes that are no {name}")
    assert rig.participant.in_flight == 0
