"""The command that starts sagas."""

from pathlib import PurePath
from typing import TYPE_CHECKING

import click

from amends_coordinator.cli._exits import CommandError, ExitStatus
from amends_coordinator.cli._options import Options, json_option, shared_options

if TYPE_CHECKING:
    from amends.v1 import coordinator_pb2, saga_pb2
    from amends.v1.coordinator_pb2_grpc import CoordinatorStub


@click.command()
@click.argument("definition", metavar="NAME|FILE.yaml")
@click.option(
    "--id",
    "saga_id",
    metavar="ID",
    help="The id of the saga; the same id and content again returns that saga. Default: a new UUIDv7.",
)
@click.option(
    "--input", "saga_input", metavar="JSON|@FILE|-", help="The input of every step that has none of its own."
)
@click.option(
    "--step-input",
    "step_inputs",
    metavar="STEP=JSON|@FILE|-",
    multiple=True,
    help="The input of one step; may be repeated.",
)
@click.option(
    "--label",
    "labels",
    metavar="KEY=VALUE",
    multiple=True,
    help="A label to find the saga by; may be repeated.",
)
@click.option("--wait", is_flag=True, help="Waits until the saga ends or is parked, then shows it.")
@click.option(
    "--watch", is_flag=True, help="Shows the saga's events as they happen, until it ends or is parked."
)
@json_option
@shared_options
@click.pass_obj
def start(
    options: Options,
    definition: str,
    saga_id: str | None,
    saga_input: str | None,
    step_inputs: tuple[str, ...],
    labels: tuple[str, ...],
    wait: bool,
    watch: bool,
    as_json: bool,
) -> ExitStatus:
    """Starts a saga.

    Its definition is a registered one, by its name, or one in a YAML file.

    With --wait or --watch the exit status tells how it ended: 0 completed, 3 compensated, 4 parked.
    """
    from amends_coordinator.cli._coordinator import connected
    from amends_coordinator.cli._show import follow_live, present

    if wait and watch:
        raise CommandError("--wait and --watch exclude each other", ExitStatus.USAGE)
    request = _request(definition, saga_id, saga_input, step_inputs, labels)
    with connected(options) as stub:
        saga = _started(stub, request, options)
        if watch:
            return follow_live(stub, saga.id, options, as_json=as_json)
        if wait:
            return present(_ended(stub, saga.id), options, as_json=as_json)
    if as_json:
        present(saga, options, as_json=True)
    else:
        click.echo(f"started {saga.id}; follow it with {options.program()} watch {saga.id}")
    return ExitStatus.OK


def _request(
    definition: str,
    saga_id: str | None,
    saga_input: str | None,
    step_inputs: tuple[str, ...],
    labels: tuple[str, ...],
) -> "coordinator_pb2.StartSagaRequest":
    from amends import new_saga_id
    from amends._payload import pack
    from amends.v1 import coordinator_pb2
    from amends_coordinator.cli._inputs import read_json, read_pairs

    given = read_pairs(step_inputs, option="--step-input", form="STEP=JSON")
    sources = [*given.values(), *([saga_input] if saga_input is not None else [])]
    if sources.count("-") > 1:
        raise CommandError("only one input can come from standard input", ExitStatus.USAGE)
    request = coordinator_pb2.StartSagaRequest(
        # An id of our own, so that a start whose answer is lost can be looked up, and repeated.
        saga_id=saga_id or new_saga_id(),
        labels=read_pairs(labels, option="--label", form="KEY=VALUE"),
        step_inputs={
            step: pack(read_json(source, option=f"--step-input {step}")) for step, source in given.items()
        },
    )
    if saga_input is not None:
        request.input.CopyFrom(pack(read_json(saga_input, option="--input")))
    if is_file(definition):
        request.definition.CopyFrom(read_definition(definition))
    else:
        request.definition_name = definition
    return request


def is_file(definition: str) -> bool:
    """Tells a path from a name: by its ending, or by a slash, which no name has."""
    return PurePath(definition).suffix.lower() in (".yaml", ".yml") or "/" in definition


def read_definition(path: str) -> "saga_pb2.Definition":
    """Reads a definition from a YAML file. Raises CommandError, and the SDK's DefinitionError."""
    from amends import Definition

    try:
        return Definition.from_yaml(path).to_proto()
    except OSError as error:
        raise CommandError(f"{path}: cannot be read: {error.strerror}", ExitStatus.USAGE) from error


def _started(
    stub: "CoordinatorStub", request: "coordinator_pb2.StartSagaRequest", options: Options
) -> "saga_pb2.Saga":
    import grpc

    from amends_coordinator.cli._coordinator import CALL_TIMEOUT, in_words, is_unreachable

    try:
        return stub.StartSaga(request, timeout=CALL_TIMEOUT)
    except grpc.RpcError as error:
        if not is_unreachable(error):
            raise
        said = in_words(error, options.target)
        look = f"{options.program()} get {request.saga_id}"
        raise CommandError(f"{said.message}; whether it started all the same: {look}", said.status) from error


def _ended(stub: "CoordinatorStub", saga_id: str) -> "saga_pb2.Saga":
    from amends_coordinator.cli._follow import follow, get_patiently

    for _ in follow(stub, saga_id, interrupted=lambda: None):
        pass  # The events are followed for their end alone.
    return get_patiently(stub, saga_id)
