"""Sagas that earlier versions left behind: today's coordinator shows them as they were, and finishes them."""

from pathlib import Path

import pytest

from amends_coordinator.contract.facts import decode_event
from amends_coordinator.core import facts as f
from amends_coordinator.core.saga import Saga
from amends_coordinator.core.stimuli import ResolveWished, RetryWished, Stimulus
from amends_coordinator.core.transitions import SagaState, StepState
from amends_coordinator.core.values import Cause, Direction, Resolution
from tests.promises.log import Audit
from tests.recorded.files import Shown, read_saga, restore, restored
from tests.recorded.record import show
from tests.recorded.stories import DAY
from tests.recorded.world import World, world

HERE = Path(__file__).parent
VERSIONS = sorted(file.parent for file in HERE.glob("*/store.sql"))
SAGAS = sorted(HERE.glob("*/sagas/*.txt"))

of_every_version = pytest.mark.parametrize("folder", VERSIONS, ids=lambda folder: folder.name)


def recorded(folder: Path) -> dict[str, Shown]:
    """What was recorded of each saga of a version."""
    return {file.stem: read_saga(file) for file in SAGAS if file.parent.parent == folder}


# That nothing is missing


def test_every_kind_of_fact_is_recorded() -> None:
    """A fact that is added to the core is added to the recordings."""
    assert {type(event.fact) for event in _events()} == set(f.Fact.__args__)


def test_every_state_is_recorded() -> None:
    """Of sagas as of steps, as clients see them."""
    shown = [read_saga(file).saga for file in SAGAS]
    assert {SagaState(saga.state) for saga in shown} == set(SagaState)
    assert {StepState(run.state) for saga in shown for run in saga.steps} == set(StepState)


def test_every_choice_within_a_fact_is_recorded() -> None:
    """Why a saga turned back, what an operator stated, which way an attempt went."""
    facts = [event.fact for event in _events()]
    assert {fact.turn_back.cause for fact in facts if isinstance(fact, f.CompensationStarted)} == set(Cause)
    assert {fact.resolution for fact in facts if isinstance(fact, f.StepResolved)} == set(Resolution)
    assert {fact.direction for fact in facts if isinstance(fact, f.AttemptFailed)} == set(Direction)
    assert {fact.direction for fact in facts if isinstance(fact, f.AttemptPending)} == set(Direction)


def test_everything_that_a_saga_can_carry_is_recorded() -> None:
    """Every field of its first event is set in one of them."""
    started = [event.fact for event in _events() if isinstance(event.fact, f.SagaStarted)]
    for name in f.SagaStarted.__dataclass_fields__:
        assert any(getattr(fact, name) for fact in started), name


def _events() -> list[f.Event]:
    return [
        decode_event(file.stem, event.sequence, event.SerializeToString())
        for file in SAGAS
        for event in read_saga(file).events
    ]


# What today's code makes of them


@of_every_version
async def test_sagas_are_shown_as_they_were(folder: Path) -> None:
    """Field by field, event by event, and in lists."""
    async with restored(folder / "store.sql") as store:
        for saga_id, (saga, events) in recorded(folder).items():
            assert await show(store, saga_id) == (saga, events)
            row = await store.get_row(saga_id)
            assert row is not None
            assert (row.state, row.needs_attention) == (saga.state, saga.needs_attention)
            assert (row.definition_name, row.labels) == (saga.definition.name, dict(saga.labels))


@of_every_version
async def test_registered_definitions_are_found(folder: Path) -> None:
    """Every version of them; the newest is the one that its saga was started with."""
    async with restored(folder / "store.sql") as store:
        for newest, _ in await store.list_definitions("", 100):
            for version in range(1, newest.version + 1):
                found = await store.get_definition(newest.name, version)
                assert found is not None
                assert found[0].version == version
            saga = recorded(folder)[newest.name.removeprefix("of-")].saga
            assert saga.definition.version == newest.version


@pytest.mark.parametrize(("later", "operator"), [(DAY, "retries"), (400 * DAY, "resolves")])
@of_every_version
async def test_unfinished_sagas_are_finished(
    folder: Path, tmp_path: Path, later: float, operator: str
) -> None:
    """A day later, or when every deadline has passed: each ends, the parked ones with an operator's help, and
    its log keeps every promise from its first event to its last."""
    restore(folder / "store.sql", tmp_path / "amends.db")
    sagas = recorded(folder)
    last = max(event.time.ToMicroseconds() for shown in sagas.values() for event in shown.events) / 1e6
    async with world(tmp_path / "amends.db", lambda: last + later) as running:
        await running.keeper.recovered.wait()
        for saga_id, shown in sagas.items():
            saga = await finish(running, saga_id, operator)
            log = await running.store.read_log(saga_id)
            Audit(saga.definition).read(event.fact for event in log)
            assert len(log) >= len(shown.events)
            assert saga.state is (SagaState.COMPENSATED if saga.turn_back else SagaState.COMPLETED)


async def finish(running: World, saga_id: str, operator: str) -> Saga:
    """Waits for the end of a saga, and helps where it is parked."""
    while not (await running.wait_for_rest(saga_id)).ended:
        saga = await running.runtime.read(saga_id)
        assert saga.state is SagaState.PARKED
        await running.wish(saga_id, RetryWished("try again") if operator == "retries" else _resolution(saga))
    return await running.runtime.read(saga_id)


def _resolution(saga: Saga) -> Stimulus:
    back = saga.turn_back is not None
    stuck = {StepState.REFUSED} if back else {StepState.REJECTED, StepState.UNKNOWN}
    place = next(place for place, run in enumerate(saga.runs) if run.state in stuck)
    return ResolveWished(place, Resolution.COMPENSATED if back else Resolution.SUCCEEDED, "by hand")
