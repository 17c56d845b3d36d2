"""`protoc-gen-amends`, called by the real compiler and by others."""

import io
import subprocess
import sys
from pathlib import Path

import pytest
from google.protobuf.compiler.plugin_pb2 import CodeGeneratorRequest, CodeGeneratorResponse

from amends._stubs import generate, plugin
from protos.generate import ROOT, compiler
from tests.stubs.compiling import HEAD, PAYMENTS, SAMPLES, compiled

PLUGIN = Path(sys.executable).with_name("protoc-gen-amends")
MODULE = "shop/v1/payments_amends.py"
WRONG = """
service Payments {
  rpc Charge(Order) returns (Receipt) { option (amends.v1.action) = {compensate: "Undo"}; }
}
"""


def protoc(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    """Calls the compiler with the plugin as it is installed."""
    command = [*compiler(SAMPLES, ROOT / "protos"), f"--plugin=protoc-gen-amends={PLUGIN}"]
    return subprocess.run([*command, *arguments], capture_output=True, text=True, check=False)


@pytest.fixture
def request_for_payments(tmp_path: Path) -> CodeGeneratorRequest:
    """A request about the sample, as the compiler makes it."""
    return compiled(tmp_path, {PAYMENTS: (SAMPLES / PAYMENTS).read_text()})


def test_the_compiler_calls_it(tmp_path: Path, request_for_payments: CodeGeneratorRequest) -> None:
    """And writes what it answers."""
    done = protoc(f"--amends_out={tmp_path}", PAYMENTS)
    assert (done.returncode, done.stderr) == (0, "")
    assert (tmp_path / MODULE).read_text() == generate(request_for_payments)[MODULE]


def test_the_compiler_tells_the_faults(tmp_path: Path) -> None:
    """With the place of each."""
    (tmp_path / "wrong.proto").write_text(HEAD + WRONG)
    done = protoc(f"-I{tmp_path}", f"--amends_out={tmp_path}", "wrong.proto")
    assert done.returncode == 1
    assert "wrong.proto:10:41: Charge: compensate is 'Undo', which is no method of Payments" in done.stderr


def test_parameters_are_refused(tmp_path: Path) -> None:
    """There are none, and a misspelt one should not pass unnoticed."""
    done = protoc(f"--amends_out={tmp_path}", "--amends_opt=strict", PAYMENTS)
    assert done.returncode == 1
    assert "there are no parameters, and --amends_opt is 'strict'" in done.stderr


def test_files_without_annotations_give_nothing(tmp_path: Path) -> None:
    """A plugin is often run over everything there is."""
    request = compiled(tmp_path, {"plain.proto": 'syntax = "proto3"; message M {}'})
    assert list(plugin.respond(request).file) == []


def test_the_same_protos_give_the_same_text(request_for_payments: CodeGeneratorRequest) -> None:
    """Whatever order the descriptors come in."""
    backwards = CodeGeneratorRequest(
        file_to_generate=request_for_payments.file_to_generate,
        proto_file=reversed(request_for_payments.proto_file),
    )
    assert plugin.respond(backwards) == plugin.respond(request_for_payments)


def test_an_import_that_did_not_come_along_is_told(request_for_payments: CodeGeneratorRequest) -> None:
    """As when descriptors were built without what they import."""
    kept = [file for file in request_for_payments.proto_file if file.name != "amends/v1/options.proto"]
    request = CodeGeneratorRequest(file_to_generate=[PAYMENTS], proto_file=kept)
    assert plugin.respond(request).error == (
        "shop/v1/payments.proto: imports amends/v1/options.proto, which the request does not carry; "
        "descriptors have to come with everything they import (protoc --include_imports)"
    )


def test_a_file_that_did_not_come_along_is_told() -> None:
    """There is nothing to generate from."""
    error = plugin.respond(CodeGeneratorRequest(file_to_generate=["a.proto"])).error
    assert error == "a.proto: is to be generated, but the request does not carry it"


def test_a_type_that_did_not_come_along_is_told(request_for_payments: CodeGeneratorRequest) -> None:
    """As in descriptors that somebody put together by hand."""
    del request_for_payments.proto_file[-1].message_type[2:]
    told = plugin.respond(request_for_payments).error.splitlines()
    assert "Charge: shop.v1.ChargeRequest is in none of the files that came along" in told[0]


def test_descriptors_without_places_tell_faults_all_the_same(tmp_path: Path) -> None:
    """At the beginning of the file, for want of a better place."""
    request = compiled(tmp_path, {"wrong.proto": HEAD + WRONG})
    for file in request.proto_file:
        file.ClearField("source_code_info")
    assert plugin.respond(request).error.startswith("wrong.proto:1:1: Charge: compensate is 'Undo'")


def test_what_is_no_request_is_told() -> None:
    """In one line, with what to do instead."""
    done = subprocess.run([PLUGIN], input=b"\xff\xff", capture_output=True, check=False)
    assert (done.returncode, done.stdout) == (1, b"")
    assert done.stderr.startswith(
        b"protoc-gen-amends is called by a protobuf compiler: protoc --amends_out=DIR"
    )


class _Terminal(io.TextIOWrapper):
    """Standard input that is a terminal."""

    def isatty(self) -> bool:
        return True


def test_somebody_at_a_terminal_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """Instead of being waited for."""
    monkeypatch.setattr(sys, "stdin", _Terminal(io.BytesIO()))
    with pytest.raises(SystemExit, match="is called by a protobuf compiler"):
        plugin.main()


def test_the_answer_goes_to_standard_output(request_for_payments: CodeGeneratorRequest) -> None:
    """As bytes."""
    sent = request_for_payments.SerializeToString()
    done = subprocess.run([PLUGIN], input=sent, capture_output=True, check=True)
    answer = CodeGeneratorResponse.FromString(done.stdout)
    assert [file.name for file in answer.file] == [MODULE]
    assert answer.supported_features & CodeGeneratorResponse.FEATURE_PROTO3_OPTIONAL
