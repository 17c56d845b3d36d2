"""Stories of one participant, told by Hypothesis, and the reference that its every answer is held against.

The engine is the real one, on a file or in memory. The reference is `Record`, the table of the fence written
down once more, from the design. Calls that come together may be answered in any order: some order has to
explain all of their answers, and what their handlers did.
"""

import asyncio
import sqlite3
from contextlib import closing
from itertools import permutations
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from google.rpc import error_details_pb2
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from amends import Context, Participant, Pending, Refused, Rejected
from amends._payload import pack, unpack
from amends.errors import Fault
from amends.v1 import participant_pb2 as pb
from tests.fuzz.fence_reference import ACTIONS, Call, Record, calls

INSERT = "INSERT INTO effects VALUES (?, ?)"
SCHEMA = "CREATE TABLE IF NOT EXISTS effects (step TEXT NOT NULL, change INTEGER NOT NULL) STRICT;"


class FenceStories(RuleBasedStateMachine):
    """A participant, and everything that may be asked of it."""

    store = "file"

    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner()
        self.scratch = TemporaryDirectory()
        self.path = Path(self.scratch.name, "shop.db")
        self.records = dict.fromkeys("ab", Record())
        self.provided = dict.fromkeys("ab", 0)  # those that are in no database
        self.ends: list[str] = []  # how the handlers end, by the number of the attempt
        self.entered = asyncio.Event()  # set once a handler runs that never ends
        self.participant = self.build()

    @initialize()
    def open(self) -> None:
        self.runner.run(self.participant.open())

    # What may happen

    @rule(call=calls())
    def call(self, call: Call) -> None:
        """One call alone."""
        self.records[call.step], expected = self.records[call.step].after(call)
        self.ends = [call.end]
        assert self.runner.run(self.ask(call)) == expected

    @rule(batch=st.lists(calls(ACTIONS[:2] + ACTIONS[3:]), min_size=2, max_size=4))
    def call_together(self, batch: list[Call]) -> None:
        """Calls that share a transaction, and perhaps a key."""
        self.explain(batch, self.answers(batch))

    @rule(batch=st.lists(calls(["outside"]), min_size=2, max_size=4))
    def call_outside_together(self, batch: list[Call]) -> None:
        """Of calls outside the database, one for a key is at work; another is told to come again."""
        answers = self.answers(batch)
        done = [place for place, answer in enumerate(answers) if answer != "IN_PROGRESS"]
        assert {batch[place].step for place in done} == {call.step for call in batch}
        self.explain([batch[place] for place in done], [answers[place] for place in done])

    @rule()
    def restart(self) -> None:
        """The participant ends and comes again; one on a file remembers by the file alone."""
        self.runner.run(self.participant.stop())
        if self.store == "file":
            self.participant = self.build()
        self.runner.run(self.participant.open())

    @rule(call=calls(["outside"]))
    def stop_in_the_middle(self, call: Call) -> None:
        """The participant ends while a handler is at work outside: the intent is all that is left of it."""
        interrupted = call._replace(forward=True, end="never")
        self.records[call.step], expected = self.records[call.step].after(interrupted)
        assert self.runner.run(self.interrupt(interrupted)) == expected
        self.runner.run(self.participant.open())

    @invariant()
    def effects_are_as_the_reference_has_them(self) -> None:
        """Every effect is there once, or not at all."""
        found = dict(self.provided)
        if self.store == "file":
            with closing(sqlite3.connect(self.path)) as connection:
                for step, change in connection.execute("SELECT step, sum(change) FROM effects GROUP BY step"):
                    found[step] += change
        assert found == {step: record.effect for step, record in self.records.items()}

    def teardown(self) -> None:
        self.runner.run(self.participant.stop())
        self.runner.close()
        self.scratch.cleanup()

    # Carrying it out

    def write(self, ctx: Context, change: int) -> Any:
        """Leaves an effect in the database, if there is one; an async handler has to await it."""
        if self.store == "file":
            return ctx.db.execute(INSERT, (ctx.step, change))
        return asyncio.sleep(0) if ctx.action == "waiting" else None

    def build(self) -> Participant:
        """The participant. Its handlers leave their effect first, whatever they come to."""
        store, schema = (f"sqlite:///{self.path}", SCHEMA) if self.store == "file" else ("memory:", "")
        shop = Participant("shop", store=store, schema=schema)
        order, result = dict[str, Any], dict[str, Any] | None

        def plain(value: order, ctx: Context) -> order:
            self.write(ctx, +1)
            self.end(ctx, Rejected, +1)
            return value

        def undo_plain(_value: order, _result: result, ctx: Context) -> None:
            self.write(ctx, -1)
            self.end(ctx, Refused, -1)

        async def waiting(value: order, ctx: Context) -> order:
            await self.write(ctx, +1)
            self.end(ctx, Rejected, +1)
            return value

        async def undo_waiting(_value: order, _result: result, ctx: Context) -> None:
            await self.write(ctx, -1)
            self.end(ctx, Refused, -1)

        async def outside(value: order, ctx: Context) -> order:
            if self.ends[ctx.attempt] == "never":
                self.entered.set()
                await asyncio.Event().wait()
            if self.ends[ctx.attempt] in ("well", "late failure"):
                self.provided[ctx.step] = 1  # a provider does a deed once for each key
            self.end(ctx, Rejected)
            return value

        async def undo_outside(_value: order, _result: result, ctx: Context) -> None:
            self.end(ctx, Refused)
            self.provided[ctx.step] = 0

        shop.action(name="plain")(plain).compensate(undo_plain)
        shop.action(name="waiting")(waiting).compensate(undo_waiting)
        shop.action(name="outside", external=True)(outside).compensate(undo_outside)
        shop.action(name="final")(plain)
        return shop

    def end(self, ctx: Context, answer: type[Rejected | Refused], change: int = 0) -> None:
        """Ends a handler as its call says; without a database, its effect is a number that changes now."""
        match self.ends[ctx.attempt]:
            case "no":
                raise answer("NO")
            case "later":
                raise Pending
            case "failure" | "late failure":
                raise RuntimeError("the handler fails")
            case "well" if self.store == "memory":
                self.provided[ctx.step] += change

    async def ask(self, call: Call) -> str:
        """Makes one call, as the RPC would."""
        request = request_of(call)
        try:
            if isinstance(request, pb.TryRequest):
                return told(await self.participant.handle_try(request))
            return told(await self.participant.handle_compensate(request))
        except Fault as fault:
            return fault.reason

    def answers(self, batch: list[Call]) -> list[str]:
        """Makes calls together, as an Exchange would; tells the answers in the order of the calls."""
        self.ends = [call.end for call in batch]
        message = pb.ExchangeRequest()
        for number, call in enumerate(batch):
            request = request_of(call, number)
            kind = "try_request" if call.forward else "compensate_request"
            message.calls.add(number=number, **{kind: request})  # type: ignore[arg-type] # one of the two
        replies = self.runner.run(self.participant.handle_batch(message)).replies
        return [_read(reply) for reply in sorted(replies, key=lambda reply: reply.number)]

    async def interrupt(self, call: Call) -> str:
        """Makes a call, and stops the participant once its handler is at work, if it comes to that."""
        self.ends, self.entered = [call.end], asyncio.Event()
        asking = asyncio.create_task(self.ask(call))
        entering = asyncio.create_task(self.entered.wait())
        await asyncio.wait([asking, entering], return_when=asyncio.FIRST_COMPLETED)
        entering.cancel()
        await self.participant.stop(grace=0.0)
        return await asking

    def explain(self, batch: list[Call], answers: list[str]) -> None:
        """Finds an order in which the reference gives these answers; all such come to the same."""
        found = set()
        for order in permutations(range(len(batch))):
            records, expected = dict(self.records), [""] * len(batch)
            for place in order:
                step = batch[place].step
                records[step], expected[place] = records[step].after(batch[place])
            if expected == answers:
                found.add(tuple(records.items()))
        assert len(found) == 1, f"no order of {batch} explains {answers}"
        self.records = dict(found.pop())


