"""Certifies a coordinator, as a client sees it: with a participant of the kit's own behind it."""

from typing import Final

import grpc

from amends.v1 import coordinator_pb2_grpc
from amends_coordinator.conformance.client import Client, ClientRow
from amends_coordinator.conformance.probe import Probe
from amends_coordinator.conformance.results import NonconformingError, Result, Verdict
from amends_coordinator.conformance.saga_rows import SAGA_ROWS
from amends_coordinator.conformance.service_rows import DEFINITION_ROWS, SERVICE_ROWS
from amends_coordinator.conformance.start_rows import START_ROWS

ROWS: Final = (*SERVICE_ROWS, *START_ROWS, *SAGA_ROWS, *DEFINITION_ROWS)
"""What others build on comes first."""


async def certify_coordinator(channel: grpc.aio.Channel, *, participant: str, address: str) -> list[Result]:
    """Runs every row and returns a result for each.

    Args:
        channel: leads to the coordinator.
        participant: what the coordinator calls the kit's participant.
        address: where the kit's participant has to listen.

    Raises:
        StartError: it cannot listen there.
    """
    probe = Probe()
    await probe.participant.start(address)
    try:
        stub = coordinator_pb2_grpc.CoordinatorStub(channel)
        client = Client(channel, stub, participant, probe)
        results: list[Result] = []
        failed: set[str] = set()
        for row in ROWS:
            result = await _result(row, client, failed)
            results.append(result)
            if result.verdict is not Verdict.PASSED:
                failed.add(row.name)
        return results
    finally:
        await probe.participant.stop()


async def _result(row: ClientRow, client: Client, failed: set[str]) -> Result:
    verdict, why = Verdict.PASSED, ""
    unmet = [name for name in row.after if name in failed]
    if unmet:
        verdict, why = Verdict.SKIPPED, f"says nothing until {unmet[0]} passes"
    else:
        try:
            await row.check(client)
        except NonconformingError as error:
            verdict, why = Verdict.FAILED, str(error)
    return Result(row=row.name, over="", what=row.what, verdict=verdict, why=why)
