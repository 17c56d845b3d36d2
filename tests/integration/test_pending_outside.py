"""A payment provider that takes its time, and then says no: the usual way of a card that is declined."""

from amends import Context, Definition, Kind, Participant, Pending, Rejected, SagaState, Step
from amends_coordinator.testing import LocalCoordinator


async def test_what_is_pending_and_then_rejected_by_its_participant_is_over() -> None:
    """The saga turns back from an external pivot that cannot be undone, and needs nobody to look at it."""
    held: set[str] = set()
    asked: list[str] = []
    payments = Participant("payments", store="memory:")

    @payments.action
    async def hold(amount: int, ctx: Context) -> None:
        held.add(ctx.saga_id)

    @hold.compensate
    async def let_go(amount: int, _held: None, ctx: Context) -> None:
        held.discard(ctx.saga_id)

    @payments.action(external=True)
    async def capture(amount: int, ctx: Context) -> None:
        asked.append(ctx.idempotency_key)
        if len(asked) == 1:
            raise Pending(retry_after=1.0)
        raise Rejected("DECLINED", "the bank says no")

    order = Definition(
        "order",
        [Step("hold", "payments", "hold"), Step("capture", "payments", "capture", kind=Kind.PIVOT)],
    )
    async with LocalCoordinator(payments) as coordinator:
        saga = await coordinator.run(order, 5)
        assert saga.state is SagaState.COMPENSATED
    assert held == set()