class FenceStoriesInMemory(FenceStories):
    """The same without a file."""

    store = "memory"


def request_of(call: Call, number: int = 0) -> pb.TryRequest | pb.CompensateRequest:
    """The message of a call; its attempt is its place in the batch, by which its handler knows it."""
    fields: dict[str, Any] = {
        "saga_id": "saga",
        "step": call.step,
        "action": call.action,
        "attempt": number,
        "input": pack({"n": call.input}),
    }
    if call.forward:
        return pb.TryRequest(**fields)
    return pb.CompensateRequest(**fields, result=pack({"n": call.input}) if call.knows_result else None)


def told(response: pb.TryResponse | pb.CompensateResponse) -> str:
    """What an answer says, in a word or two."""
    outcome = response.WhichOneof("outcome") or "nothing"
    inner = getattr(response, outcome)
    if outcome in ("rejected", "refused"):
        return f"{outcome} {inner.reason}"
    return f"succeeded {unpack(inner.result, dict)['n']}" if outcome == "succeeded" else outcome


def _read(reply: pb.ExchangeResponse.Reply) -> str:
    if reply.HasField("error"):
        return error_details_pb2.ErrorInfo.FromString(reply.error.details[0].value).reason
    return told(reply.try_response if reply.HasField("try_response") else reply.compensate_response)
