"""`amends stubs`."""

import sys
from importlib import util
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from amends_coordinator.cli._app import amends
from tests.stubs.compiling import HEAD, PAYMENTS, SAMPLES

WRONG = """
service Payments {
  rpc Charge(Order) returns (Receipt) { option (amends.v1.action) = {compensate: "Undo"}; }
  rpc Look(Order) returns (stream Receipt) { option (amends.v1.action) = {effect_free: true}; }
}
"""


def run(*arguments: str | Path) -> Result:
    return CliRunner().invoke(amends, ["stubs", *map(str, arguments)])


def written(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


def test_it_writes_messages_their_types_and_what_is_generated(tmp_path: Path) -> None:
    """And says which files those are."""
    done = run(PAYMENTS, "-I", SAMPLES, "--out", tmp_path)
    assert done.exit_code == 0, done.output
    names = ["payments_amends.py", "payments_pb2.py", "payments_pb2.pyi"]
    assert written(tmp_path) == [f"shop/v1/{name}" for name in names]
    assert done.output.splitlines() == [str(tmp_path / "shop" / "v1" / name) for name in names]


def test_files_are_looked_up_in_the_current_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As the compiler does."""
    monkeypatch.chdir(SAMPLES)
    assert run(PAYMENTS, "--out", tmp_path).exit_code == 0
    assert len(written(tmp_path)) == 3


def test_imports_are_generated_only_if_they_are_named(tmp_path: Path) -> None:
    """Whoever owns them may have generated them elsewhere."""
    (tmp_path / "types.proto").write_text('syntax = "proto3"; package other; message Order {}')
    service = HEAD.replace("message Order", 'import "types.proto"; message Unused')
    service += "service S { rpc Do(other.Order) returns (Receipt) {"
    service += " option (amends.v1.action) = {effect_free: true}; } }"
    (tmp_path / "service.proto").write_text(service)
    out = tmp_path / "out"
    assert run("service.proto", "-I", tmp_path, "--out", out).exit_code == 0
    assert written(out) == ["service_amends.py", "service_pb2.py", "service_pb2.pyi"]
    assert run("service.proto", "types.proto", "-I", tmp_path, "--out", out).exit_code == 0
    assert "types_pb2.py" in written(out)


def test_every_fault_is_a_line_and_nothing_is_written(tmp_path: Path) -> None:
    """The exit status says that the input is wrong."""
    (tmp_path / "wrong.proto").write_text(HEAD + WRONG)
    done = run("wrong.proto", "-I", tmp_path, "--out", tmp_path / "out")
    assert done.exit_code == 2
    assert done.output.splitlines() == [
        "wrong.proto:10:41: Charge: compensate is 'Undo', which is no method of Payments",
        "wrong.proto:11:3: Look: streams, but an action has one request and one response",
        "amends: the annotations cannot be used; nothing is written",
    ]
    assert not (tmp_path / "out").exists()


def test_an_import_that_cannot_be_found_is_told(tmp_path: Path) -> None:
    """In the compiler's words, with its place."""
    (tmp_path / "lost.proto").write_text('syntax = "proto3";\nimport "nowhere.proto";')
    done = run("lost.proto", "-I", tmp_path, "--out", tmp_path)
    assert done.exit_code == 2
    assert 'lost.proto:2:1: Import "nowhere.proto" was not found' in done.output
    assert done.output.splitlines()[-1] == "amends: the protobuf compiler failed; nothing is written"


def test_a_file_without_annotations_is_told(tmp_path: Path) -> None:
    """Somebody who calls this wants something."""
    (tmp_path / "plain.proto").write_text('syntax = "proto3"; message M {}')
    done = run("plain.proto", "-I", tmp_path, "--out", tmp_path / "out")
    assert done.exit_code == 2
    told = "amends: no method in plain.proto carries the option (amends.v1.action); nothing is written\n"
    assert done.output == told


def test_a_folder_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    """With the path."""
    (tmp_path / "file").touch()
    done = run(PAYMENTS, "-I", SAMPLES, "--out", tmp_path / "file")
    assert done.exit_code == 1
    assert done.output.startswith(f"amends: cannot write to {tmp_path / 'file'}: ")


@pytest.mark.parametrize("missing", ["compiler", "plugin"])
def test_a_missing_compiler_is_told(missing: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """With the command that installs it."""
    if missing == "compiler":
        monkeypatch.setattr(util, "find_spec", lambda name: None)
    else:
        monkeypatch.setattr(sys, "executable", str(tmp_path / "python"))
        monkeypatch.setenv("PATH", str(tmp_path))
    done = run(PAYMENTS, "-I", SAMPLES, "--out", tmp_path)
    assert done.exit_code == 1
    assert done.output == (
        "amends: no protobuf compiler is installed: pip install 'amends[stubs]', or use protoc with "
        "--amends_out\n"
    )
