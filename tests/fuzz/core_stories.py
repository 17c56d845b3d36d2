"""Stories of one saga, told by Hypothesis: whatever can happen to it may happen next.

Every turn is a command of `tests.core.core_story`, which audits the saga after each one. What fails is told
in such commands: the shortest list that still fails, ready to become a file in tests/core/scenarios.

Each step has a fence at its participant, and the operator keeps his word: what he states of a step is true of
it from then on. So nobody's effects are excused.
"""

from collections.abc import Callable
from copy import deepcopy
from dataclasses import dataclass, field

from hypothesis import note
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

from amends_coordinator.core import stimuli
from amends_coordinator.core.transitions import SagaState, StepState
from amends_coordinator.core.values import Direction
from tests.core.core_story import WORDS, Story
from tests.promises.effects import Effect, broken_promises
from tests.promises.log import Audit, rebuilt

PLACES = st.integers(0, 7)
"""Chooses one of several; beyond the last it begins again."""

FATES = ["reply lost", "lost", "astray", "pending", "declined", "status"]
WILLING = {Direction.FORWARD: "succeeded", Direction.BACKWARD: "compensated"}
"""What a participant answers that does whatever it is asked."""

TURNS_MAX = 2_000
"""In which a saga must come to its end once all is calm: a bound for a mistake, far above what any takes."""


@st.composite
def plots(draw: st.DrawFn) -> list[str]:
    """The opening of a story: steps that pass the checks of a definition, and perhaps a timeout."""
    before = [f"b{number}" for number in range(draw(st.integers(0, 4)))]
    pivot = not before or draw(st.booleans())
    after = [f"a{number}" for number in range(draw(st.integers(0, 2)))] if pivot else []
    needs = {name: draw(_some(before[:place])) for place, name in enumerate(before)}
    kinds = dict.fromkeys(before, "compensatable") | dict.fromkeys(after, "retriable")
    if pivot:
        needed = {name for names in needs.values() for name in names}
        needs["p"] = [name for name in before if name not in needed]
        kinds["p"] = "pivot"
    for place, name in enumerate(after):
        needs[name] = draw(_some(["p", *after[:place]])) or ["p"]
    lines = [f"step {name} kind={kinds[name]} needs={','.join(needs[name])}" for name in kinds]
    ends = [" effect_free", "", " max_attempts=1", " max_attempts=2"]
    plot = [line + draw(st.sampled_from(ends)) for line in draw(st.permutations(lines))]
    return [*plot, *draw(st.sampled_from([[], [], ["timeout 20s"]])), "start"]


def _some(names: list[str]) -> st.SearchStrategy[list[str]]:
    return st.lists(st.sampled_from(names), unique=True) if names else st.just([])


@dataclass
class Fence:
    """What a participant has done about one step, and says when it is called."""

    state: str = ""
    effect: Effect = field(default_factory=Effect)

    def try_(self, *, declines: bool = False) -> str:
        """A Try arrives."""
        if not self.state:
            self.settle("REJECTED" if declines else "TRIED")
        return "succeeded" if self.state == "TRIED" else f"rejected {self.state}"

    def compensate(self) -> str:
        """A Compensate arrives."""
        if self.state != "REJECTED":
            self.settle("COMPENSATED")
        return "compensated"

    def settle(self, state: str) -> None:
        """Makes it so, whoever did it."""
        self.effect.applied += state == "TRIED" != self.state
        self.effect.undone += self.state == "TRIED" != state
        self.state = state


