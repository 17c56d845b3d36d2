"""Steps that make their own input, and that know the type of their result."""

from dataclasses import dataclass
from typing import Any

import pytest
from google.protobuf.descriptor_pb2 import FileDescriptorSet
from google.protobuf.wrappers_pb2 import Int64Value, StringValue

from amends import Client, DeclaredAction, Definition, PayloadError, Saga, Step
from amends._payload import pack, unpack
from amends.v1 import saga_pb2
from tests.descriptors import acme
from tests.sdk.client.fake_coordinator import FakeCoordinator

CHARGE = DeclaredAction(participant="payments", name="charge", input_type=Int64Value, result_type=StringValue)


@dataclass
class Order:
    cents: int


ORDER = Definition[Order](
    "order",
    [
        Step("reserve", "inventory", "reserve"),
        CHARGE("pay", input=lambda order: Int64Value(value=order.cents)),
    ],
)


async def test_a_step_makes_its_input_from_that_of_the_saga(
    client: Client, coordinator: FakeCoordinator
) -> None:
    """The others take the saga's."""
    await client.start(ORDER, Order(cents=1300), saga_id="s")
    saga = coordinator.sagas["s"]
    assert unpack(saga.input, Order) == Order(cents=1300)
    assert {step: unpack(value, Int64Value).value for step, value in saga.step_inputs.items()} == {
        "pay": 1300
    }


async def test_an_input_that_is_given_comes_before_one_that_is_made(
    client: Client, coordinator: FakeCoordinator
) -> None:
    """What makes one is then not called."""
    await client.start(ORDER, saga_id="s", step_inputs={"pay": Int64Value(value=1)})
    assert unpack(coordinator.sagas["s"].step_inputs["pay"], Int64Value).value == 1


async def test_a_starter_makes_inputs_too(client: Client, coordinator: FakeCoordinator) -> None:
    """Its starts are those of the client."""
    async with client.starter() as starter:
        await starter.start(ORDER, Order(cents=7), saga_id="s")
    assert unpack(coordinator.sagas["s"].step_inputs["pay"], Int64Value).value == 7


def completed(result: object) -> Saga:
    run = saga_pb2.StepRun(step="pay", state=saga_pb2.StepRun.SUCCEEDED, result=pack(result))
    return Saga(saga_pb2.Saga(steps=[run]))


def test_a_step_stands_for_its_name_and_the_type_of_its_result() -> None:
    """So that neither is written twice."""
    assert completed(StringValue(value="r-1")).result(CHARGE("pay")).value == "r-1"


def test_a_result_of_another_type_is_told() -> None:
    """As where the type is named."""
    with pytest.raises(PayloadError, match=r"expected google\.protobuf\.StringValue"):
        completed(Int64Value(value=1)).result(CHARGE("pay"))


def test_the_result_of_a_step_without_a_type_is_whatever_json_says() -> None:
    """As where no type is named."""
    assert completed({"id": "r-1"}).result(Step("pay", "payments", "charge")) == {"id": "r-1"}


def described(result: Any, files: FileDescriptorSet) -> Saga:
    run = saga_pb2.StepRun(step="book", state=saga_pb2.StepRun.SUCCEEDED, result=pack(result))
    return Saga(saga_pb2.Saga(steps=[run], definition=saga_pb2.Definition(descriptors=files)))


def test_the_response_of_a_plain_method_is_json_where_the_saga_describes_it() -> None:
    """Nobody needs generated code to read it; who has some may say so."""
    booking = acme.message("acme.v1.Booking", id="b-1", price={"cents": 250})
    saga = described(booking, acme.files())
    assert saga.result("book") == {"id": "b-1", "price": {"cents": "250"}}
    assert saga.result(Step("book", "carrier", "book")) == {"id": "b-1", "price": {"cents": "250"}}
    assert saga.result("book", type(booking)) == booking


def test_json_stays_what_it_is_where_a_saga_describes_other_things() -> None:
    """Whole numbers are whole, as ever."""
    assert repr(described({"cents": 250}, acme.files()).result("book")) == "{'cents': 250}"


def test_what_descriptors_do_not_describe_has_to_be_named() -> None:
    """Nor what damaged ones would have described."""
    with pytest.raises(PayloadError):
        described(acme.message("acme.v1.Booking"), FileDescriptorSet(file=[acme.money_file()])).result("book")
    with pytest.raises(PayloadError):
        described(acme.message("acme.v1.Booking"), FileDescriptorSet(file=[acme.carrier_file()])).result(
            "book"
        )
