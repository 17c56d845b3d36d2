"""Live sagas: what happens to them goes to the machine, and what the machine decides is carried out."""

import logging
import random
from collections.abc import Callable, Iterable, Mapping

from google.rpc.code_pb2 import Code

from amends_coordinator.calls.attempt import Attempt
from amends_coordinator.calls.caller import Caller
from amends_coordinator.calls.spans import outcome_name
from amends_coordinator.core import machine, stimuli
from amends_coordinator.core.facts import SagaStarted
from amends_coordinator.core.fold import BrokenLogError, rebuild
from amends_coordinator.core.outcomes import Outcome, Unknown
from amends_coordinator.core.saga import Saga
from amends_coordinator.core.stimuli import Decision, Stimulus, WishRefusedError
from amends_coordinator.core.transitions import SagaState
from amends_coordinator.runtime.absent import Absent
from amends_coordinator.runtime.errors import (
    AlreadyExistsError,
    ExistsInStoreError,
    LostError,
    NotAllowedError,
    NotFoundError,
    RequestError,
    UnavailableError,
    store_unavailable,
)
from amends_coordinator.runtime.journal import Journal
from amends_coordinator.runtime.live import Live, Turn, Waiter, saga_fields
from amends_coordinator.runtime.metrics import Metrics
from amends_coordinator.runtime.room import check_room
from amends_coordinator.runtime.sameness import difference
from amends_coordinator.runtime.weight import weigh
from amends_coordinator.store.interface import Append, ConflictError, SagaRow, Store, StoreError
from amends_coordinator.timers import Timers

log = logging.getLogger(__name__)


