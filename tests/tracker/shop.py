"""A shop that is choreographed: what its services announce, and their events, made by hand."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from google.protobuf import any_pb2, struct_pb2

from amends._bus.interface import Bus, Message
from amends._choreography.cloudevent import CloudEvent
from amends.v1 import choreography_pb2 as pb
from amends.v1 import saga_pb2

NOW = 1_790_000_000.0
ENDED = pb.StepEnded.DESCRIPTOR.full_name
DEAD = pb.DeadLetter.DESCRIPTOR.full_name
REPLAYED = pb.DeadLetterReplayed.DESCRIPTOR.full_name
DISCARDED = pb.DeadLetterDiscarded.DESCRIPTOR.full_name


def reaction(
    step: str,
    on: str,
    emits: str,
    fails_as: str = "",
    kind: saga_pb2.Step.Kind.ValueType = saga_pb2.Step.COMPENSATABLE,
    **undone: str,
) -> pb.ReactionDescription:
    """A reaction; `undone` says by which event it is compensated, and what it emits then."""
    return pb.ReactionDescription(
        step=step,
        on=on,
        emits=[emits],
        fails_as=fails_as,
        kind=kind,
        compensations=[
            pb.CompensationDescription(on=event_type, emits=[told]) for event_type, told in undone.items()
        ],
    )


SERVICES: Mapping[str, bytes] = {
    name: pb.ServiceDescription(service=name, reactions=reactions).SerializeToString()
    for name, reactions in {
        "orders": [
            reaction(
                "place", "", "OrderPlaced", PaymentFailed="OrderCancelled", ShipmentFailed="OrderCancelled"
            )
        ],
        "inventory": [
            reaction(
                "reserve",
                "OrderPlaced",
                "StockReserved",
                PaymentFailed="StockReleased",
                ShipmentFailed="StockReleased",
            )
        ],
        "payments": [
            reaction(
                "charge", "StockReserved", "PaymentTaken", "PaymentFailed", ShipmentFailed="PaymentReturned"
            )
        ],
        "shipping": [reaction("ship", "PaymentTaken", "ShipmentBooked", "ShipmentFailed")],
    }.items()
}
"""orders.place, then inventory.reserve, payments.charge and shipping.ship, each after the one before."""


@dataclass
class Story:
    """The events of one saga, in order. Each is caused by the one before, unless told otherwise."""

    saga_id: str = "order-1"
    events: list[CloudEvent] = field(default_factory=list)

    def tell(
        self, event_type: str, step: str = "", outcome: str = "succeeded", *, source: str = "", **more: object
    ) -> CloudEvent:
        """Adds an event: "inventory.reserve" is the step "reserve" of the service "inventory"."""
        service, _, name = step.partition(".")
        values: dict[str, object] = {
            "id": f"{self.saga_id}-{len(self.events) + 1}",
            "source": source or service,
            "type": event_type,
            "saga_id": self.saga_id,
            "payload": any_pb2.Any(),
            "time": NOW + len(self.events),
            "cause": self.events[-1].reference if self.events else "",
            "step": name,
            "outcome": outcome if name else "",
            "traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
        }
        self.events.append(CloudEvent(**{**values, **more}))  # type: ignore[arg-type]
        return self.events[-1]

    def completed(self) -> "Story":
        """All four services did their part."""
        self.tell("OrderPlaced", "orders.place")
        self.tell("StockReserved", "inventory.reserve")
        self.tell("PaymentTaken", "payments.charge")
        self.tell("ShipmentBooked", "shipping.ship")
        return self

    def compensated(self) -> "Story":
        """The payment failed, and the two services that had acted undid that."""
        self.tell("OrderPlaced", "orders.place")
        self.tell("StockReserved", "inventory.reserve")
        failed = self.tell("PaymentFailed", "payments.charge", "rejected").reference
        self.tell("StockReleased", "inventory.reserve", "compensated", cause=failed)
        self.tell("OrderCancelled", "orders.place", "compensated", cause=failed)
        return self

    def dead(self, event: CloudEvent, consumer: str, step: str, reason: str = "HANDLER_FAILED") -> CloudEvent:
        """A consumer could not deal with an event."""
        message = event.to_message()
        letter = pb.DeadLetter(
            consumer=consumer,
            event_id=event.reference,
            subject=message.subject,
            headers=message.headers,
            data=message.data,
            reason=reason,
            message="the bank said no",
            attempts=5,
            step=step,
        )
        letter.time.FromSeconds(int(event.time))
        return self.tell(DEAD, source=consumer, payload=any_pb2.Any(value=letter.SerializeToString()))

    def replayed(self, event: CloudEvent, consumer: str) -> None:
        """An operator had the event sent again."""
        again = self.tell(
            event.type, source=event.source, replay_of=f"{consumer}/{event.reference}", payload=event.payload
        )
        note = pb.DeadLetterReplayed(
            consumer=consumer, event_id=event.reference, replay_id=again.reference
        ).SerializeToString()
        self.tell(REPLAYED, source="amends", payload=any_pb2.Any(value=note))

    def discarded(self, event: CloudEvent, consumer: str) -> None:
        """An operator had the consumer deal with the event no more."""
        said = pb.DeadLetterDiscarded(
            consumer=consumer, event_id=event.reference, reason="it came twice"
        ).SerializeToString()
        self.tell(DISCARDED, source="amends", payload=any_pb2.Any(value=said))

    def messages(self, first: int = 0) -> list[Message]:
        """What a bus carries, from an event on."""
        return [event.to_message() for event in self.events[first:]]


def some_payload() -> any_pb2.Any:
    """A payload that JSON can show."""
    value = struct_pb2.Struct()
    value.update({"item": "tea"})
    payload = any_pb2.Any()
    payload.Pack(value)
    return payload


async def announce(bus: Bus, services: Mapping[str, bytes] = SERVICES) -> None:
    """Has services announce themselves."""
    for name, description in services.items():
        await bus.announce(name, description)
