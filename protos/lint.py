"""Holds the contracts to the rules in buf.yaml, and to what was released.

buf reads what our own compiler has made of the files, since it would fetch what they import from a registry
of its own. It compares with `released.binpb`, the contracts of the last release as the compiler has them. A
file is there in every copy of this repository, also in one without its history or its tags; ``--release``
renews it, when a version is released.

buf comes from npm, as package-lock.json has it. Where npm is missing this says so, and passes.
"""

import argparse
import shutil
import subprocess
import sys
from pathlib import Path

from protos.generate import ROOT, compiler

FOLDERS = (ROOT / "protos", ROOT / "sample_services" / "protos")
"""Where packages of .proto files begin."""

CONFIG = ROOT / "protos" / "buf.yaml"
RELEASED = ROOT / "protos" / "released.binpb"
CURRENT = ROOT / "build" / "protos.binpb"
BUF = ROOT / "node_modules" / ".bin" / "buf"

INSTALL_TIMEOUT = 300
"""Seconds that npm may take: it fetches about 40 MB."""


def install() -> bool:
    """Installs what package-lock.json lists, if it is not there yet; False where there is no npm."""
    npm = shutil.which("npm")
    if npm is None:
        return False
    lock, installed = ROOT / "package-lock.json", ROOT / "node_modules" / ".package-lock.json"
    if not installed.exists() or installed.stat().st_mtime < lock.stat().st_mtime:
        subprocess.run(
            [npm, "ci"],
            cwd=ROOT,
            check=True,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            timeout=INSTALL_TIMEOUT,
        )
    return True


def compile_to(image: Path, *folders: Path, flags: tuple[str, ...] = ()) -> None:
    """Compiles everything in these folders, with what it imports."""
    names = [path.relative_to(folder) for folder in folders for path in sorted(folder.rglob("*.proto"))]
    image.parent.mkdir(parents=True, exist_ok=True)
    command = [*compiler(*folders), *flags, "--include_imports", f"--descriptor_set_out={image}"]
    subprocess.run([*command, *map(str, names)], check=True)


def buf(*arguments: str | Path) -> int:
    """Asks buf about our own packages, and returns its exit status."""
    paths = sorted(
        {path.parent.relative_to(folder) for folder in FOLDERS for path in folder.rglob("*.proto")}
    )
    scope = [argument for path in paths for argument in ("--path", str(path))]
    return subprocess.run([BUF, *arguments, "--config", CONFIG, *scope], cwd=ROOT, check=False).returncode


def main() -> int:
    """Checks, or keeps what is released."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--release", action="store_true", help="compare with the contracts of today from now on"
    )
    if parser.parse_args().release:
        compile_to(RELEASED, ROOT / "protos")
        return 0
    try:
        if not install():
            print("buf is skipped: it comes from npm, which is not on this machine")
            return 0
    except subprocess.SubprocessError as error:
        print(f"buf could not be installed, and what npm says is above: {error}", file=sys.stderr)
        return 1
    compile_to(CURRENT, *FOLDERS, flags=("--include_source_info",))
    return buf("lint", CURRENT) or buf("breaking", CURRENT, "--against", RELEASED)


if __name__ == "__main__":
    sys.exit(main())
