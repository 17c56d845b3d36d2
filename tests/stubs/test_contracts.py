"""The contracts are fit for every language, and held to what was released."""

import shutil
from pathlib import Path

import pytest
from google.protobuf.descriptor_pb2 import FileDescriptorProto, FileDescriptorSet

from protos import lint
from protos.generate import ROOT

PROTOS = ROOT / "protos"
CONTRACTS = sorted(path.relative_to(PROTOS).as_posix() for path in PROTOS.rglob("*.proto"))


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The contracts as the compiler has them."""
    path = tmp_path_factory.mktemp("image") / "protos.binpb"
    lint.compile_to(path, PROTOS)
    return path


@pytest.fixture
def files(image: Path) -> dict[str, FileDescriptorProto]:
    """What is in it, by name."""
    return {file.name: file for file in FileDescriptorSet.FromString(image.read_bytes()).file}


@pytest.mark.parametrize("name", CONTRACTS)
def test_every_file_names_its_packages(name: str, files: dict[str, FileDescriptorProto]) -> None:
    """All files the same, since they refer to each other; Java's outer class is the file's own."""
    options = files[name].options
    outer = "".join(word.capitalize() for word in Path(name).stem.split("_")) + "Proto"
    assert (options.go_package, options.java_package, options.csharp_namespace) == (
        "amends/v1;amendsv1",
        "amends.v1",
        "Amends.V1",
    )
    assert (options.java_multiple_files, options.java_outer_classname) == (True, outer)


def test_what_was_released_is_all_there(files: dict[str, FileDescriptorProto]) -> None:
    """The image to compare with is one of these contracts, and needs nothing but itself."""
    released = FileDescriptorSet.FromString(lint.RELEASED.read_bytes()).file
    names = [file.name for file in released]
    assert {name for name in names if name.startswith("amends/")} <= set(files)
    assert all(name in names for file in released for name in file.dependency)


def test_without_npm_buf_is_skipped_and_that_is_said(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """So that the check works on any machine, and nobody takes it for more than it was."""
    monkeypatch.setattr(shutil, "which", lambda name: None)
    monkeypatch.setattr("sys.argv", ["lint"])
    assert lint.main() == 0
    assert capsys.readouterr().out == "buf is skipped: it comes from npm, which is not on this machine\n"


def test_a_failure_of_npm_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """It is no reason to skip."""
    npm = tmp_path / "npm"
    npm.write_text("#!/bin/sh\nexit 7\n")
    npm.chmod(0o755)
    monkeypatch.setattr(shutil, "which", lambda name: str(npm))
    monkeypatch.setattr(lint, "ROOT", tmp_path)
    monkeypatch.setattr("sys.argv", ["lint"])
    assert lint.main() == 1
    assert "returned non-zero exit status 7" in capsys.readouterr().err


needs_buf = pytest.mark.skipif(
    not lint.BUF.exists() or shutil.which("node") is None, reason="buf is not installed; make check does that"
)


def compiled(folder: Path, old: str, new: str) -> Path:
    """The contracts with one change in saga.proto, compiled."""
    protos = folder / "protos"
    shutil.copytree(PROTOS / "amends", protos / "amends")
    saga = protos / "amends" / "v1" / "saga.proto"
    text = saga.read_text()
    assert text.count(old) == 1
    saga.write_text(text.replace(old, new))
    lint.compile_to(folder / "image.binpb", protos, flags=("--include_source_info",))
    return folder / "image.binpb"


@needs_buf
@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("bool effect_free = 6;", "bool effect_free = 16;", "Previously present field"),
        ("bool effect_free = 6;", "string effect_free = 6;", "changed type"),
        ("bool effect_free = 6;", "bool without_effect = 6;", "changed name"),
        ("RETRIABLE = 3;", "", "Previously present enum value"),
    ],
)
def test_what_breaks_a_release_is_found(
    tmp_path: Path, old: str, new: str, told: str, capfd: pytest.CaptureFixture[str]
) -> None:
    """Whether it breaks the wire or what compiles."""
    image = compiled(tmp_path, old, new)
    assert lint.buf("breaking", image, "--against", lint.RELEASED) != 0
    assert told in capfd.readouterr().out


@needs_buf
def test_an_addition_breaks_nothing(tmp_path: Path) -> None:
    """It is how the contracts grow."""
    image = compiled(tmp_path, "bool effect_free = 6;", "bool effect_free = 6;\n  bool other = 99;")
    assert lint.buf("breaking", image, "--against", lint.RELEASED) == 0


@needs_buf
@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("  // Numbers the attempt.\n", "", "should have a non-empty comment"),
        ("bool effect_free = 6;", "bool effectFree = 6;", "should be lower_snake_case"),
        ("KIND_UNSPECIFIED = 0;", "KIND_ANY = 0;", 'should be suffixed with "_UNSPECIFIED"'),
    ],
)
def test_what_breaks_a_rule_is_found(
    tmp_path: Path, old: str, new: str, told: str, capfd: pytest.CaptureFixture[str]
) -> None:
    """With the rules of buf.yaml."""
    image = compiled(tmp_path, old, new)
    assert lint.buf("lint", image) != 0
    assert told in capfd.readouterr().out
