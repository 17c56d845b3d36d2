"""Stories of one saga: commands, and below each the trace that it leaves.

A story is a text file. A line that begins with '#' is a comment, one that is indented belongs to the trace of
the command above it, and every other line is a command:

    step NAME [needs=A,B] [needs=] [kind=pivot] [max_attempts=3] [backoff=2s] [timeout=5s] [effect_free]
    timeout 30s                 the saga's timeout
    start
    reply STEP OUTCOME          to the latest call of the step; '... to Try 1' for an earlier one
    time +3s                    the clock moves, and the saga is woken whenever it asked to be
    crash [+3s]                 the saga is rebuilt from its log, after so much time
    cancel [REASON] | retry [REASON]
    resolve STEP as succeeded [RESULT] | no_effect | compensated

Outcomes: succeeded [RESULT], rejected REASON, status REASON (a rejection by status), pending [2s],
unknown CODE [retry_after=5s], compensated, refused REASON. A wait between attempts is always half of its
bound; wake times are told in seconds from the start. `new story` begins another one in the same file. After
every command the whole saga is audited.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass, field

from google.rpc.code_pb2 import Code

from amends_coordinator.core import facts as f
from amends_coordinator.core import machine, outcomes, stimuli
from amends_coordinator.core.checks import check
from amends_coordinator.core.definition import Definition, Kind, Retry, Step
from amends_coordinator.core.values import Direction, Payload, Refusal, Rejection, Resolution, microseconds
from tests.promises.log import Audit, check_state, rebuilt

BEGIN = 1_700_000_000.0
"""The moment at which every story starts."""

DIRECTIONS = {"Try": Direction.FORWARD, "Compensate": Direction.BACKWARD}
WORDS = {direction: word for word, direction in DIRECTIONS.items()}


def seconds(text: str) -> float:
    """Reads '2s' or '+2s'."""
    return float(text.removeprefix("+").removesuffix("s"))


@dataclass
class Story:
    """Carries a story's commands out, one by one."""

    steps: list[Step] = field(default_factory=list)
    timeout: float | None = None
    now: float = BEGIN
    events: list[f.Event] = field(default_factory=list)
    calls: dict[str, stimuli.Call] = field(default_factory=dict)  # the latest call of each step
    trace: list[str] = field(default_factory=list)

    def run(self, command: str) -> list[str]:
        """Carries one command out and returns its trace."""
        self.trace = []
        word, *rest = command.split()
        _COMMANDS[word](self, rest)
        return self.trace

    @property
    def state(self) -> str:
        """Names where the saga is now."""
        return self.saga.state.name

    # Telling the story

    def step(self, words: list[str]) -> None:
        options = dict(word.partition("=")[::2] for word in words[1:])
        previous = (self.steps[-1].name,) if self.steps else ()
        needs: tuple[str, ...] = previous
        if "needs" in options:
            needs = tuple(name for name in options["needs"].split(",") if name)
        backoff = seconds(options.get("backoff", "2s"))
        retry = Retry(
            max_attempts=int(options.get("max_attempts", 20)),
            initial_backoff=backoff,
            max_backoff=max(10.0, backoff),
        )
        self.steps.append(
            Step(
                name=words[0],
                participant="service",
                action=words[0],
                needs=needs,
                kind=Kind[options.get("kind", "compensatable").upper()],
                effect_free="effect_free" in options,
                timeout=seconds(options.get("timeout", "10s")),
                retry=retry,
            )
        )

    def set_timeout(self, words: list[str]) -> None:
        self.timeout = seconds(words[0])

    def start(self, _words: list[str]) -> None:
        definition = Definition(name="story", steps=tuple(self.steps), timeout=self.timeout)
        assert check(definition) == []
        deadline = None if self.timeout is None else self.now + self.timeout
        fact = f.SagaStarted(definition=definition, step_inputs={}, labels={}, deadline=deadline)
        self.audit = Audit(definition)
        self.saga, decision = machine.start("saga", fact, self.now)
        self._take(decision)
        self._show()

    def reply(self, words: list[str]) -> None:
        call = self.calls.get(words[0])
        if "to" in words:
            *words, _, direction, attempt = words
            place = self.saga.definition.position[words[0]]
            call = stimuli.Call(place, DIRECTIONS[direction], int(attempt))
        assert call is not None, f"{words[0]} was never called"
        outcome = read_outcome(words[1], words[2:])
        self._advance(stimuli.Replied(call.place, call.direction, call.attempt, outcome))
        self._show()

    def time(self, words: list[str]) -> None:
        until = microseconds(self.now + seconds(words[0]))
        while (when := self.saga.wake_time()) is not None and when <= until:
            self.now = max(self.now, when)
            self.trace.append(f"at {self._clock(self.now)}")
            self._advance(stimuli.TimePassed())
        self.now = until
        self._show()

    def crash(self, words: list[str]) -> None:
        self.now = microseconds(self.now + seconds(words[0] if words else "0s"))
        self.saga = rebuilt(self.saga, self.events)
        self.calls.clear()
        self._advance(stimuli.Recovered())
        self._show()

    def cancel(self, words: list[str]) -> None:
        self._advance(stimuli.CancelWished(" ".join(words)))
        self._show()

    def retry(self, words: list[str]) -> None:
        self._advance(stimuli.RetryWished(" ".join(words)))
        self._show()

    def resolve(self, words: list[str]) -> None:
        name, _, resolution, *result = words
        place = self.saga.definition.position[name]
        payload = Payload("text", result[0].encode()) if result else None
        self._advance(
            stimuli.ResolveWished(place, Resolution[resolution.upper()], "the operator looked", payload)
        )
        self._show()

    # Carrying it out

    def _advance(self, stimulus: stimuli.Stimulus) -> None:
        before = len(self.trace)
        try:
            self._take(machine.advance(self.saga, stimulus, self.now, 0.5))
        except stimuli.WishRefusedError as error:
            self.trace.append(f"refused {error.reason}: {error}")
        if len(self.trace) == before:
            self.trace.append("nothing happens")

    def _take(self, decision: stimuli.Decision) -> None:
        self.audit.read(decision.facts)
        for fact in decision.facts:
            self.events.append(f.Event(len(self.events) + 1, self.now, fact))
            self.trace.append(f"fact {self._fact(fact)}")
        for call in decision.calls:
            self.audit.permit(call)
            name = self.saga.step(call.place).name
            self.calls[name] = call
            self.trace.append(f"call {name} {WORDS[call.direction]} {call.attempt}")
        for place in decision.withdrawals:
            self.trace.append(f"withdraw {self.saga.step(place).name}")
        check_state(self.saga, self.events)

    def _show(self) -> None:
        saga = self.saga
        runs = (
            f"{saga.step(place).name} {run.state.name}{'*' if run.in_flight else ''}"
            for place, run in enumerate(saga.runs)
        )
        self.trace.append(f"{saga.state.name}: {', '.join(runs)}")
        if saga.needs_attention:
            self.trace.append(f"attention: {saga.needs_attention}")
        when = saga.wake_time()
        if when is not None:
            self.trace.append(f"wakes at {self._clock(when)}")

    def _clock(self, moment: float) -> str:
        return f"{round(moment - BEGIN, 3):g}s"

    def _fact(self, fact: f.Fact) -> str:
        """Tells a fact in one line, without what the story told already."""
        words = [type(fact).__name__]
        match fact:
            case f.StepSucceeded(step, attempt) | f.StepCompensated(step, attempt):
                words += [step, str(attempt)]
            case f.StepRejected(step, attempt, why) | f.CompensationRefused(step, attempt, why):
                words += [step, str(attempt), why.reason]
            case f.AttemptFailed(step, direction, attempt, code, _, again):
                words += [step, WORDS[direction], str(attempt), Code.Name(code)]
                words += ["final"] if again is None else ["again", self._clock(again)]
            case f.AttemptPending(step, direction, attempt, again):
                words += [step, WORDS[direction], str(attempt), "again", self._clock(again)]
            case f.StepGivenUp(step):
                words += [step]
            case f.CompensationStarted(turn):
                words += [turn.cause.name, *filter(None, [turn.step]), turn.reason]
            case f.StepResolved(step, resolution):
                words += [step, resolution.name]
            case f.AttentionNeeded(step):
                words += [step]
        return " ".join(words)


