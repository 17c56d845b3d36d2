"""Generates sdk/amends/v1 from protos/: messages, gRPC stubs, type stubs, and copies of the .proto files.

And beside the .proto files of the samples the code that their services import.

``--check`` writes nothing and fails if the result would differ from what is there.
"""

import argparse
import filecmp
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterable
from pathlib import Path

import google.rpc
from grpc_tools import protoc

ROOT = Path(__file__).resolve().parent.parent
TARGET = ROOT / "sdk" / "amends" / "v1"
PACKAGE = Path("amends") / "v1"

KINDS = ("python", "grpc_python", "mypy", "mypy_grpc")
"""Messages and stubs, each with types."""

SAMPLES = ROOT / "sample_services" / "protos"
SAMPLE_PACKAGE = Path("shop") / "v1"
SAMPLE_NAMES = ("orders", "payment_events")
"""What the sample's services import as it is; payments.proto is there for others to generate from."""

CARRIER = Path("sample_services") / "carrier"
"""The folder of carrier.proto, which is compiled where it lies: its stubs import its messages from there."""


def compiler(*folders: Path) -> list[str]:
    """Returns how to call the protobuf compiler on files in these folders."""
    # googleapis-common-protos ships its .proto files beside its modules; protoc's own lie in grpc_tools.
    includes = [Path(next(iter(google.rpc.__path__))).parents[1], Path(protoc.__file__).parent / "_proto"]
    return [sys.executable, "-m", "grpc_tools.protoc", *(f"-I{path}" for path in (*folders, *includes))]


def generate(out: Path) -> None:
    """Writes the generated package amends/v1 below ``out``."""
    sources = sorted((ROOT / "protos" / PACKAGE).glob("*.proto"))
    _compile(ROOT / "protos", [PACKAGE / source.name for source in sources], KINDS, out)
    package = out / PACKAGE
    for source in sources:
        shutil.copy(source, package / source.name)
        if not re.search(r"^service ", source.read_text(), re.MULTILINE):
            for empty in package.glob(f"{source.stem}_pb2_grpc.py*"):
                empty.unlink()
    (package / "__init__.py").write_text('"""The contracts of Amends, generated from protos/amends/v1."""\n')


def generate_samples(out: Path) -> None:
    """Writes the messages of the shop, and messages and stubs of the carrier, below ``out``."""
    _compile(SAMPLES, [SAMPLE_PACKAGE / f"{name}.proto" for name in SAMPLE_NAMES], ("python", "mypy"), out)
    _compile(ROOT, [CARRIER / "carrier.proto"], KINDS, out)


def _compile(folder: Path, sources: Iterable[Path], kinds: Iterable[str], out: Path) -> None:
    command = [*compiler(folder), *(f"--{kind}_out={out}" for kind in kinds), *map(str, sources)]
    # The mypy plugins are programs in the bin folder of this interpreter's environment.
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
    subprocess.run(command, check=True, env={**os.environ, "PATH": path}, stderr=subprocess.DEVNULL)


def differences(left: Path, right: Path, generated: str = "*.py*") -> list[str]:
    """Names the files that are not the same in both folders; those on the right that are generated."""
    names = {path.name for folder in (left, right) for path in folder.glob(generated) if path.is_file()}
    names |= {path.name for path in left.glob("*") if path.is_file()}
    _, mismatch, errors = filecmp.cmpfiles(left, right, sorted(names), shallow=False)
    return mismatch + errors


def main() -> int:
    """Generates, or checks."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="only compare")
    check = parser.parse_args().check
    with tempfile.TemporaryDirectory() as folder:
        generate(Path(folder))
        generate_samples(Path(folder))
        fresh, sample = Path(folder) / PACKAGE, Path(folder) / SAMPLE_PACKAGE
        carrier = Path(folder) / CARRIER
        if check:
            stale = [*differences(fresh, TARGET), *differences(sample, SAMPLES / SAMPLE_PACKAGE)]
            stale += differences(carrier, ROOT / CARRIER, "*_pb2*")
            if stale:
                sys.stderr.write(
                    f"generated code is not up to date ({', '.join(stale)}): run 'make protos'\n"
                )
            return 1 if stale else 0
        shutil.rmtree(TARGET, ignore_errors=True)
        shutil.copytree(fresh, TARGET)
        shutil.copytree(sample, SAMPLES / SAMPLE_PACKAGE, dirs_exist_ok=True)
        shutil.copytree(carrier, ROOT / CARRIER, dirs_exist_ok=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
