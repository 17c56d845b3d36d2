"""Has the real compiler read protos that a test makes up."""

from pathlib import Path
from subprocess import run

from google.protobuf.compiler.plugin_pb2 import CodeGeneratorRequest
from google.protobuf.descriptor_pb2 import FileDescriptorSet

from protos.generate import ROOT, compiler

SAMPLES = ROOT / "sample_services" / "protos"
PAYMENTS = "shop/v1/payments.proto"

HEAD = """
syntax = "proto3";
package shop.v1;
import "amends/v1/options.proto";
import "google/protobuf/empty.proto";
message Order { string account = 1; }
message Receipt { string id = 1; }
"""


def compiled(folder: Path, files: dict[str, str]) -> CodeGeneratorRequest:
    """What a compiler would ask of a plugin about all of these files."""
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    out = folder / "descriptors.binpb"
    flags = ["--include_imports", "--include_source_info", f"--descriptor_set_out={out}"]
    run([*compiler(folder, ROOT / "protos"), *flags, *files], check=True)
    found = FileDescriptorSet.FromString(out.read_bytes()).file
    return CodeGeneratorRequest(file_to_generate=list(files), proto_file=found)