def read_outcome(word: str, rest: list[str]) -> outcomes.Outcome:
    """Reads what an attempt came to."""
    options = dict(text.partition("=")[::2] for text in rest if "=" in text)
    first = next((text for text in rest if "=" not in text), "")
    if word == "succeeded":
        return outcomes.Succeeded(Payload("text", first.encode()) if first else None)
    if word == "rejected":
        return outcomes.Rejected(Rejection(first, "says the service"))
    if word == "status":
        return outcomes.Rejected(Rejection(first, "says a status"), stated=False)
    if word == "pending":
        return outcomes.Pending(seconds(first) if first else 0.0)
    if word == "unknown":
        return outcomes.Unknown(Code.Value(first), first, seconds(options.get("retry_after", "0s")))
    if word == "refused":
        return outcomes.Refused(Refusal(first, "says the service"))
    assert word == "compensated", f"{word} is no outcome"
    return outcomes.Compensated()


_COMMANDS: dict[str, Callable[[Story, list[str]], None]] = {
    "step": Story.step,
    "timeout": Story.set_timeout,
    "start": Story.start,
    "reply": Story.reply,
    "time": Story.time,
    "crash": Story.crash,
    "cancel": Story.cancel,
    "retry": Story.retry,
    "resolve": Story.resolve,
}


def retell(text: str) -> str:
    """Runs a story and returns it with the traces that its commands left."""
    told: list[str] = []
    story = Story()
    for line in text.splitlines():
        if re.match(r"\s+\S", line):
            continue
        told.append(line)
        if line and not line.startswith("#"):
            if line == "new story":
                story = Story()
            else:
                told += [f"  {each}" for each in story.run(line)]
    return "\n".join(told) + "\n"
