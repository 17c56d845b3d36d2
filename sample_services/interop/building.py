"""Builds a language in a copy of its folder, as its README tells readers to, unless that was done before."""

import asyncio
import hashlib
import importlib.util
import os
import shlex
import shutil
import signal
import sys
from asyncio.subprocess import DEVNULL, STDOUT
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final

import amends.v1
from sample_services.demo.processes import tail
from sample_services.demo.stage import ROOT
from sample_services.interop.languages import Language

BUILDS: Final = ROOT / "build" / "interop"
"""Where languages are built; git ignores it, and `make clean` removes it."""

TIMEOUT_S: Final = 900.0
"""How long one command of a build may take: the first one downloads everything, and compiles a database."""

_STAMP: Final = ".built-from"


class BuildError(Exception):
    """A language could not be built; says which command failed, and how its output ended."""


async def build(language: Language, builds: Path = BUILDS) -> Path:
    """Builds a language and returns the folder it was built in.

    Raises:
        BuildError: one of its commands failed.
    """
    folder = builds / language.name
    stamp, digest = folder / _STAMP, _digest(language)
    if stamp.is_file() and stamp.read_text() == digest:
        return folder
    # From nothing, so that no file that is gone takes part; what was downloaded, the tools keep themselves.
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(_home(language), folder, ignore=shutil.ignore_patterns(*language.made))
    log = builds / f"{language.name}.log"
    log.write_bytes(b"")
    env = {**os.environ, "PATH": _path(builds / "tools")}
    contracts = [sys.executable, "-m", "amends_coordinator.cli", "protos", "--copy", "contracts"]
    for command in (contracts, *language.build):
        await _run(command, folder, env, log)
    stamp.write_text(digest)
    return folder


def _home(language: Language) -> Path:
    return language.sources / language.name


def _digest(language: Language) -> str:
    """Tells one state of everything that a build depends on from another, the toolchain itself excepted."""
    digest = hashlib.sha256(repr((language.build, sorted(language.made))).encode())
    for path in [*_sources(language), *_contracts()]:
        digest.update(f"{path.name}\0{path.stat().st_size}\0".encode() + path.read_bytes())
    return digest.hexdigest()


def _sources(language: Language) -> Iterator[Path]:
    home = _home(language)
    for path in sorted(home.rglob("*")):
        if path.is_file() and not set(path.relative_to(home).parts) & set(language.made):
            yield path


def _contracts() -> list[Path]:
    return sorted(path for folder in amends.v1.__path__ for path in Path(folder).glob("*.proto"))


def _path(tools: Path) -> str:
    """Returns a PATH on which there is a protoc: that of the Python environment where there is no other."""
    path = os.environ.get("PATH", os.defpath)
    if shutil.which("protoc"):
        return path
    spec = importlib.util.find_spec("grpc_tools")
    if spec is None or spec.origin is None:
        raise BuildError("there is no protoc, and no grpcio-tools in its place: pip install grpcio-tools")
    includes = Path(spec.origin).parent / "_proto"
    tools.mkdir(parents=True, exist_ok=True)
    shim = tools / "protoc"
    command = [sys.executable, "-m", "grpc_tools.protoc", f"-I{includes}"]
    shim.write_text(f'#!/bin/sh\nexec {shlex.join(command)} "$@"\n')
    shim.chmod(0o755)
    return os.pathsep.join([str(tools), path])


async def _run(command: Sequence[str], folder: Path, env: Mapping[str, str], log: Path) -> None:
    with log.open("ab") as output:
        process = await asyncio.create_subprocess_exec(
            *command,
            cwd=folder,
            env=env,
            stdin=DEVNULL,
            stdout=output,
            stderr=STDOUT,
            start_new_session=True,
        )
        try:
            async with asyncio.timeout(TIMEOUT_S):
                status = await process.wait()
        except TimeoutError:
            raise BuildError(f"{shlex.join(command)} took more than {TIMEOUT_S:g} s\n{tail(log)}") from None
        finally:
            # Whatever it has started is in its session, and must not go on when this is interrupted.
            if process.returncode is None:
                with suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)
                await process.wait()
    if status != 0:
        raise BuildError(f"{shlex.join(command)} ended with status {status}\n{tail(log)}")
