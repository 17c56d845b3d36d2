"""A tracker follows a real bus into a real store."""

from amends.v1 import saga_pb2
from tests.tracker.conftest import World
from tests.tracker.shop import Story


async def test_a_saga_of_which_nothing_is_expected_has_completed(world: World) -> None:
    await world.tell(Story().completed())
    saga = await world.get()
    assert saga.state == saga_pb2.Saga.COMPLETED
    assert saga.definition.name == "orders.place"
    assert [(run.step, saga_pb2.StepRun.State.Name(run.state)) for run in saga.steps] == [
        ("orders.place", "SUCCEEDED"),
        ("inventory.reserve", "SUCCEEDED"),
        ("payments.charge", "SUCCEEDED"),
        ("shipping.ship", "SUCCEEDED"),
    ]
    assert [run.cause.type for run in saga.steps] == ["", "OrderPlaced", "StockReserved", "PaymentTaken"]
    assert saga.traceparent.startswith("00-0af7651916cd43dd8448eb211c80319c")
