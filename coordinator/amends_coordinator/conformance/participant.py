"""Certifies a participant: runs every row over both ways, and one restart in the middle of the last ones."""

import asyncio
from collections.abc import AsyncGenerator, Mapping, Sequence
from typing import Final

import grpc

from amends.v1 import participant_pb2 as pb
from amends.v1 import participant_pb2_grpc
from amends_coordinator.conformance.case import Case
from amends_coordinator.conformance.fence_rows import FENCE_ROWS
from amends_coordinator.conformance.restart_rows import RESTART_ROWS
from amends_coordinator.conformance.results import NonconformingError, Result, UncheckableError, Verdict
from amends_coordinator.conformance.row import Line, RestartRow, Row
from amends_coordinator.conformance.rule_rows import EXCHANGE_ROWS, RULE_ROWS
from amends_coordinator.conformance.subject import CommandFailedError, Subject
from amends_coordinator.conformance.ways import Exchange, Unary, Way

RESTART_PATIENCE: Final = 30.0
"""Seconds until a participant has to answer after its restart: a cold start on a busy machine takes a few."""

_DESCRIBED: Final = "Describe lists actions with names, each once, in their order"
_OFFERED: Final = "Exchange is offered, or answered with UNIMPLEMENTED"


async def certify_participant(
    channel: grpc.aio.Channel, described: pb.DescribeResponse, subject: Subject
) -> list[Result]:
    """Runs every row and returns a result for each.

    Args:
        channel: leads to the participant.
        described: what its Describe answered.
        subject: what else there is to know of it.
    """
    certificate = _Certificate(channel, subject)
    certificate.look_at(described)
    try:
        await certificate.run_all()
    finally:
        await certificate.close()
    return certificate.results


class _Certificate:
    """What is found, as it is found."""

    def __init__(self, channel: grpc.aio.Channel, subject: Subject) -> None:
        self._stub = participant_pb2_grpc.ParticipantStub(channel)
        self._subject = subject
        self._unary = Unary(self._stub)
        self._exchange = Exchange(self._stub)
        self._ways: Mapping[str, Way] = {way.name: way for way in (self._unary, self._exchange)}
        self._failed: set[tuple[str, str]] = (
            set()
        )  # rows by the way they failed, with those that build on them
        self.results: list[Result] = []

    async def close(self) -> None:
        await self._exchange.close()

    def look_at(self, described: pb.DescribeResponse) -> None:
        names = [action.name for action in described.actions]
        good = names == sorted(set(names)) and all(names)
        why = "" if good else f"it lists {', '.join(repr(name) for name in names[:10])}"
        self._add(Line(name="describe", what=_DESCRIBED), "", why)

    async def run_all(self) -> None:
        for row in (*FENCE_ROWS, *RULE_ROWS):
            await self._run(row, self._unary)
        offered = await self._find_exchange()
        for row in (*FENCE_ROWS, *RULE_ROWS, *EXCHANGE_ROWS):
            if offered:
                await self._run(row, self._exchange)
            else:
                self._skip(row, "exchange", "there is no Exchange")
        await self._run_restarts(RESTART_ROWS)

    async def _run(self, row: Row, way: Way) -> None:
        missing = self._missing(row, way.name)
        if missing:
            self._skip(row, way.name, missing)
            return
        case = Case(row.name, way, self._ways, self._subject)
        try:
            await row.check(case)
        except NonconformingError as error:
            self._add(row, way.name, str(error))
        except UncheckableError as error:
            self._skip(row, way.name, str(error))
        else:
            self._add(row, way.name, "", passed_over=case.passed_over)
        await case.leave()

    async def _find_exchange(self) -> bool:
        """Whether the participant offers an Exchange that can be used, by a call that has no effect."""
        row = Line(name="exchange", what=_OFFERED)
        case = Case(row.name, self._exchange, self._ways, self._subject)
        try:
            await case.once(case.a_compensate())
        except NonconformingError as error:
            ended = self._exchange.ended
            if ended is grpc.StatusCode.INTERNAL:
                ended = await self._exchange.refusal()
            offers_none = ended is grpc.StatusCode.UNIMPLEMENTED
            self._add(row, "exchange", "" if offers_none else str(error))
            return False
        self._add(row, "exchange", "")
        return True

    # Restarts

    async def _run_restarts(self, rows: Sequence[RestartRow]) -> None:
        stopped: list[tuple[RestartRow, Case, AsyncGenerator[None, None]]] = []
        for row in rows:
            missing = self._missing(row, "unary")
            if missing:
                self._skip(row, "unary", missing)
                continue
            case = Case(row.name, self._unary, self._ways, self._subject)
            check = row.check(case)
            try:
                await anext(check)
            except NonconformingError as error:
                self._add(row, "unary", str(error))
            else:
                stopped.append((row, case, check))
        why = await self._restart() if stopped else ""
        for row, case, check in stopped:
            try:
                if not why:
                    await anext(check)
            except StopAsyncIteration:
                self._add(row, "unary", "", passed_over=case.passed_over)
            except NonconformingError as error:
                self._add(row, "unary", str(error))
            else:
                await check.aclose()
                self._add(row, "unary", why)
            await case.leave()

    async def _restart(self) -> str:
        """Restarts the participant and waits until it answers; returns what went wrong, if anything did."""
        assert self._subject.restart is not None, "rows with a restart are skipped without one"
        try:
            await self._subject.restart()
        except CommandFailedError as error:
            return f"it could not be restarted: {error}"
        now = asyncio.get_running_loop().time
        end = now() + RESTART_PATIENCE
        while True:
            try:
                left = max(0.0, end - now())
                await self._stub.Describe(pb.DescribeRequest(), timeout=left, wait_for_ready=True)
                return ""
            except grpc.aio.AioRpcError as error:
                # The first call may still leave by the connection to the one that was killed.
                if error.code() is not grpc.StatusCode.UNAVAILABLE or now() > end:
                    return f"it did not answer after its restart: {error.code().name}: {error.details()}"

    # Results

    def _missing(self, row: Line, over: str) -> str:
        """Says why a row cannot be checked; empty if it can."""
        for name in row.after:
            if (name, over) in self._failed:
                self._failed.add((row.name, over))
                return f"says nothing until {name} passes"
        return row.lacks(self._subject)

    def _skip(self, row: Line, over: str, why: str) -> None:
        result = Result(row=row.name, over=over, what=row.what, verdict=Verdict.SKIPPED, why=why)
        self.results.append(result)

    def _add(self, row: Line, over: str, why: str, *, passed_over: str = "") -> None:
        """Adds a row that failed for a reason, or passed without one."""
        verdict = Verdict.FAILED if why else Verdict.PASSED
        if why:
            self._failed.add((row.name, over))
        result = Result(row=row.name, over=over, what=row.what, verdict=verdict, why=why or passed_over)
        self.results.append(result)
