"""docs/cli.md keeps up with the command."""

import re
from pathlib import Path

import click

from amends_coordinator.cli._app import amends
from amends_coordinator.cli._exits import ExitStatus

DOCS = (Path(__file__).parents[2] / "docs" / "cli.md").read_text()


def test_every_command_and_option_is_documented() -> None:
    """Except what every command has, and the settings, which have a page of their own."""
    for name, command in amends.commands.items():
        assert f"`{name}`" in DOCS, name
        if name == "serve":
            continue
        for parameter in command.params:
            if isinstance(parameter, click.Option):
                assert parameter.opts[0] in DOCS, (name, parameter.opts)


def test_every_exit_status_is_documented() -> None:
    """Scripts rely on the numbers."""
    assert {int(number) for number in re.findall(r"^\| (\d+) \|", DOCS, re.MULTILINE)} == set(ExitStatus)