class Runtime:
    """Drives sagas. Feeds them to the machine, the journal and the participants, and nothing else does."""

    def __init__(
        self,
        store: Store,
        participants: Mapping[str, Caller],
        timers: Timers,
        metrics: Metrics,
        *,
        max_live_sagas: int,
        chance: Callable[[], float] = random.random,
    ) -> None:
        """Makes a runtime; ``journal.run()`` must be running for anything to happen.

        Args:
            store: the durable log.
            participants: by the names that definitions use.
            timers: the clock.
            metrics: what is counted.
            max_live_sagas: sagas in memory at most; recovered ones are let in beyond it.
            chance: draws from [0, 1), for the jitter of retries.
        """
        self.store = store
        self.participants = participants
        self.timers = timers
        self.metrics = metrics
        self.journal = Journal(store, metrics.committed)
        self.accepting = True
        self.recovered = False  # whether every unfinished saga has been in memory since the start
        self._max_live = max_live_sagas
        self._chance = chance
        self._live: dict[str, Live] = {}
        self.absent = Absent()
        self.on_idle: Callable[[Live], None] = lambda live: None

    def __len__(self) -> int:
        return len(self._live)

    @property
    def full(self) -> bool:
        """Whether there is room for no other saga."""
        return len(self._live) >= self._max_live

    def live(self, saga_id: str) -> Live | None:
        """Finds a saga in memory."""
        return self._live.get(saga_id)

    def lives(self) -> Iterable[Live]:
        """All sagas in memory."""
        return self._live.values()

    # Requests

    def start(self, saga_id: str, fact: SagaStarted, waiter: Waiter) -> None:
        """Accepts a saga, or joins the one that has this id and the same content (P10).

        The waiter is told when the saga is durable, or of its end if that is what it waits for. The
        definition and its participants must have been checked.

        Raises:
            AlreadyExistsError: the id is that of a live saga with other content.
            OverloadedError: there is no room.
            UnavailableError: the coordinator is stopping.
        """
        live = self._live.get(saga_id)
        if live is not None:
            self._join(live, fact, waiter)
            return
        if not self.accepting:
            raise UnavailableError("COORDINATOR_STOPPING", "the coordinator is stopping; try again")
        check_room(len(self._live), self._max_live, self.participants, fact.definition)
        now = self.timers.now()
        saga, decision = machine.start(saga_id, fact, now)
        live = self._live[saga_id] = Live(saga)
        if waiter.until_end:
            live.waiters.append(waiter)
        self._take_turn(live, decision, now, keep=False, waiter=waiter)

    async def join_stored(self, saga_id: str, fact: SagaStarted, waiter: Waiter) -> None:
        """Joins a saga of the store, once a start turned out to repeat its id."""
        live, saga = await self.load(saga_id)
        if live is not None:
            self._join(live, fact, waiter)
            return
        other = difference(saga, fact)
        if other:
            raise AlreadyExistsError(saga_id, other)
        waiter.told(saga)

    def _join(self, live: Live, fact: SagaStarted, waiter: Waiter) -> None:
        if not live.durable_sequence:
            # The store may hold another saga of this id: which start is the odd one is not known yet.
            def again(_answer: object) -> None:
                self._start_again(live.saga.id, fact, waiter)

            def failed(error: Exception) -> None:
                # What the store holds has to be read. To start once more would put another saga in its place,
                # for which whoever reads it by then would have to wait: that could go on for ever.
                if live.id_taken:
                    waiter.failed(ExistsInStoreError(live.saga.id))
                else:
                    again(error)

            self.when_durable(live, Waiter(told=again, failed=failed))
            return
        other = difference(live.saga, fact)
        if other:
            raise AlreadyExistsError(live.saga.id, other)
        if waiter.until_end:
            self.when_ended(live, waiter)
        else:
            self.when_durable(live, waiter)

    def _start_again(self, saga_id: str, fact: SagaStarted, waiter: Waiter) -> None:
        try:
            self.start(saga_id, fact, waiter)
        except RequestError as error:
            waiter.failed(error)

    async def load(self, saga_id: str) -> tuple[Live | None, Saga]:
        """Finds a saga in memory, or reads it from the store, into memory if it is unfinished.

        Raises:
            NotFoundError: there is no such saga.
            StoreUnavailableError: the store cannot be read.
        """
        live = self._live.get(saga_id)
        if live is not None:
            return live, live.saga
        with self.absent.departures() as departed:
            saga = await self.read(saga_id)
        if saga.state.ended:
            self.absent.doubt_no_more(saga_id)
            return None, saga
        if saga_id in departed:
            return await self.load(saga_id)
        # Somebody else may have loaded it while we read.
        live = self._live.get(saga_id) or self.adopt(saga, self._why_stored(saga))
        return live, live.saga

    def _why_stored(self, saga: Saga) -> Stimulus:
        """What to tell an unfinished saga that was not in memory: that it slept, or that we did."""
        return stimuli.TimePassed() if self.recovered and saga.waits() else stimuli.Recovered()

    async def read(self, saga_id: str) -> Saga:
        """Rebuilds a saga from the store, as it is on disk. Raises as ``load`` does."""
        events = await self.store.read_log(saga_id)
        if not events:
            raise NotFoundError("SAGA_NOT_FOUND", f"there is no saga {saga_id!r}, or none any more")
        return rebuild(saga_id, events)

    def adopt(self, saga: Saga, stimulus: Stimulus) -> Live:
        """Takes a saga that was read from the store into memory, and goes on with it.

        Raises:
            BrokenLogError: its log can be read, and still makes no sense to the machine.
        """
        assert saga.id not in self._live, "a saga has one live object"
        self.absent.doubt_no_more(saga.id)
        live = self._live[saga.id] = Live(saga, durable_sequence=saga.sequence)
        live.row = (saga.state, saga.needs_attention)
        try:
            self.feed(live, stimulus)
        except (AssertionError, LookupError) as error:
            self._leave(live)
            raise BrokenLogError(f"saga {saga.id}: its log contradicts itself: {error!r}") from error
        return live

    def wish(self, live: Live, stimulus: Stimulus, waiter: Waiter) -> None:
        """Feeds a client's or an operator's wish to a saga; the waiter is told once it is durable.

        Raises:
            NotAllowedError: the saga's state does not permit it; nothing has changed.
            UnavailableError: the store cannot be written at the moment; nothing has changed.
        """
        if self.journal.trouble is not None:
            raise store_unavailable(self.journal.trouble)
        try:
            self.feed(live, stimulus, waiter)
        except WishRefusedError as error:
            raise NotAllowedError(error.reason, str(error)) from error

    def consider(self, saga: Saga, stimulus: Stimulus) -> None:
        """Says what a wish means for a saga that has ended: it is granted already, or NotAllowedError."""
        try:
            decision = machine.advance(saga, stimulus, self.timers.now(), 0.0)
        except WishRefusedError as error:
            raise NotAllowedError(error.reason, str(error)) from error
        assert not decision.facts, "nothing happens to a saga that has ended"

    def when_durable(self, live: Live, waiter: Waiter) -> None:
        """Tells the waiter of the saga as it is, once everything that it shows is on disk."""
        self._tell(live, waiter, keep=False)

    def _tell(self, live: Live, waiter: Waiter, *, keep: bool) -> None:
        if live.settled:
            waiter.told(live.saga)
        else:
            # The saga may move on while this turn waits; then it waits once more. Sagas come to rest.
            self._take_turn(live, Decision(), self.timers.now(), keep=keep, waiter=waiter)

    def when_ended(self, live: Live, waiter: Waiter) -> None:
        """Tells the waiter of the saga's end, or that it is parked."""
        waiter.until_end = True
        if live.saga.state is SagaState.PARKED and live.settled:
            waiter.told(live.saga)
        else:
            live.waiters.append(waiter)

    def stop_waiting(self, saga_id: str, waiter: Waiter) -> None:
        """Has a waiter for the end told of the saga as it is, once that is on disk.

        One that was not handed to the runtime yet is answered as if it had never waited for the end.
        """
        waiter.until_end = False
        live = self._live.get(saga_id)
        if live is not None and waiter in live.waiters:
            live.waiters.remove(waiter)
            if live.durable_sequence:  # otherwise the turn that starts the saga tells its waiter
                self.when_durable(live, waiter)

    # What happens to a saga

    def feed(self, live: Live, stimulus: Stimulus, waiter: Waiter | None = None) -> None:
        """Has the machine decide what a stimulus means, and sends the decision on its way."""
        now = self.timers.now()
        decision = machine.advance(live.saga, stimulus, now, self._chance())
        self._take_turn(live, decision, now, keep=True, waiter=waiter)

    def _replied(self, attempt: Attempt, outcome: Outcome) -> None:
        saga, now = attempt.saga, self.timers.now()
        live = self._live.get(saga.id)
        if live is None or live.saga is not saga:
            return  # the saga was lost to another coordinator while the call was in flight
        live.attempts.pop(attempt.place, None)
        participant = attempt.step.participant
        seconds = now - attempt.started if attempt.sent else 0.0
        self.metrics.attempt_ended(participant, attempt.direction, outcome_name(outcome), seconds)
        reply = stimuli.Replied(attempt.place, attempt.direction, attempt.number, outcome)
        decision = machine.advance(saga, reply, now, self._chance())
        self._take_turn(live, decision, now, keep=True)

    def _take_turn(
        self, live: Live, decision: Decision, now: float, *, keep: bool, waiter: Waiter | None = None
    ) -> None:
        """Sends a decision to the journal; what it asks for happens when that is durable."""
        saga, append = live.saga, None
        if decision.facts:
            append = Append(
                saga_id=saga.id,
                first_sequence=saga.sequence - len(decision.facts) + 1,
                time=now,
                facts=decision.facts,
                row=self._changed_row(live),
            )
        turn = Turn(self, live, decision, append, keep, waiter, weigh(decision.facts), saga.state)
        if append is None and live.unwritten == 0:
            self._carry_out(turn)
        else:
            live.unwritten += 1
            self.journal.write(turn)
        self._arm(live)

    def _changed_row(self, live: Live) -> SagaRow | None:
        """The saga's row, if this turn changes it."""
        saga = live.saga
        row = (saga.state, saga.needs_attention)
        if row == live.row:
            return None
        if saga.turn_back is not None and (live.row is None or live.row[0] is SagaState.RUNNING):
            self.metrics.compensations[saga.definition.name] += 1
        if saga.needs_attention and (live.row is None or not live.row[1]):
            self.metrics.flagged += 1
            log.warning(
                "saga %s needs attention: %s",
                saga.id,
                saga.needs_attention,
                extra={"action": "attention_needed", **saga_fields(saga)},
            )
        live.row = row
        return SagaRow(
            id=saga.id,
            definition_name=saga.definition.name,
            state=saga.state,
            create_time=saga.create_time,
            labels=saga.labels,
            end_time=saga.end_time,
            needs_attention=saga.needs_attention,
        )

    def turn_is_durable(self, turn: Turn) -> None:
        """Carries a turn out, now that its facts are on disk."""
        live = turn.live
        live.unwritten -= 1
        if turn.append is not None:
            live.durable_sequence += len(turn.append.facts)
            if turn.append.first_sequence == 1:
                self.metrics.started += 1
        if self._live.get(live.saga.id) is live:
            self._carry_out(turn)
        elif turn.waiter is not None and live.settled:
            turn.waiter.told(live.saga)  # it ended while this turn was on its way
        elif turn.waiter is not None:
            turn.waiter.failed(LostError(live.saga.id))

    def _carry_out(self, turn: Turn) -> None:
        live, waiter = turn.live, turn.waiter
        if waiter is not None and not waiter.until_end:
            self._tell(live, waiter, keep=True)
        for call in turn.decision.calls:
            self._call(live, call)
        for place in turn.decision.withdrawals:
            attempt = live.attempts.get(place)
            if attempt is not None:
                self.participants[attempt.step.participant].withdraw(attempt)
        if turn.append is not None:
            live.news()
        if turn.state.ended:
            self._end(live)
            return
        if turn.state is SagaState.PARKED and live.settled:
            self._tell_waiters(live)
        if live.unwritten == 0 and not live.attempts:
            self.on_idle(live)

    def _call(self, live: Live, call: stimuli.Call) -> None:
        saga = live.saga
        attempt = Attempt(saga, call.place, call.direction, call.attempt, self._replied)
        live.attempts[call.place] = attempt
        if attempt.needless:  # its saga turned back while both were on their way to the disk
            attempt.withdraw()
            return
        name = attempt.step.participant
        participant = self.participants.get(name)
        if participant is None:
            message = f"no participant {name!r} is configured; the option is --participant {name}=ADDRESS"
            attempt.finish(Unknown(Code.UNAVAILABLE, message))
            return
        participant.submit(attempt)

    def _end(self, live: Live) -> None:
        saga = live.saga
        self._leave(live)
        self.metrics.ended[saga.state.name.lower()] += 1
        if log.isEnabledFor(logging.DEBUG):
            fields = {"action": "saga_ended", "state": saga.state.name, **saga_fields(saga)}
            log.debug("saga %s %s", saga.id, saga.state.name.lower(), extra=fields)
        self._tell_waiters(live)

    def _leave(self, live: Live) -> None:
        """Takes a saga out of memory."""
        del self._live[live.saga.id]
        self.absent.note_departure(live.saga.id)
        if live.timer is not None:
            live.timer.cancel()

    def _tell_waiters(self, live: Live) -> None:
        waiters, live.waiters = live.waiters, []
        for waiter in waiters:
            waiter.told(live.saga)

    # Failures

    def turn_has_failed(self, turn: Turn, error: StoreError) -> None:
        """Gives a start back that could not be written, and lets go of a saga that somebody else writes."""
        live = turn.live
        live.unwritten -= 1
        if isinstance(error, ConflictError):
            self._conflict(turn)
            return
        starting = turn.append is not None and turn.append.first_sequence == 1
        if starting and self._live.get(live.saga.id) is live:
            # The store says that nothing was written. Should it be wrong, the saga must not stay unowned.
            self.absent.doubt(live.saga.id)
            self._drop(live, store_unavailable(str(error)))
        elif turn.keep and turn.append is not None and self._live.get(live.saga.id) is live:
            # It will never be written, and nothing that follows can be. The saga is as the disk has it.
            log.error(
                "saga %s cannot go on: %s",
                live.saga.id,
                error,
                extra={"action": "saga_lost", **saga_fields(live.saga)},
            )
            self._drop(live, store_unavailable(str(error)))
        if turn.waiter is not None and not turn.waiter.until_end:
            turn.waiter.failed(store_unavailable(str(error)))

    def _conflict(self, turn: Turn) -> None:
        """Somebody else wrote this event: the saga to be started exists, or has another owner (P9)."""
        live, saga = turn.live, turn.live.saga
        current = self._live.get(saga.id) is live
        if turn.append is not None and turn.append.first_sequence == 1:
            if current:
                # Recovery may have passed the stored saga by, because the one to be started was in its place.
                self.absent.doubt(saga.id)
                live.id_taken = True
                waiters = [waiter for waiter in live.waiters if waiter is not turn.waiter]
                self._drop(live, None)
                for waiter in waiters:
                    waiter.failed(LostError(saga.id))
            if turn.waiter is not None:
                turn.waiter.failed(ExistsInStoreError(saga.id))
            return
        if current:
            log.error(
                "saga %s is being written by another coordinator; letting go of it",
                saga.id,
                extra={"action": "saga_lost", **saga_fields(saga)},
            )
            self._drop(live, LostError(saga.id))
        if turn.waiter is not None:
            turn.waiter.failed(LostError(saga.id))

    def _drop(self, live: Live, error: RequestError | None) -> None:
        """Lets go of a saga: attempts in flight end unheard, and those that wait to be sent do not leave."""
        self._leave(live)
        for attempt in list(live.attempts.values()):
            self.participants[attempt.step.participant].withdraw(attempt)
        waiters, live.waiters = live.waiters, []
        if error is not None:
            for waiter in waiters:
                waiter.failed(error)
        live.news()

    def forget(self, live: Live) -> None:
        """Lets go of a saga that sleeps."""
        assert live.unwritten == 0, "a saga that is being written is awake"
        assert not live.attempts, "a saga that waits for a reply is awake"
        self._drop(live, None)

    # Time

    def _arm(self, live: Live) -> None:
        """Sets the saga's one timer to the next moment at which something is due."""
        when = live.saga.wake_time()
        timer = live.timer
        if timer is not None:
            if timer.callback is not None and timer.when == when:
                return
            timer.cancel()
        live.timer = None if when is None else self.timers.at(when, lambda: self._wake(live))

    def _wake(self, live: Live) -> None:
        if self._live.get(live.saga.id) is live:
            self.feed(live, stimuli.TimePassed())