class CoreStories(RuleBasedStateMachine):
    """A saga, its participants, a network, an operator and a coordinator that may crash."""

    def __init__(self) -> None:
        super().__init__()
        self.story = Story()
        self.fences: dict[str, Fence] = {}
        self.astray: list[stimuli.Call] = []  # given up by the network, and may still arrive

    @initialize(plot=plots())
    def begin(self, plot: list[str]) -> None:
        for command in plot:
            self.tell(command)
        self.fences = {step.name: Fence() for step in self.story.saga.definition.steps}

    # What may happen

    @precondition(lambda self: calls_of(self.story))
    @rule(which=PLACES)
    def deliver(self, which: int) -> None:
        """A call in flight arrives, and so does its answer."""
        call = self.chosen(which)
        self.reply(call, self.arrive(call))

    @precondition(lambda self: calls_of(self.story))
    @rule(which=PLACES, fate=st.sampled_from(FATES), wait=st.sampled_from(["0s", "20s"]))
    def fail(self, which: int, fate: str, wait: str) -> None:
        """A call in flight comes to something else."""
        call = self.chosen(which)
        self.reply(call, self.suffer(call, fate, wait))

    @precondition(lambda self: self.astray)
    @rule(which=PLACES)
    def land(self, which: int) -> None:
        """A call arrives that everybody has given up."""
        self.arrive(self.astray.pop(which % len(self.astray)))

    @precondition(lambda self: any(run.state is not StepState.WAITING for run in self.story.saga.runs))
    @rule(which=PLACES, direction=st.sampled_from(Direction), attempt=st.integers(1, 3))
    def hear_what_nobody_awaits(self, which: int, direction: Direction, attempt: int) -> None:
        """A reply arrives late, or twice; it changes nothing."""
        place = which % len(self.story.saga.runs)
        call = stimuli.Call(place, direction, attempt)
        if call not in calls_of(self.story):
            name = self.story.saga.step(place).name
            self.story.calls.setdefault(name, call)
            heard = self.tell(f"reply {name} unknown INTERNAL to {WORDS[direction]} {attempt}")
            assert heard[0] == "nothing happens"

    @rule(span=st.sampled_from(["+0.5s", "+2s", "+10s"]))
    def pass_time(self, span: str) -> None:
        self.tell(f"time {span}")

    @rule(
        span=st.sampled_from(["+0s", "+3s", "+30s"]), fate=st.sampled_from(["lost", "reply lost", "astray"])
    )
    def crash(self, span: str, fate: str) -> None:
        """The coordinator is gone for a while; its calls in flight have arrived, or will, or never do."""
        for call in calls_of(self.story):
            self.suffer(call, fate)
        self.tell(f"crash {span}")

    @rule(which=PLACES, wish=st.sampled_from(["retry", "cancel", "succeeded", "no_effect", "compensated"]))
    def operate(self, which: int, wish: str) -> None:
        """An operator wants something, or states what is true of a step, and makes it so."""
        if wish in ("retry", "cancel"):
            self.wish(wish)
            return
        name = self.story.saga.step(which % len(self.story.saga.runs)).name
        if self.wish(f"resolve {name} as {wish}"):
            self.fences[name].settle("TRIED" if wish == "succeeded" else "COMPENSATED")

    # And in the end

    def teardown(self) -> None:
        """Faults stop: wherever the saga is, it can end, and its effects agree with its end."""
        if not self.fences:
            return
        for operator in (_retry, _resolve):
            other = resumed(self.story)
            come_to_an_end(other, other.run, lambda call: WILLING[call.direction], operator)
        while self.astray:
            self.land(0)
        # A fence repeats a rejection for ever, so this operator does not retry.
        come_to_an_end(self.story, self.tell, self.arrive, self.resolve_stuck)
        effects = {name: fence.effect for name, fence in self.fences.items()}
        assert list(broken_promises(self.story.saga, effects)) == []

    def resolve_stuck(self, story: Story) -> None:
        self.operate(*stuck(story))

    # Carrying it out

    def tell(self, command: str) -> list[str]:
        """Takes a turn of the story, which is shown if it fails."""
        note(command)
        return self.story.run(command)

    def wish(self, command: str) -> bool:
        """Asks for something; tells whether it was granted. A wish that is refused leaves no trace."""
        before, count = deepcopy(self.story.saga), len(self.story.events)
        refused = self.tell(command)[0].startswith("refused")
        assert not refused or (self.story.saga, len(self.story.events)) == (before, count)
        return not refused

    def chosen(self, which: int) -> stimuli.Call:
        calls = calls_of(self.story)
        return calls[which % len(calls)]

    def reply(self, call: stimuli.Call, outcome: str) -> None:
        self.tell(f"reply {self.story.saga.step(call.place).name} {outcome}")

    def arrive(self, call: stimuli.Call, *, declines: bool = False) -> str:
        """A call arrives at its participant; tells the answer."""
        fence = self.fences[self.story.saga.step(call.place).name]
        return fence.try_(declines=declines) if call.direction is Direction.FORWARD else fence.compensate()

    def suffer(self, call: stimuli.Call, fate: str, wait: str = "0s") -> str:
        """Something else becomes of a call; tells what the coordinator hears of it."""
        forward = call.direction is Direction.FORWARD
        if fate == "declined":
            return self.arrive(call, declines=True) if forward else "refused NO"
        if fate == "status":
            return "status UNAUTHENTICATED" if forward else "refused UNAUTHENTICATED"
        if fate == "pending":
            return f"pending {wait}"
        if fate == "reply lost":
            self.arrive(call)
        elif fate == "astray":
            self.astray.append(call)
        return f"unknown UNAVAILABLE retry_after={wait}"


def calls_of(story: Story) -> list[stimuli.Call]:
    """The calls in flight."""
    runs = story.saga.runs
    return [
        stimuli.Call(place, run.direction, run.attempt)
        for place, run in enumerate(runs)
        if run.in_flight and run.direction is not None
    ]


def resumed(story: Story) -> Story:
    """The same story, to be gone on with elsewhere after a restart."""
    other = Story(now=story.now, events=list(story.events))
    other.saga = rebuilt(story.saga, story.events)
    other.audit = Audit(other.saga.definition)
    other.audit.read(event.fact for event in other.events)
    other.run("crash")
    return other


def come_to_an_end(
    story: Story,
    tell: Callable[[str], list[str]],
    answer: Callable[[stimuli.Call], str],
    operator: Callable[[Story], None],
) -> None:
    """Goes on with a saga, now that every call arrives and an operator helps where it is parked."""
    for _ in range(TURNS_MAX):
        if story.saga.state.ended:
            return
        if story.saga.state is SagaState.PARKED:
            assert story.saga.needs_attention, "P2: parked, and nobody is told"
            operator(story)
        elif calls := calls_of(story):
            tell(f"reply {story.saga.step(calls[0].place).name} {answer(calls[0])}")
        else:
            when = story.saga.wake_time()
            assert when is not None, "P2: nothing in flight, nothing due, and not at its end"
            tell(f"time +{max(when - story.now, 0.0)}s")
    raise AssertionError("P2: all is calm, and the saga does not end")


def stuck(story: Story) -> tuple[int, str]:
    """The place of a step for which a saga is parked, and how an operator may resolve it."""
    if story.saga.turn_back is None:
        states, resolution = (StepState.REJECTED, StepState.UNKNOWN), "succeeded"
    else:
        states, resolution = (StepState.REFUSED,), "compensated"
    return next(place for place, run in enumerate(story.saga.runs) if run.state in states), resolution


def _retry(story: Story) -> None:
    story.run("retry")


def _resolve(story: Story) -> None:
    place, resolution = stuck(story)
    story.run(f"resolve {story.saga.step(place).name} as {resolution}")
