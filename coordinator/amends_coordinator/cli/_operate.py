"""The commands of an operator: cancel, retry, resolve."""

from typing import TYPE_CHECKING

import click

from amends_coordinator.cli._exits import CommandError, ExitStatus
from amends_coordinator.cli._options import Options, json_option, shared_options

if TYPE_CHECKING:
    from amends.v1 import saga_pb2

_RESOLUTIONS = {"succeeded": "SUCCEEDED", "no-effect": "NO_EFFECT", "compensated": "COMPENSATED"}


@click.command()
@click.argument("saga_id", metavar="ID")
@click.option("--reason", default="", help="Why; kept in the log.")
@json_option
@shared_options
@click.pass_obj
def cancel(options: Options, saga_id: str, reason: str, as_json: bool) -> None:
    """Asks a saga to turn back.

    What it did is then undone. A request, not an outcome: if its pivot turns out to have succeeded, the
    saga completes all the same.
    """
    from amends.v1 import coordinator_pb2
    from amends_coordinator.cli._coordinator import CALL_TIMEOUT, connected

    request = coordinator_pb2.CancelSagaRequest(saga_id=saga_id, reason=reason)
    with connected(options) as stub:
        _confirm("asked to turn back", stub.CancelSaga(request, timeout=CALL_TIMEOUT), as_json=as_json)


@click.command()
@click.argument("saga_id", metavar="ID")
@click.option("--reason", default="", help="Why; kept in the log.")
@json_option
@shared_options
@click.pass_obj
def retry(options: Options, saga_id: str, reason: str, as_json: bool) -> None:
    """Retries now what waits.

    Both what waits for its next attempt and what waits for an operator.
    """
    from amends.v1 import coordinator_pb2
    from amends_coordinator.cli._coordinator import CALL_TIMEOUT, connected

    request = coordinator_pb2.RetrySagaRequest(saga_id=saga_id, reason=reason)
    with connected(options) as stub:
        _confirm("retried", stub.RetrySaga(request, timeout=CALL_TIMEOUT), as_json=as_json)


@click.command()
@click.argument("saga_id", metavar="ID")
@click.argument("step", metavar="STEP")
@click.option(
    "--as",
    "truth",
    required=True,
    type=click.Choice(list(_RESOLUTIONS)),
    help="What is true: it took effect, it never did and never will, or its effect is undone.",
)
@click.option("--reason", required=True, help="How you know; kept in the log.")
@click.option(
    "--result",
    metavar="JSON|@FILE|-",
    help="The result that later steps shall see; only with --as succeeded.",
)
@json_option
@shared_options
@click.pass_obj
def resolve(
    options: Options, saga_id: str, step: str, truth: str, reason: str, result: str | None, as_json: bool
) -> None:
    """States what is true of a step.

    For where you know better than the coordinator can. Look first: the coordinator believes you, and
    undoes or goes on accordingly.
    """
    from amends._payload import pack
    from amends.v1 import coordinator_pb2, event_pb2
    from amends_coordinator.cli._coordinator import CALL_TIMEOUT, connected
    from amends_coordinator.cli._inputs import read_json

    if result is not None and truth != "succeeded":
        raise CommandError("--result goes only with --as succeeded", ExitStatus.USAGE)
    request = coordinator_pb2.ResolveStepRequest(
        saga_id=saga_id,
        step=step,
        resolution=event_pb2.StepResolved.Resolution.Value(_RESOLUTIONS[truth]),
        reason=reason,
    )
    if result is not None:
        request.result.CopyFrom(pack(read_json(result, option="--result")))
    with connected(options) as stub:
        resolved = stub.ResolveStep(request, timeout=CALL_TIMEOUT)
    _confirm(f"step {step} resolved as {truth}", resolved, as_json=as_json)


def _confirm(done: str, saga: "saga_pb2.Saga", *, as_json: bool) -> None:
    from amends.v1 import saga_pb2
    from amends_coordinator.cli import _json

    if as_json:
        click.echo(_json.to_line(saga))
    else:
        click.echo(f"{saga.id}: {done}; the saga is {saga_pb2.Saga.State.Name(saga.state)}")
