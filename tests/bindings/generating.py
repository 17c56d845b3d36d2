"""Has the hotel's protos compiled: the modules for its server, and the messages that tests read and write."""

import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from google.protobuf import any_pb2, message_factory
from google.protobuf.descriptor_pb2 import FileDescriptorSet
from google.protobuf.descriptor_pool import DescriptorPool

from protos.generate import compiler

PROTOS = Path(__file__).parent / "thirdparty" / "proto"
DESK = "grand/hotel/v1/desk.proto"

CHANGES = {"string charge_to = 2;": "string account = 2;", "uint64 keys = 5;": "uint64 keys = 9;"}
"""What the hotel changed in its next release, careless of who calls it: a field's name, another's number."""


@dataclass(frozen=True)
class Release:
    """One release of the hotel's interface."""

    modules: Path
    """The folder with the generated modules."""
    descriptors: FileDescriptorSet
    """Its files with everything that they import, as protoc writes them."""
    pool: DescriptorPool
    """The same files, linked: apart from those of other releases."""

    def message(self, name: str, **fields: Any) -> Any:
        """A message of the package grand.hotel.v1."""
        return message_factory.GetMessageClass(self.pool.FindMessageTypeByName(f"grand.hotel.v1.{name}"))(
            **fields
        )

    def unpacked(self, payload: any_pb2.Any, name: str) -> Any:
        """A payload that is a message of the package grand.hotel.v1."""
        assert payload.type_url == f"type.googleapis.com/grand.hotel.v1.{name}"
        return type(self.message(name)).FromString(payload.value)


def generate(folder: Path, changes: dict[str, str]) -> Release:
    """Compiles the protos with some text replaced, into an empty folder."""
    sources, modules, descriptors = folder / "protos", folder / "modules", folder / "desk.binpb"
    names = [str(path.relative_to(PROTOS)) for path in sorted(PROTOS.rglob("*.proto"))]
    for name in names:
        text = (PROTOS / name).read_text()
        if name == DESK:
            for old, new in changes.items():
                assert old in text, f"{DESK} has no {old!r} to change"
                text = text.replace(old, new)
        (sources / name).parent.mkdir(parents=True)
        (sources / name).write_text(text)
    modules.mkdir()
    outs = [f"--{kind}_out={modules}" for kind in ("python", "grpc_python")]
    flags = ["--include_imports", f"--descriptor_set_out={descriptors}"]
    subprocess.run([*compiler(sources), *outs, *flags, *names], check=True)
    found = FileDescriptorSet.FromString(descriptors.read_bytes())
    pool = DescriptorPool()
    for file in found.file:
        pool.Add(file)
    return Release(modules, found, pool)
