"""The commands that show sagas: get, list, watch, history."""

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import click

from amends_coordinator.cli._exits import ExitStatus
from amends_coordinator.cli._options import Options, json_option, shared_options

if TYPE_CHECKING:
    from amends.v1 import coordinator_pb2, saga_pb2
    from amends.v1.coordinator_pb2_grpc import CoordinatorStub

_STATES = ("running", "completed", "compensating", "compensated", "parked", "stalled")
_PAGE_SIZE = 1_000  # the most that the contract lets a page hold


def present(saga: "saga_pb2.Saga", options: Options, *, as_json: bool) -> ExitStatus:
    """Prints a saga as asked, and returns the exit status that tells its state."""
    from amends_coordinator.cli import _json, _views
    from amends_coordinator.cli._follow import status_of

    if as_json:
        click.echo(_json.to_line(saga))
    else:
        _views.show_saga(saga, now=datetime.now(UTC), program=options.program())
    return status_of(saga.state)


def follow_live(stub: "CoordinatorStub", saga_id: str, options: Options, *, as_json: bool) -> ExitStatus:
    """Prints the events of a saga as they happen, until it ends or is parked."""
    from amends_coordinator.cli import _json, _views
    from amends_coordinator.cli._follow import follow, get_patiently, status_of

    view, lines = _views.TimelineView(), _json.EventLines()

    def interrupted() -> None:
        click.echo("amends: the coordinator went away; waiting for it to come back", err=True)

    for event in follow(stub, saga_id, interrupted=interrupted):
        if as_json:
            click.echo(lines.line(event))
        else:
            view.show(event)
    status = status_of(get_patiently(stub, saga_id).state)
    if status is ExitStatus.PARKED and not as_json:
        click.echo(f"amends: the saga waits for an operator; see {options.program()} get {saga_id}", err=True)
    return status


@click.command()
@click.argument("saga_id", metavar="ID")
@json_option
@shared_options
@click.pass_obj
def get(options: Options, saga_id: str, as_json: bool) -> ExitStatus:
    """Shows one saga: where it is, and why.

    Also what an operator can do about it.

    The exit status tells its state: 0 completed or still going, 3 compensated, 4 parked.
    """
    from amends.v1 import coordinator_pb2
    from amends_coordinator.cli._coordinator import CALL_TIMEOUT, connected

    with connected(options) as stub:
        saga = stub.GetSaga(coordinator_pb2.GetSagaRequest(saga_id=saga_id), timeout=CALL_TIMEOUT)
    return present(saga, options, as_json=as_json)


@click.command("list")
@click.option(
    "--state",
    "states",
    multiple=True,
    type=click.Choice(_STATES, case_sensitive=False),
    help="Only sagas in this state; may be repeated.",
)
@click.option("--definition", metavar="NAME", default="", help="Only sagas of this definition.")
@click.option(
    "--label",
    "labels",
    metavar="KEY=VALUE",
    multiple=True,
    help="Only sagas with this label; may be repeated, and all must hold.",
)
@click.option(
    "--since", metavar="WHEN", help="Only sagas started since: so long ago, as 90m or 2d, or an ISO time."
)
@click.option("--needs-attention", is_flag=True, help="Only sagas that an operator should look at.")
@click.option(
    "--limit", type=click.IntRange(min=1), default=50, show_default=True, help="The most sagas to show."
)
@json_option
@shared_options
@click.pass_obj
def list_sagas(
    options: Options,
    states: tuple[str, ...],
    definition: str,
    labels: tuple[str, ...],
    since: str | None,
    needs_attention: bool,
    limit: int,
    as_json: bool,
) -> None:
    """Lists sagas, the newest first."""
    from amends.v1 import coordinator_pb2, saga_pb2
    from amends_coordinator.cli import _json
    from amends_coordinator.cli._coordinator import connected
    from amends_coordinator.cli._inputs import read_moment, read_pairs

    request = coordinator_pb2.ListSagasRequest(
        states=[saga_pb2.Saga.State.Value(state.upper()) for state in states],
        definition_name=definition,
        labels=read_pairs(labels, option="--label", form="KEY=VALUE"),
        needs_attention=needs_attention,
    )
    if since is not None:
        request.created_from.FromDatetime(read_moment(since, option="--since", now=lambda: datetime.now(UTC)))
    with connected(options) as stub:
        found = _pages(stub, request, limit)
        if as_json:
            for saga in found:
                click.echo(_json.to_line(saga))
        else:
            _show_list(list(found), limit)


def _pages(
    stub: "CoordinatorStub", request: "coordinator_pb2.ListSagasRequest", limit: int
) -> "Iterator[coordinator_pb2.SagaSummary]":
    from amends_coordinator.cli._coordinator import CALL_TIMEOUT

    left = limit
    while left > 0:
        request.page_size = min(left, _PAGE_SIZE)
        page = stub.ListSagas(request, timeout=CALL_TIMEOUT)
        yield from page.sagas[:left]
        left -= len(page.sagas)
        request.page_token = page.next_page_token
        if not page.next_page_token:
            return


def _show_list(sagas: "list[coordinator_pb2.SagaSummary]", limit: int) -> None:
    from amends_coordinator.cli import _views

    if not sagas:
        click.echo("no sagas")
        return
    _views.show_summaries(sagas, now=datetime.now(UTC))
    if len(sagas) == limit:
        click.echo(f"amends: stopped at {limit} sagas; --limit shows more", err=True)


@click.command()
@click.argument("saga_id", metavar="ID")
@json_option
@shared_options
@click.pass_obj
def watch(options: Options, saga_id: str, as_json: bool) -> ExitStatus:
    """Shows a saga's events as they happen.

    Stops where it ends or is parked, and outlasts a restart of the coordinator.

    The exit status tells how it ended: 0 completed, 3 compensated, 4 parked.
    """
    from amends_coordinator.cli._coordinator import connected

    with connected(options) as stub:
        return follow_live(stub, saga_id, options, as_json=as_json)


@click.command()
@click.argument("saga_id", metavar="ID")
@json_option
@shared_options
@click.pass_obj
def history(options: Options, saga_id: str, as_json: bool) -> None:
    """Shows a saga's events so far."""
    from amends_coordinator.cli import _follow, _json, _views
    from amends_coordinator.cli._coordinator import connected

    view, lines = _views.TimelineView(), _json.EventLines()
    with connected(options) as stub:
        for event in _follow.history(stub, saga_id):
            if as_json:
                click.echo(lines.line(event))
            else:
                view.show(event)
