"""The command that certifies participants, and coordinators."""

import json
from typing import TYPE_CHECKING, Any

import click

from amends_coordinator.cli._exits import CommandError, ExitStatus
from amends_coordinator.cli._options import Options, json_option, trust_options

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from amends_coordinator.conformance import Result

_STYLES = {"passed": "green", "failed": "bold red", "skipped": "dim"}

_INPUTS = {
    "input": "An input with which a Try succeeds, again and again. Default: {}.",
    "rejected-input": "An input with which a Try is rejected.",
    "other-input": "A well-formed input other than --input. Default: that of --rejected-input.",
    "failing-input": "An input with which a Try fails for a passing reason, so that it is repeated.",
    "pending-input": "An input with which a Try is pending.",
}


def _input_options(command: "Callable[..., Any]") -> "Callable[..., Any]":
    for name, text in reversed(_INPUTS.items()):
        command = click.option(f"--{name}", metavar="JSON|@FILE|-", help=text)(command)
    return command


@click.command()
@click.argument("target", metavar="[HOST:PORT]", required=False)
@click.option(
    "--action", metavar="NAME", help="The action to exercise. Default: the only one that can be compensated."
)
@_input_options
@click.option(
    "--result",
    "results",
    metavar="STEP=JSON|@FILE|-",
    multiple=True,
    help="The result of a step that the action needs, for each Try; may be repeated.",
)
@click.option(
    "--effects",
    metavar="COMMAND",
    help="A shell command that prints how many effects of the saga $AMENDS_SAGA_ID are in force.",
)
@click.option(
    "--restart", metavar="COMMAND", help="A shell command that kills the participant and starts it again."
)
@click.option("--coordinator", metavar="HOST:PORT", help="Certifies this coordinator instead.")
@click.option(
    "--participant",
    metavar="NAME=HOST:PORT",
    help="With --coordinator: a participant that it is configured with, and that the kit serves meanwhile.",
)
@json_option
@trust_options
@click.pass_obj
def conformance(
    options: Options,
    /,
    target: str | None,
    coordinator: str | None,
    participant: str | None,
    results: tuple[str, ...],
    as_json: bool,
    **given: str | None,
) -> ExitStatus:
    """Certifies a participant at HOST:PORT, in any language.

    Exercises one of its actions in sagas of the kit's own, and checks every row of the contract: what the
    fence remembers, which statuses are answered, calls that come twice, at once, or in the wrong order, and
    what is left after a restart. What an action did is undone at the end of each row; still, this is for an
    instance that nobody depends on.

    With --coordinator, certifies a coordinator as its clients see it.

    Rows that cannot be checked with what was given are skipped, and say what is needed; docs/conformance.md
    tells more. The exit status is 0 if no row failed, and 1 otherwise.
    """
    from amends import _loop
    from amends_coordinator.cli import _certify

    if (target is None) == (coordinator is None):
        raise CommandError("name a participant, or --coordinator HOST:PORT, and not both", ExitStatus.USAGE)
    if (coordinator is None) != (participant is None):
        raise CommandError("--coordinator and --participant need each other", ExitStatus.USAGE)
    if coordinator is not None and participant is not None:
        misplaced = ["--result"] if results else []
        misplaced += [f"--{name.replace('_', '-')}" for name, value in given.items() if value is not None]
        if misplaced:
            message = f"{misplaced[0]} is for participants, and does not go with --coordinator"
            raise CommandError(message, ExitStatus.USAGE)
        work = _certify.coordinator(options, coordinator, participant)
    else:
        assert target is not None, "one of the two is given"
        work = _certify.participant(options, target, given, results)
    return _report(_loop.run(work), as_json=as_json)


def _report(results: "Sequence[Result]", *, as_json: bool) -> ExitStatus:
    counts = {word: sum(result.verdict == word for result in results) for word in _STYLES}
    if as_json:
        for result in results:
            click.echo(json.dumps(_as_json(result), ensure_ascii=False))
    else:
        _show(results)
        click.echo("\n" + ", ".join(f"{count} {word}" for word, count in counts.items()))
    return ExitStatus.FAILED if counts["failed"] else ExitStatus.OK


def _as_json(result: "Result") -> dict[str, str]:
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
