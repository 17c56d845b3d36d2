"""The command that hands out the contracts, for participants and clients in other languages."""

import re
from pathlib import Path
from typing import TYPE_CHECKING

import click

from amends_coordinator.cli._exits import CommandError
from amends_coordinator.cli._options import debug_option, json_option

if TYPE_CHECKING:
    from importlib.resources.abc import Traversable

_IMPORT = re.compile(r'^import (?:public )?"([^"]+)";', re.MULTILINE)
_WITH_EVERY_COMPILER = "google/protobuf/"


@click.command()
@click.option("--copy", "folder", metavar="DIR", help="Copies them to DIR, with all that they import.")
@json_option
@debug_option
def protos(folder: str | None, as_json: bool) -> None:
    """Tells where the packaged .proto files are.

    Prints the folder to give to protoc as -I.

    With --copy, copies them to a folder of yours, together with the files of Google's that they import,
    so that the copy compiles by itself.
    """
    from importlib.resources import files

    packaged = Path(str(files("amends"))) / "v1"
    root = packaged.parents[1]
    if folder is not None:
        root = Path(folder)
        _copy(packaged, root)
    _tell(root, as_json=as_json)


def _tell(root: Path, *, as_json: bool) -> None:
    if as_json:
        import json

        names = sorted(path.relative_to(root).as_posix() for path in (root / "amends" / "v1").glob("*.proto"))
        click.echo(json.dumps({"root": str(root), "files": names}))
    else:
        click.echo(root)


def _copy(packaged: Path, root: Path) -> None:
    wanted = [f"amends/v1/{path.name}" for path in sorted(packaged.glob("*.proto"))]
    copied: set[str] = set()
    try:
        while wanted:
            name = wanted.pop()
            if name in copied or name.startswith(_WITH_EVERY_COMPILER):
                continue
            copied.add(name)
            text = _find(name, packaged).read_text("utf-8")
            wanted.extend(_IMPORT.findall(text))
            target = root / name
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(text, "utf-8")
    except OSError as error:
        raise CommandError(f"cannot copy to {root}: {error.filename}: {error.strerror}") from error


def _find(name: str, packaged: Path) -> "Traversable":
    if name.startswith("amends/"):
        return packaged / Path(name).name
    # Google's common protos are installed beside the Python modules made from them.
    from importlib.resources import files

    package = ".".join(Path(name).parent.parts)
    return files(package) / Path(name).name
