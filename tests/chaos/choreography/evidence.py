"""What a round left, beside what the checks of the promises read: read when every service has ended."""

from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass

from google.protobuf.struct_pb2 import Struct

from amends import SagaState
from amends._bus.interface import Message
from amends._bus.opening import bus_at
from amends.v1 import choreography_pb2, participant_pb2
from tests.chaos import notebook
from tests.chaos.choreography.caretaker import Dead
from tests.chaos.choreography.shapes import DESK, SERVICES, SHAPES, entry_of
from tests.chaos.choreography.stage import Stage
from tests.chaos.notebook import Note
from tests.chaos.plan import CUSTOMERS
from tests.promises.choreography import Part, read_parts, violations_of
from tests.promises.ledgers import rows


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """Everything that is compared."""

    parts: Mapping[str, Mapping[str, Part]]
    """What each service wrote down, by service and by saga."""
    contents: Mapping[str, int]
    """Which content each saga has begun with; those whose entry said no are left out."""
    messages: Sequence[Message]
    """Everything on the bus, in its order."""
    families: Mapping[str, frozenset[str]]
    """The subjects that each service has asked for."""
    outboxes: Mapping[str, Sequence[tuple[str, str]]]
    """Saga and event of every row of each service's outbox, in its order."""
    dead: Sequence[Dead]
    """What was dead before an operator came."""
    shown: Mapping[str, SagaState]
    """The sagas that the tracker shows as ended, and how."""
    notes: Sequence[Note]
    """Of all customers, each one's in order."""
    broken: Sequence[str]
    """What the checks of the promises have found."""


async def gather(stage: Stage, dead: Sequence[Dead], shown: Mapping[str, SagaState]) -> Evidence:
    """Reads everything. The bus has to be there; nobody else may be.

    Raises:
        BusUnavailableError: the bus is away.
    """
    stores = {name: stage.store(name) for name in SERVICES}
    async with AsyncExitStack() as stack:
        bus = bus_at(stage.bus_url())
        stack.push_async_callback(bus.close)
        await bus.open()
        return Evidence(
            parts={name: read_parts(path) for name, path in stores.items()},
            contents=_contents(stage),
            messages=[message async for page in bus.read(0, follow=False) for _, message in page],
            families={name: _families(data) for name, data in (await bus.announced()).items()},
            outboxes={
                name: rows(path, "SELECT saga_id, event_id FROM amends_outbox ORDER BY number")
                for name, path in stores.items()
            },
            dead=dead,
            shown=shown,
            notes=[note for name in CUSTOMERS for note in notebook.read(stage.notebook(name))],
            broken=await violations_of(bus, stores),
        )


def _contents(stage: Stage) -> dict[str, int]:
    entries = {entry_of(shape) for shape in SHAPES.values()}
    found = {}
    for saga, step, state, answer in rows(
        stage.store(DESK), "SELECT saga_id, step, state, answer FROM amends_fence"
    ):
        if step in entries and state in ("TRIED", "COMPENSATED"):
            record = choreography_pb2.ReactionRecord()
            participant_pb2.TryResponse.FromString(answer).succeeded.result.Unpack(record)
            order = Struct.FromString(record.event.value)
            found[saga] = int(order.fields["content"].number_value)
    return found


def _families(announced: bytes) -> frozenset[str]:
    described = choreography_pb2.ServiceDescription.FromString(announced)
    names = [reaction.on for reaction in described.reactions]
    names += [each.on for reaction in described.reactions for each in reaction.compensations]
    return frozenset(name.replace(".v1.", ".") for name in names if name)
