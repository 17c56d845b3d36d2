"""A small world around one saga: fenced participants, a network that loses and delays, an operator and a
coordinator that crash and interfere, all drawn from one random source. Used by the property tests."""

from collections import Counter
from dataclasses import dataclass, field
from random import Random

from amends_coordinator.core import facts as f
from amends_coordinator.core import machine, outcomes, stimuli
from amends_coordinator.core.checks import check
from amends_coordinator.core.definition import Definition, Kind, Retry, Step
from amends_coordinator.core.saga import Saga
from amends_coordinator.core.transitions import SagaState
from amends_coordinator.core.values import Direction, Payload, Refusal, Rejection, Resolution, microseconds
from tests.promises.effects import Effect, broken_promises
from tests.promises.log import Audit, check_state, rebuilt

BEGIN = 1_700_000_000.0


def random_definition(random: Random) -> Definition:
    """Draws a definition that passes the checks: some steps, perhaps a pivot that needs them all, perhaps
    retriable steps after it."""
    before = [f"b{number}" for number in range(random.randint(0, 5))]
    with_pivot = not before or random.random() < 0.5
    after = [f"a{number}" for number in range(random.randint(0, 3))] if with_pivot else []
    needs = {
        name: random.sample(before[:place], random.randint(0, place)) for place, name in enumerate(before)
    }
    kinds = dict.fromkeys(before, Kind.COMPENSATABLE)
    if with_pivot:
        needed = {name for names in needs.values() for name in names}
        needs["p"] = [name for name in before if name not in needed]
        kinds["p"] = Kind.PIVOT
    for place, name in enumerate(after):
        choice = ["p", *after[:place]]
        needs[name] = random.sample(choice, random.randint(1, len(choice)))
        kinds[name] = Kind.RETRIABLE
    names = random.sample(list(kinds), len(kinds))
    steps = tuple(_random_step(random, name, tuple(needs[name]), kinds[name]) for name in names)
    definition = Definition(name="world", steps=steps, timeout=random.choice([None, 5.0, 60.0]))
    assert check(definition) == []
    return definition


def _random_step(random: Random, name: str, needs: tuple[str, ...], kind: Kind) -> Step:
    retry = Retry(max_attempts=random.choice([1, 2, 5]), initial_backoff=1.0)
    effect_free = random.random() < 0.15
    return Step(
        name=name, participant="s", action=name, needs=needs, kind=kind, effect_free=effect_free, retry=retry
    )


@dataclass
class Fence:
    """What a participant does about one step, by the table of the fence."""

    state: str = ""
    applied: int = 0
    undone: int = 0

    def try_(self, rejects: bool) -> outcomes.Outcome:
        if not self.state:
            self.state = "REJECTED" if rejects else "TRIED"
            self.applied += not rejects
        if self.state == "TRIED":
            return outcomes.Succeeded(Payload("text", b"result"))
        return outcomes.Rejected(Rejection("NO" if self.state == "REJECTED" else "ALREADY_COMPENSATED"))

    def compensate(self) -> outcomes.Outcome:
        self.undone += self.state == "TRIED"
        if self.state != "REJECTED":
            self.state = "COMPENSATED"
        return outcomes.Compensated()


