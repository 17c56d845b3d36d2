"""Descriptors that a definition carries, from whatever describes services."""

import subprocess
import sys
from pathlib import Path

import pytest
from google.protobuf import descriptor_pb2, timestamp_pb2, type_pb2
from google.protobuf.descriptor_pb2 import FileDescriptorProto, FileDescriptorSet
from google.rpc import error_details_pb2, status_pb2
from hypothesis import given
from hypothesis import strategies as st

from amends import Definition, DefinitionError, Step
from amends.v1 import participant_pb2
from tests.fuzz.effort import effort

NO_UTF_8 = (
    FileDescriptorSet(file=[FileDescriptorProto(name="?.proto")]).SerializeToString().replace(b"?", b"\xff")
)

STEPS = [Step("ship", "carrier", "book")]

CARRIER = """\
syntax = "proto3";
package acme.v1;
import "google/protobuf/timestamp.proto";
import "place.proto";
// Books parcels.
service Carrier { rpc Book(BookRequest) returns (BookRequest); }
message BookRequest { google.protobuf.Timestamp time = 1; acme.v1.Place place = 2; }
"""


def with_descriptors(descriptors: object) -> Definition:
    return Definition("order", STEPS, descriptors=descriptors)  # type: ignore[arg-type] # some are wrong on purpose


def files(definition: Definition) -> list[str]:
    return [file.name for file in FileDescriptorSet.FromString(definition.descriptors).file]


def problems_of(descriptors: object) -> list[str]:
    with pytest.raises(DefinitionError) as caught:
        with_descriptors(descriptors)
    return str(caught.value).splitlines()


def compile_carrier(folder: Path, *options: str) -> Path:
    """Writes a set as protoc does. Returns its file."""
    (folder / "carrier.proto").write_text(CARRIER)
    (folder / "place.proto").write_text(
        'syntax = "proto3"; package acme.v1; message Place { string city = 1; }'
    )
    command = [sys.executable, "-m", "grpc_tools.protoc", f"-I{folder}", "--descriptor_set_out=carrier.binpb"]
    subprocess.run([*command, *options, "carrier.proto"], cwd=folder, check=True)
    return folder / "carrier.binpb"


def test_modules_bring_their_imports_along() -> None:
    """Each file once, and after what it imports."""
    definition = with_descriptors([status_pb2, participant_pb2, status_pb2])
    names = files(definition)
    assert len(names) == len(set(names))
    assert {"google/rpc/status.proto", "google/protobuf/any.proto", "amends/v1/participant.proto"} <= set(
        names
    )
    assert names.index("google/protobuf/any.proto") < names.index("google/rpc/status.proto")


def test_message_classes_and_file_descriptors_stand_for_their_files() -> None:
    """Whatever is at hand."""
    by_module = with_descriptors([error_details_pb2])
    assert by_module == with_descriptors(
        {error_details_pb2.RetryInfo, error_details_pb2.BadRequest.FieldViolation}
    )
    assert by_module == with_descriptors(item for item in [error_details_pb2.DESCRIPTOR])
    assert by_module == with_descriptors([error_details_pb2.RetryInfo.DESCRIPTOR])


def test_a_set_and_its_bytes_are_taken_as_they_are() -> None:
    """And travel in the message of the contract."""
    whole = FileDescriptorSet()
    timestamp_pb2.DESCRIPTOR.CopyToProto(whole.file.add())
    definition = with_descriptors(whole)
    assert definition.to_proto().descriptors == whole
    assert (
        definition
        == with_descriptors(whole.SerializeToString())
        == Definition.from_proto(definition.to_proto())
    )


def test_a_definition_without_descriptors_sends_none() -> None:
    """The coordinator then asks the participants."""
    assert with_descriptors(None) == with_descriptors(b"") == Definition("order", STEPS)
    assert not with_descriptors(None).to_proto().HasField("descriptors")


def test_descriptors_are_content_but_not_printed() -> None:
    """Other descriptors make another definition, and a log line stays one."""
    definition = with_descriptors([participant_pb2])
    assert definition != with_descriptors(None)
    assert hash(definition) == hash(with_descriptors([participant_pb2]))
    assert "descriptors" not in repr(definition)


