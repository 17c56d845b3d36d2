"""The command that certifies participants, and coordinators."""

import json
from typing import TYPE_CHECKING, Any

import click

from amends_coordinator.cli._exits import CommandError, ExitStatus
from amends_coordinator.cli._options import Options, json_option, trust_options

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import grpc

    from amends.v1 import participant_pb2 as pb
    from amends_coordinator.conformance import Inputs, Result, Subject

_INPUTS = {
    "succeeding": "An input with which a Try succeeds, again and again. Default: {}.",
    "rejected": "An input with which a Try is rejected.",
    "other": "A well-formed input other than --input. Default: that of --rejected-input.",
    "failing": "An input with which a Try fails for a passing reason, so that it is repeated.",
    "pending": "An input with which a Try is pending.",
}
_STYLES = {"passed": "green", "failed": "bold red", "skipped": "dim"}


def _input_options(command: "Callable[..., Any]") -> "Callable[..., Any]":
    for name, text in reversed(_INPUTS.items()):
        flag = "--input" if name == "succeeding" else f"--{name}-input"
        command = click.option(flag, name, metavar="JSON|@FILE|-", help=text)(command)
    return command


@click.command()
@click.argument("target", metavar="HOST:PORT")
@click.option(
    "--action", metavar="NAME", help="The action to exercise. Default: the only one that can be compensated."
)
@_input_options
@click.option(
    "--effects",
    metavar="COMMAND",
    help="A shell command that prints how many effects of the saga in $AMENDS_SAGA_ID are in force.",
)
@click.option(
    "--restart", metavar="COMMAND", help="A shell command that kills the participant and starts it again."
)
@json_option
@trust_options
@click.pass_obj
def conformance(
    options: Options,
    /,
    target: str,
    action: str | None,
    effects: str | None,
    restart: str | None,
    as_json: bool,
    **inputs: str | None,
) -> ExitStatus:
    """Certifies a participant, in any language.

    Exercises one of its actions, in sagas of the kit's own, and checks every row of the contract: what the
    fence remembers, which statuses are answered, calls that come twice, at once, or in the wrong order, and
    what is left after a restart. What an action did is undone at the end of each row; still, this is for an
    instance that nobody depends on.

    Rows that cannot be checked with what was given are skipped, and say what is needed. docs/conformance.md
    tells more. The exit status is 0 if no row failed, and 1 otherwise.
    """
    from amends import _loop

    results = _loop.run(_certify(options, target, action, inputs, effects, restart))
    return _report(results, as_json=as_json)


async def _certify(
    options: Options,
    target: str,
    action: str | None,
    inputs: "dict[str, str | None]",
    effects: str | None,
    restart: str | None,
) -> "Sequence[Result]":
    from amends_coordinator.conformance import EffectsCommand, RestartCommand, Subject, certify_participant

    given = _read_inputs(inputs)
    async with _channel(options, target) as channel:
        described = await _describe(channel, target)
        subject = Subject(
            action=_choose(described, action),
            inputs=given,
            count_effects=EffectsCommand(effects) if effects is not None else None,
            restart=RestartCommand(restart) if restart is not None else None,
        )
        await _try_out(subject)
        return await certify_participant(channel, described, subject)


def _read_inputs(sources: "dict[str, str | None]") -> "Inputs":
    from amends._payload import pack
    from amends_coordinator.cli._inputs import read_json
    from amends_coordinator.conformance import Inputs

    if list(sources.values()).count("-") > 1:
        raise CommandError("only one input can come from standard input", ExitStatus.USAGE)
    given = {}
    for name, source in sources.items():
        option = "--input" if name == "succeeding" else f"--{name}-input"
        if source is not None:
            given[name] = pack(read_json(source, option=option))
    given.setdefault("succeeding", pack({}))
    if "rejected" in given:
        given.setdefault("other", given["rejected"])
    if given.get("other") == given["succeeding"]:
        raise CommandError("--other-input must not be what --input is", ExitStatus.USAGE)
    return Inputs(**given)


