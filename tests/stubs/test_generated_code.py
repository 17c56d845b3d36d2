"""What generated modules look like, and what they hold when they are imported."""

import ast
import importlib
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest
from click.testing import CliRunner
from google.protobuf.compiler.plugin_pb2 import CodeGeneratorRequest
from google.protobuf.descriptor_pb2 import FileDescriptorProto
from hypothesis import given
from hypothesis import strategies as st

from amends import Kind, Retry
from amends._stubs import generate
from amends.v1 import options_pb2
from amends_coordinator.cli._app import amends
from tests.stubs.compiling import HEAD, compiled

CLOCK = """
// Tells
//   the time.
//
// Says "when".
service Clock {
  rpc Return(Order) returns (Receipt) { // Comes back. And "goes"
    option (amends.v1.action) = {effect_free: true kind: RETRIABLE};
  }
  rpc HTTPCheckV2(clock.v1.Outer.Inner) returns (google.protobuf.Empty) {
    option (amends.v1.action) = {
      compensate: "Undo"
      timeout: {nanos: 2500000}
      retry: {initial_backoff: {seconds: 1} backoff_multiplier: 1.5}
    };
  }
  /* A path: C:\\\\dir, and \"\"\"quotes\"\"\" */
  rpc Undo(clock.v1.Outer.Inner) returns (google.protobuf.Empty);
  rpc Ignored(stream Order) returns (stream Receipt);
}
message Outer { message Inner {} }
"""


@pytest.fixture
def clock(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    """The module for a service with everything odd, imported."""
    (tmp_path / "clock.proto").write_text(HEAD.replace("shop.v1", "clock.v1") + CLOCK)
    out = tmp_path / "out"
    done = CliRunner().invoke(amends, ["stubs", "clock.proto", "-I", str(tmp_path), "--out", str(out)])
    assert done.exit_code == 0, done.output
    monkeypatch.syspath_prepend(out)
    yield importlib.import_module("clock_amends")
    for name in ("clock_amends", "clock_pb2"):
        sys.modules.pop(name, None)


def test_steps_are_named_after_their_methods(clock: ModuleType) -> None:
    """In Python's manner; a name that Python keeps for itself gets an underscore, but not the action."""
    assert clock.ClockSteps.http_check_v2().action == "http_check_v2"
    assert clock.ClockSteps.return_().action == "return"
    assert clock.ClockSteps.return_().participant == "clock"


def test_steps_have_the_policies_of_the_annotation(clock: ModuleType) -> None:
    """Unless they say otherwise."""
    step = clock.ClockSteps.http_check_v2()
    assert (step.timeout, step.kind, step.effect_free) == (0.0025, Kind.COMPENSATABLE, False)
    assert step.retry == Retry(initial_backoff=1.0, backoff_multiplier=1.5)
    assert clock.ClockSteps.return_().kind is Kind.RETRIABLE
    assert clock.ClockSteps.return_().effect_free


def test_types_are_the_messages(clock: ModuleType) -> None:
    """Also where they are nested, or well known."""
    action = clock.ClockSteps.http_check_v2
    assert action.input_type.DESCRIPTOR.full_name == "clock.v1.Outer.Inner"
    assert action.result_type.DESCRIPTOR.full_name == "google.protobuf.Empty"


def test_comments_become_docstrings(clock: ModuleType) -> None:
    """Whatever they hold."""
    assert clock.ClockSteps.__doc__ == (
        "Makes steps of sagas that call the participant `clock`: clock.v1.Clock.\n"
        '\n    Tells\n      the time.\n\n    Says "when".\n    '
    )
    assert clock.ClockActions.return_.__doc__ == 'Comes back. And "goes"'
    assert clock.ClockActions.undo.__doc__.startswith('A path: C:\\\\dir, and """quotes"""\n')


def test_a_method_without_a_comment_says_what_it_is(clock: ModuleType) -> None:
    """And an action without one has no description."""
    assert clock.ClockActions.http_check_v2.__doc__ == "Handles HTTPCheckV2."
    assert clock.ClockSteps.http_check_v2.description == ""


def test_a_description_is_the_first_sentence(clock: ModuleType) -> None:
    """That is what the contract says of it."""
    assert clock.ClockSteps.return_.description == "Comes back."


@given(st.text() | st.text(alphabet="a\"\\'.\n\t\r\x00\x0c#{}"))
def test_whatever_a_comment_holds_python_reads_it(comment: str) -> None:
    """As the docstring and as the description."""
    file = FileDescriptorProto(name="a.proto", dependency=["amends/v1/options.proto"])
    file.message_type.add(name="M")
    method = file.service.add(name="S").method.add(name="Do", input_type=".M", output_type=".M")
    method.options.Extensions[options_pb2.action].effect_free = True
    file.source_code_info.location.add(
        path=[6, 0, 2, 0], span=[0, 0, 0], leading_comments=f" Does. {comment}"
    )
    request = CodeGeneratorRequest(file_to_generate=["a.proto"], proto_file=[file])
    request.proto_file.add(name="amends/v1/options.proto")
    steps, actions = ast.parse(generate(request)["a_amends.py"]).body[-2:]
    assert isinstance(steps, ast.ClassDef)
    assert isinstance(actions, ast.ClassDef)
    assert 'description="Does."' in ast.unparse(steps).replace("'", '"')
    shown = "".join((ast.get_docstring(actions.body[-1]) or "").split())  # type: ignore[arg-type]
    assert shown == "".join(re.sub(r"[\x00-\x08\x0e-\x1f\x7f]", " ", f"Does. {comment}").split())


def test_modules_of_one_name_get_different_ones(tmp_path: Path) -> None:
    """Messages come from wherever they are declared."""
    files = {
        "a/types.proto": 'syntax = "proto3"; package a; message M {}',
        "b/types.proto": 'syntax = "proto3"; package b; message M {}',
        "c.proto": """
            syntax = "proto3";
            import "a/types.proto";
            import "b/types.proto";
            import "amends/v1/options.proto";
            service S { rpc Do(a.M) returns (b.M) { option (amends.v1.action) = {effect_free: true}; } }
        """,
    }
    text = generate(compiled(tmp_path, files))["c_amends.py"]
    assert "from a import types_pb2 as a_types_pb2\nfrom b import types_pb2 as b_types_pb2\n" in text
    assert "request: a_types_pb2.M,\n        ctx: Context,\n    ) -> HandlerResult[b_types_pb2.M]:" in text


def test_proto2_and_editions_are_read_too(tmp_path: Path) -> None:
    """The annotation does not care."""
    service = """
        import "amends/v1/options.proto";
        message M { %s }
        service S { rpc Do(M) returns (M) { option (amends.v1.action) = {effect_free: true}; } }
    """
    files = {
        "two.proto": 'syntax = "proto2"; package two;' + service % "required int32 a = 1;",
        "edition.proto": 'edition = "2023"; package edition;' + service % "int32 a = 1;",
    }
    assert sorted(generate(compiled(tmp_path, files))) == ["edition_amends.py", "two_amends.py"]
