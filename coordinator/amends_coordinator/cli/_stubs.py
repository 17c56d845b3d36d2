"""The command that generates typed Python from annotated services."""

from typing import TYPE_CHECKING

import click

from amends_coordinator.cli._exits import CommandError, ExitStatus
from amends_coordinator.cli._options import debug_option

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from google.protobuf.compiler.plugin_pb2 import CodeGeneratorRequest


@click.command()
@click.argument("files", metavar="FILE.proto...", nargs=-1, required=True)
@click.option("--out", "folder", metavar="DIR", required=True, help="The folder to write to.")
@click.option(
    "-I",
    "includes",
    metavar="DIR",
    multiple=True,
    help="Where FILE and its imports are looked up; may be repeated. Default: the current folder.",
)
@debug_option
def stubs(files: "Sequence[str]", folder: str, includes: "Sequence[str]") -> None:
    """Generates typed participants and steps from services annotated with (amends.v1.action).

    Writes the messages of each FILE and, where it has annotated services, a module FILE_amends.py with an
    abstract class for the participant and what makes the steps that call it. The contracts of Amends, and
    the protos of Google's that they import, are found by themselves.
    """
    import tempfile
    from pathlib import Path

    from amends._stubs import AnnotationError, generate

    with tempfile.TemporaryDirectory() as scratch:
        request = _compile(files, includes or (".",), Path(scratch))
        try:
            modules = generate(request)
        except AnnotationError as error:
            click.echo(error, err=True)
            raise CommandError(
                "the annotations cannot be used; nothing is written", ExitStatus.USAGE
            ) from None
        if not modules:
            text = (
                f"no method in {', '.join(files)} carries the option (amends.v1.action); nothing is written"
            )
            raise CommandError(text, ExitStatus.USAGE)
        messages = {
            path.relative_to(scratch).as_posix(): path.read_text("utf-8")
            for path in Path(scratch).rglob("*_pb2.py*")
        }
    _write(Path(folder), {**messages, **modules})


def _compile(files: "Sequence[str]", includes: "Sequence[str]", scratch: "Path") -> "CodeGeneratorRequest":
    """Has the compiler write the messages to a folder, and returns what it would ask of a plugin."""
    import subprocess
    import sys

    from google.protobuf.compiler.plugin_pb2 import CodeGeneratorRequest
    from google.protobuf.descriptor_pb2 import FileDescriptorSet

    from amends._stubs import path_of

    descriptors = scratch / "descriptors.binpb"
    command = [sys.executable, "-m", "grpc_tools.protoc", f"--plugin=protoc-gen-mypy={_plugin()}"]
    command += [f"-I{include}" for include in [*includes, *_packaged()]]
    command += ["--include_imports", "--include_source_info", f"--descriptor_set_out={descriptors}"]
    command += [f"--python_out={scratch}", f"--mypy_out={scratch}", *files]
    done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 # our own compiler
    if done.returncode:
        click.echo(done.stderr.strip(), err=True)
        raise CommandError("the protobuf compiler failed; nothing is written", ExitStatus.USAGE)
    found = FileDescriptorSet.FromString(descriptors.read_bytes()).file
    # What was asked for is what the compiler has written messages for; the others are imports.
    asked = [file.name for file in found if (scratch / path_of(file.name, "_pb2")).exists()]
    return CodeGeneratorRequest(file_to_generate=asked, proto_file=found)


def _plugin() -> str:
    """The plugin that writes the stubs of messages, installed together with the compiler."""
    import os
    import shutil
    import sys
    from importlib.util import find_spec

    folders = os.pathsep.join([os.path.dirname(sys.executable), os.environ.get("PATH", os.defpath)])
    plugin = shutil.which("protoc-gen-mypy", path=folders)
    if plugin is None or find_spec("grpc_tools") is None:
        raise CommandError(
            "no protobuf compiler is installed: pip install 'amends[stubs]', or use protoc with --amends_out"
        )
    return plugin


def _packaged() -> "tuple[Path, Path]":
    """The folders that hold the contracts of Amends and the protos of Google's."""
    from importlib.resources import files
    from pathlib import Path

    # Google's common protos are installed beside the Python modules made from them.
    return Path(str(files("amends"))).parent, Path(str(files("google.rpc") / "status.proto")).parents[2]


def _write(folder: "Path", modules: "Mapping[str, str]") -> None:
    try:
        for name, text in sorted(modules.items()):
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, "utf-8")
            click.echo(path)
    except OSError as error:
        raise CommandError(f"cannot write to {folder}: {error.filename}: {error.strerror}") from error