def _channel(options: Options, target: str) -> "grpc.aio.Channel":
    import grpc

    from amends_coordinator.cli._coordinator import read_credentials
    from amends_coordinator.settings import read_address

    try:
        address = read_address(target)
    except ValueError as error:
        raise CommandError(f"{target}: {error}", ExitStatus.USAGE) from None
    # What is restarted should be found again at once.
    channel_options = [("grpc.initial_reconnect_backoff_ms", 100), ("grpc.max_reconnect_backoff_ms", 1_000)]
    credentials = read_credentials(options)
    if credentials is None:
        return grpc.aio.insecure_channel(address, options=channel_options)
    return grpc.aio.secure_channel(address, credentials, options=channel_options)


async def _describe(channel: "grpc.aio.Channel", target: str) -> "pb.DescribeResponse":
    import grpc

    from amends.v1 import participant_pb2, participant_pb2_grpc
    from amends_coordinator.cli._coordinator import CALL_TIMEOUT
    from amends_coordinator.cli._words import clean

    stub = participant_pb2_grpc.ParticipantStub(channel)
    try:
        return await stub.Describe(participant_pb2.DescribeRequest(), timeout=CALL_TIMEOUT)
    except grpc.aio.AioRpcError as error:
        code, words = error.code(), clean(error.details() or "")
    if code is grpc.StatusCode.UNIMPLEMENTED:
        raise CommandError(f"what listens at {target} is no participant: it has no Describe")
    if "Connection refused" in words:
        raise CommandError(f"nobody listens at {target}", ExitStatus.UNREACHABLE)
    if code in (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED):
        said = f"the participant at {target} does not answer ({code.name}: {words})"
        raise CommandError(said, ExitStatus.UNREACHABLE)
    raise CommandError(f"Describe of the participant at {target} failed with {code.name}: {words}")


def _choose(described: "pb.DescribeResponse", name: str | None) -> str:
    from amends_coordinator.cli._words import clean

    fit = [action.name for action in described.actions if action.compensatable]
    if name is None and len(fit) == 1:
        return fit[0]
    if name is not None and name in fit:
        return name
    known = clean(", ".join(fit)) or "none"
    wrong = "--action is missing" if name is None else f"--action {name}: there is no such action"
    raise CommandError(f"{wrong}; those that can be compensated are: {known}", ExitStatus.USAGE)


async def _try_out(subject: "Subject") -> None:
    """Counts the effects of a saga that does not exist: a wrong command is no fault of the participant."""
    from amends import new_saga_id
    from amends_coordinator.conformance import CommandFailedError

    if subject.count_effects is None:
        return
    try:
        found = await subject.count_effects(f"conformance-{new_saga_id()}")
    except CommandFailedError as error:
        raise CommandError(f"--effects: {error}", ExitStatus.USAGE) from error
    if found != 0:
        message = f"--effects: the command counts {found} effects of a saga that does not exist; must be 0"
        raise CommandError(message, ExitStatus.USAGE)


def _report(results: "Sequence[Result]", *, as_json: bool) -> ExitStatus:
    counts = {word: sum(result.verdict == word for result in results) for word in _STYLES}
    if as_json:
        for result in results:
            click.echo(json.dumps(_as_json(result), ensure_ascii=False))
    else:
        _show(results)
        click.echo("\n" + ", ".join(f"{count} {word}" for word, count in counts.items()))
    return ExitStatus.FAILED if counts["failed"] else ExitStatus.OK


def _as_json(result: "Result") -> dict[str, Any]:
    return {
        "row": result.row,
        "over": result.over,
        "what": result.what,
        "result": result.verdict.value,
        "why": result.why,
    }


def _show(results: "Sequence[Result]") -> None:
    from rich.text import Text

    from amends_coordinator.cli import _screen
    from amends_coordinator.cli._words import clean

    table = _screen.table("row", "over", "result", "what", "why")
    for result in results:
        word = "FAILED" if result.verdict == "failed" else result.verdict.value
        style = _STYLES[result.verdict.value]
        what = Text(result.what, style="dim" if style == "dim" else "")
        table.add_row(Text(result.row), result.over, Text(word, style=style), what, Text(clean(result.why)))
    _screen.show(table)
