"""The languages in sample_services/polyglot: what each takes, how it is built, and what is run then."""

import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from sample_services.demo.stage import ROOT

SOURCES: Final = ROOT / "sample_services" / "polyglot"
"""Where each language has a folder of its name."""


@dataclass(frozen=True, kw_only=True)
class Language:
    """One language: a participant and a client. In commands, {folder} stands for where it is built."""

    name: str
    """Names it, and its folder."""
    tools: tuple[str, ...]
    """The programs of its toolchain."""
    build: tuple[tuple[str, ...], ...]
    """The commands of its README that build it, run in its folder once the contracts are there."""
    participant: tuple[str, ...]
    """Serves payments; takes --listen HOST:PORT and --store FILE."""
    client: tuple[str, ...]
    """Talks to a coordinator; takes --target HOST:PORT and other options, a command and a saga's id."""
    made: tuple[str, ...]
    """The names of folders that a build makes; they are no sources, where somebody has built by hand."""
    sources: Path = SOURCES
    """Where its folder is."""

    def missing(self) -> list[str]:
        """Names the tools that are not on this machine."""
        return [tool for tool in self.tools if shutil.which(tool) is None]

    def serving(self, folder: Path) -> list[str]:
        """Returns how to run the participant that was built in a folder."""
        return [word.format(folder=folder) for word in self.participant]

    def calling(self, folder: Path) -> list[str]:
        """Returns how to run the client that was built in a folder."""
        return [word.format(folder=folder) for word in self.client]


LANGUAGES: Final = (
    Language(
        name="go",
        tools=("go",),
        build=(("go", "generate", "./..."), ("go", "build", "-o", "bin/", "./cmd/...")),
        participant=("{folder}/bin/payments",),
        client=("{folder}/bin/client",),
        made=("amends", "bin", "contracts"),
    ),
    Language(
        name="java",
        tools=("java", "mvn"),
        build=(("mvn", "--batch-mode", "--quiet", "package"),),
        participant=("java", "-jar", "{folder}/target/payments.jar"),
        client=("java", "-cp", "{folder}/target/payments.jar", "example.payments.Client"),
        made=("contracts", "target"),
    ),
    Language(
        name="node",
        tools=("node", "npm"),
        build=(("npm", "ci"), ("npm", "run", "build")),
        participant=("node", "{folder}/dist/payments.js"),
        client=("node", "{folder}/dist/client.js"),
        made=("contracts", "dist", "gen", "node_modules"),
    ),
)
"""All of them, by name."""