@dataclass
class World:
    """Runs one saga, and audits it after every decision."""

    random: Random
    definition: Definition
    now: float = BEGIN
    calm: bool = False  # once faults have stopped
    events: list[f.Event] = field(default_factory=list)
    in_flight: list[stimuli.Call] = field(default_factory=list)
    astray: list[stimuli.Call] = field(default_factory=list)  # given up, and may still land
    operated: set[str] = field(default_factory=set)  # steps for which an operator answers, not the fence

    def __post_init__(self) -> None:
        self.fences = {step.name: Fence() for step in self.definition.steps}
        self.rejects = {step.name: self.random.random() < 0.15 for step in self.definition.steps}
        self.audit = Audit(self.definition)
        deadline = None if self.definition.timeout is None else self.now + self.definition.timeout
        fact = f.SagaStarted(definition=self.definition, step_inputs={}, labels={}, deadline=deadline)
        self.saga: Saga
        self.saga, decision = machine.start("saga", fact, self.now)
        self._take(decision)

    def live(self, turns: int) -> None:
        """Lets so many things happen."""
        for _ in range(turns):
            chosen = self.random.choices(
                [
                    self._answer,
                    self._pass_time,
                    self._land,
                    self._crash,
                    self._cancel,
                    self._retry,
                    self._resolve,
                ],
                weights=[60, 20, 8, 4, 3, 3, 2],
            )[0]
            chosen()

    def calm_down(self) -> None:
        """Stops the faults and lets the saga come to its end, or to be parked."""
        self.calm = True
        for _ in range(40 * len(self.definition.steps)):
            if self.saga.state.ended or self.saga.state is SagaState.PARKED:
                break
            if self.in_flight:
                self._answer()
            else:
                when = self.saga.wake_time()
                assert when is not None, "P2: nothing in flight, nothing due, and not at its end"
                self.now = max(self.now, when)
                self._advance(stimuli.TimePassed())
        while self.astray:
            self._land()
        self._check_end()

    # What may happen

    def _answer(self) -> None:
        if not self.in_flight:
            return
        call = self.in_flight.pop(self.random.randrange(len(self.in_flight)))
        self._advance(stimuli.Replied(call.place, call.direction, call.attempt, self._outcome(call)))
        if self.random.random() < 0.1:  # a duplicate of the reply
            late = outcomes.Unknown(4, "late")
            self._advance(stimuli.Replied(call.place, call.direction, call.attempt, late), ignored=True)

    def _outcome(self, call: stimuli.Call) -> outcomes.Outcome:
        if self.calm:
            return self._deliver(call)
        fate = self.random.choice(["delivered"] * 4 + ["reply lost", "astray", "lost", "pending", "refused"])
        if fate == "pending":
            return outcomes.Pending(self.random.choice([0.0, 3.0]))
        if fate == "refused" and call.direction is Direction.BACKWARD:
            return outcomes.Refused(Refusal("NO"))
        if fate in ("delivered", "refused"):
            return self._deliver(call)
        if fate == "reply lost":
            self._deliver(call)
        elif fate == "astray":
            self.astray.append(call)
        return outcomes.Unknown(14, fate, self.random.choice([0.0, 20.0]))

    def _deliver(self, call: stimuli.Call) -> outcomes.Outcome:
        name = self.saga.step(call.place).name
        if call.direction is Direction.FORWARD:
            # A retriable step that is rejected parks the saga; once all is calm somebody has mended it.
            return self.fences[name].try_(self.rejects[name] and not self.calm)
        return self.fences[name].compensate()

    def _land(self) -> None:
        if self.astray:
            self._deliver(self.astray.pop(self.random.randrange(len(self.astray))))

    def _pass_time(self) -> None:
        until = microseconds(self.now + self.random.choice([0.5, 2.0, 10.0]))
        while (when := self.saga.wake_time()) is not None and when <= until:
            self.now = max(self.now, when)
            self._advance(stimuli.TimePassed())
        self.now = until

    def _crash(self) -> None:
        # What was in flight may have landed, may still land, or never will.
        for call in self.in_flight:
            fate = self.random.randrange(3)
            if fate == 0:
                self._deliver(call)
            elif fate == 1:
                self.astray.append(call)
        self.in_flight.clear()
        self.saga = rebuilt(self.saga, self.events)
        self._advance(stimuli.Recovered())

    def _cancel(self) -> None:
        self._advance(stimuli.CancelWished("no more"))

    def _retry(self) -> None:
        self._advance(stimuli.RetryWished("now"))

    def _resolve(self) -> None:
        place = self.random.randrange(len(self.saga.runs))
        resolution = self.random.choice(list(Resolution))
        count = len(self.events)
        self._advance(stimuli.ResolveWished(place, resolution, "looked"))
        if len(self.events) > count:
            self.operated.add(self.saga.step(place).name)

    # Carrying it out

    def _advance(self, stimulus: stimuli.Stimulus, *, ignored: bool = False) -> None:
        before = self.saga.sequence
        try:
            decision = machine.advance(self.saga, stimulus, self.now, self.random.random())
        except stimuli.WishRefusedError:
            assert self.saga.sequence == before, "a refused wish changes nothing"
            return
        assert not (ignored and (decision.facts or decision.calls)), "a duplicate changes nothing"
        self._take(decision)

    def _take(self, decision: stimuli.Decision) -> None:
        self.audit.read(decision.facts)
        for fact in decision.facts:
            self.events.append(f.Event(len(self.events) + 1, self.now, fact))
        for call in decision.calls:
            self.audit.permit(call)
            self.in_flight.append(call)
        check_state(self.saga, self.events)
        assert len(self.in_flight) == sum(run.in_flight for run in self.saga.runs)
        assert max(Counter(call.place for call in self.in_flight).values(), default=0) <= 1

    def _check_end(self) -> None:
        saga = self.saga
        if saga.state is SagaState.PARKED:
            assert saga.needs_attention, "P2: parked, and nobody is told"
            return
        assert saga.state.ended, "P2: neither at its end nor parked, though faults have stopped"
        effects = {name: Effect(fence.applied, fence.undone) for name, fence in self.fences.items()}
        assert list(broken_promises(saga, effects, self.operated)) == []