def test_what_protoc_writes_is_read(tmp_path: Path) -> None:
    """Comments and lines are left out: they are for readers of code, and most of the bytes."""
    plain = compile_carrier(tmp_path, "--include_imports").read_bytes()
    talkative = compile_carrier(tmp_path, "--include_imports", "--include_source_info").read_bytes()
    assert len(talkative) > len(plain)
    assert with_descriptors(talkative).descriptors == with_descriptors(plain).descriptors == plain


def test_a_missing_import_is_told_with_the_option_that_adds_it(tmp_path: Path) -> None:
    """The commonest mistake there is. What comes with protobuf need not be there."""
    (told,) = problems_of(compile_carrier(tmp_path).read_bytes())
    assert told == (
        "descriptors has no 'place.proto', which 'carrier.proto' imports; "
        "protoc adds it with --include_imports"
    )


def test_of_protobufs_own_files_those_need_not_be_there_that_a_coordinator_has() -> None:
    """The others it cannot know, however their names begin."""
    own = ["google/protobuf/type.proto", "google/protobuf/api.proto", "google/protobuf/compiler/plugin.proto"]
    assert files(with_descriptors(FileDescriptorSet(file=[FileDescriptorProto(name="a", dependency=own)])))
    other = FileDescriptorProto(name="a", dependency=["google/protobuf/java_features.proto"])
    (told,) = problems_of(FileDescriptorSet(file=[other]))
    assert told.startswith("descriptors has no 'google/protobuf/java_features.proto', which 'a' imports")


def test_modules_of_protobuf_itself_are_files_as_any() -> None:
    """And are not told to be missing, where a module imports them."""
    assert "google/protobuf/type.proto" in files(with_descriptors([type_pb2]))


def test_not_all_of_a_thousand_missing_imports_are_told() -> None:
    """The first are enough to tell."""
    whole = FileDescriptorSet(
        file=[FileDescriptorProto(name="a", dependency=[f"b{n}" for n in range(1_000)])]
    )
    assert len(problems_of(whole)) == 20


@pytest.mark.parametrize(
    ("descriptors", "problem"),
    [
        (b"syntax = proto3", "descriptors is no FileDescriptorSet, as protoc --descriptor_set_out"),
        (b"\x0a\x00", "descriptors holds a file without a name"),
        (FileDescriptorSet(), "descriptors holds no file"),
        (NO_UTF_8, "descriptors cannot be used: b'\\xff.proto' has a text that is no UTF-8"),
        (
            FileDescriptorSet(file=[FileDescriptorProto(name="a", package=each) for each in "pq"]),
            "descriptors cannot be used: a is there twice, and not the same",
        ),
        (
            FileDescriptorSet(file=[FileDescriptorProto(name=f"a{n}") for n in range(2_001)]),
            "descriptors cannot be used: there are 2001 files, but may be 2000",
        ),
        ([], "descriptors holds no file"),
        (timestamp_pb2, "descriptors is <module 'google.protobuf.timestamp_pb2'"),
        (
            "carrier.binpb",
            "descriptors is 'carrier.binpb', but must be a FileDescriptorSet, the bytes of one",
        ),
        (FileDescriptorProto(name="a"), 'descriptors is name: "a" , but must be a FileDescriptorSet'),
        (
            ["carrier.binpb"],
            "descriptors holds 'carrier.binpb', which is no generated module, file descriptor",
        ),
        ([pytest], "descriptors holds <module 'pytest'"),
        (7, "descriptors is 7, but must be"),
    ],
)
def test_what_describes_nothing_is_refused(descriptors: object, problem: str) -> None:
    """In one line that says what is taken."""
    assert "\n".join(problems_of(descriptors)).startswith(problem)


def test_descriptors_have_a_bound() -> None:
    """What a request can carry."""
    large = FileDescriptorSet()
    descriptor_pb2.DESCRIPTOR.CopyToProto(large.file.add())
    large.file[0].message_type.extend([descriptor_pb2.DescriptorProto(name="a" * 1_000)] * 5_000)
    (told,) = problems_of(large)
    assert told.startswith("descriptors takes 5")
    assert told.endswith("bytes, but may take 4194304")


@effort(200)
@given(st.binary(max_size=100))
def test_any_bytes_are_descriptors_or_not(data: bytes) -> None:
    """And one clear error where they are not."""
    problems = []
    definition = None
    try:
        definition = with_descriptors(data)
    except DefinitionError as error:
        problems = error.problems
    if definition is None:
        assert {problem.field for problem in problems} == {"descriptors"}
    else:
        assert Definition.from_proto(definition.to_proto()) == definition
