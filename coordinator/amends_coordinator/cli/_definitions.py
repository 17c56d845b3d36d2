"""The commands about definitions: list, get, register."""

from typing import TYPE_CHECKING

import click

from amends_coordinator.cli._options import Options, json_option, shared_options

if TYPE_CHECKING:
    from amends.v1 import saga_pb2
    from amends.v1.coordinator_pb2_grpc import CoordinatorStub

_PAGE_SIZE = 1_000  # the most that the contract lets a page hold


@click.group(invoke_without_command=True)
@shared_options
@click.pass_context
def definitions(context: click.Context) -> None:
    """Lists, shows or registers definitions.

    Alone it lists them.
    """
    if context.invoked_subcommand is None:
        context.invoke(list_definitions, as_json=False)


@definitions.command("list")
@json_option
@shared_options
@click.pass_obj
def list_definitions(options: Options, as_json: bool) -> None:
    """Lists the newest version of every definition."""
    from amends_coordinator.cli import _definition_views, _json
    from amends_coordinator.cli._coordinator import connected

    with connected(options) as stub:
        found = _all(stub)
    if as_json:
        for definition in found:
            click.echo(_json.to_line(definition))
    elif found:
        _definition_views.show_definitions(found)
    else:
        click.echo("no definitions; register one with: amends definitions register FILE.yaml")


def _all(stub: "CoordinatorStub") -> "list[saga_pb2.Definition]":
    from amends.v1 import coordinator_pb2
    from amends_coordinator.cli._coordinator import CALL_TIMEOUT

    found: list[saga_pb2.Definition] = []
    request = coordinator_pb2.ListDefinitionsRequest(page_size=_PAGE_SIZE)
    while True:
        page = stub.ListDefinitions(request, timeout=CALL_TIMEOUT)
        found.extend(page.definitions)
        request.page_token = page.next_page_token
        if not page.next_page_token:
            return found


@definitions.command("get")
@click.argument("name", metavar="NAME")
@click.option("--version", type=click.IntRange(min=1), help="The version. Default: the newest.")
@json_option
@shared_options
@click.pass_obj
def get_definition(options: Options, name: str, version: int | None, as_json: bool) -> None:
    """Shows a definition, step by step."""
    from amends.v1 import coordinator_pb2
    from amends_coordinator.cli import _definition_views, _json
    from amends_coordinator.cli._coordinator import CALL_TIMEOUT, connected

    request = coordinator_pb2.GetDefinitionRequest(name=name, version=version or 0)
    with connected(options) as stub:
        found = stub.GetDefinition(request, timeout=CALL_TIMEOUT)
    if as_json:
        click.echo(_json.to_line(found))
    else:
        _definition_views.show_definition(found)


@definitions.command("register")
@click.argument("file", metavar="FILE.yaml")
@json_option
@shared_options
@click.pass_obj
def register(options: Options, file: str, as_json: bool) -> None:
    """Stores a definition under its name; the same content again changes nothing."""
    from amends.v1 import coordinator_pb2
    from amends_coordinator.cli import _json
    from amends_coordinator.cli._coordinator import CALL_TIMEOUT, connected
    from amends_coordinator.cli._start import read_definition

    request = coordinator_pb2.RegisterDefinitionRequest(definition=read_definition(file))
    with connected(options) as stub:
        stored = stub.RegisterDefinition(request, timeout=CALL_TIMEOUT)
    if as_json:
        click.echo(_json.to_line(stored))
    else:
        click.echo(f"{stored.name} version {stored.version} is registered")
