"""What can be wrong with annotations, each fault told with its place in the file."""

from pathlib import Path

import pytest

from amends._stubs import AnnotationError, generate
from tests.stubs.compiling import HEAD, compiled

FIRST_LINE = HEAD.count("\n") + 1
"""Where in a test's file its own text begins."""

CHARGE = """\
service Payments {
  rpc Charge(Order) returns (Receipt) {
    option (amends.v1.action) = {compensate: "Refund"};
  }
  rpc Refund(Order) returns (google.protobuf.Empty);
}
"""


def faults(folder: Path, text: str, name: str = "shop/v1/payments.proto") -> list[str]:
    """The faults of a file, with lines counted from the test's own text and without the file's name."""
    with pytest.raises(AnnotationError) as caught:
        generate(compiled(folder, {name: HEAD + text}))
    told = []
    for fault in str(caught.value).splitlines():
        file, line, rest = fault.split(":", 2)
        assert file == name
        told.append(f"{int(line) - FIRST_LINE + 1}:{rest}")
    return told


def test_the_example_is_right(tmp_path: Path) -> None:
    """Each test below changes it in one place."""
    assert list(generate(compiled(tmp_path, {"a.proto": HEAD + CHARGE}))) == ["a_amends.py"]


def test_a_method_that_does_not_exist_is_told_with_the_one_that_was_meant(tmp_path: Path) -> None:
    """The place is that of the annotation."""
    text = CHARGE.replace('compensate: "Refund"', 'compensate: "Refnd"')
    assert faults(tmp_path, text) == [
        "3:5: Charge: compensate is 'Refnd', which is no method of Payments; did you mean 'Refund'?"
    ]


def test_the_place_is_that_of_the_field_where_the_compiler_knows_it(tmp_path: Path) -> None:
    """Options may be set one by one."""
    text = CHARGE.replace(
        'option (amends.v1.action) = {compensate: "Refund"};',
        'option (amends.v1.action).kind = COMPENSATABLE;\n    option (amends.v1.action).compensate = "Undo";',
    )
    assert faults(tmp_path, text) == ["4:5: Charge: compensate is 'Undo', which is no method of Payments"]


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("Charge(Order)", "Charge(stream Order)", "2:3: Charge: streams, but an action has one request"),
        ("returns (Receipt)", "returns (stream Receipt)", "2:3: Charge: streams, but an action has one req"),
        ("Refund(Order)", "Refund(stream Order)", "5:3: Refund: streams, but a compensation has one req"),
    ],
)
def test_a_method_that_streams_is_no_handler(tmp_path: Path, old: str, new: str, told: str) -> None:
    """Neither as a Try nor as a Compensate, in neither direction."""
    (fault,) = faults(tmp_path, CHARGE.replace(old, new))
    assert fault.startswith(told)


def test_a_compensation_takes_what_its_try_takes(tmp_path: Path) -> None:
    """Otherwise nobody could say what to call it with."""
    (fault,) = faults(tmp_path, CHARGE.replace("Refund(Order)", "Refund(Receipt)"))
    assert fault == (
        "5:3: Refund: takes shop.v1.Receipt, but has to take shop.v1.Order, as Charge does, or a message "
        "with nothing but a shop.v1.Order and, if it likes, a shop.v1.Receipt"
    )


@pytest.mark.parametrize(
    "fields",
    [
        "repeated Order order = 1;",
        "Order order = 1; string why = 2;",
        "Receipt receipt = 1;",
        "Order order = 1; Receipt receipt = 2; Receipt other = 3;",
        "",
    ],
)
def test_a_message_of_its_own_has_only_the_request_and_the_response(tmp_path: Path, fields: str) -> None:
    """Anything beside them would stay empty."""
    text = CHARGE.replace("Refund(Order)", "Refund(Undo)") + f"message Undo {{ {fields} }}\n"
    assert faults(tmp_path, text)[0].startswith(
        "5:3: Refund: takes shop.v1.Undo, but has to take shop.v1.Order"
    )


@pytest.mark.parametrize("fields", ["Order order = 1;", "Receipt receipt = 1; Order order = 2;"])
def test_a_compensation_may_take_a_message_of_its_own(tmp_path: Path, fields: str) -> None:
    """One that holds the request of the Try, and perhaps its response."""
    text = CHARGE.replace("Refund(Order)", "Refund(Undo)") + f"message Undo {{ {fields} }}\n"
    assert generate(compiled(tmp_path, {"a.proto": HEAD + text}))


def test_a_compensation_brings_nothing_forth(tmp_path: Path) -> None:
    """What it returned would be lost."""
    (fault,) = faults(tmp_path, CHARGE.replace("google.protobuf.Empty", "Receipt"))
    assert fault.startswith("5:3: Refund: returns shop.v1.Receipt, but a compensation brings nothing forth")


def test_what_can_be_compensated_names_how(tmp_path: Path) -> None:
    """Forgetting it is the most expensive mistake of all."""
    (fault,) = faults(tmp_path, CHARGE.replace('compensate: "Refund"', ""))
    assert fault == (
        "2:3: Charge: names no method to compensate it, and is not declared effect_free, PIVOT or RETRIABLE"
    )


@pytest.mark.parametrize("policy", ["effect_free: true", "kind: PIVOT", "kind: RETRIABLE"])
def test_some_actions_have_no_compensation(tmp_path: Path, policy: str) -> None:
    """Those that have nothing to undo, and those after which there is no way back."""
    text = CHARGE.replace('compensate: "Refund"', policy)
    assert generate(compiled(tmp_path, {"a.proto": HEAD + text}))


@pytest.mark.parametrize(
    ("policy", "told"),
    [
        ("timeout: {seconds: 7200}", "timeout is 7200 s, but must be from 0.001 s to 3600 s"),
        ("timeout: {}", "timeout is 0 s, but must be from 0.001 s to 3600 s"),
        ("retry: {max_attempts: -1}", "retry.max_attempts is -1, but must be from 1 to 1000000"),
        ("effect_free: true", "is effect_free, so there is nothing that compensate could undo"),
    ],
)
def test_policies_keep_to_their_ranges(tmp_path: Path, policy: str, told: str) -> None:
    """A definition would be refused for them, much later."""
    (fault,) = faults(tmp_path, CHARGE.replace('"Refund"', f'"Refund" {policy}'))
    assert fault.endswith(f": Charge: {told}")


def test_a_compensation_belongs_to_one_action(tmp_path: Path) -> None:
    """Its handler has one type of result to be given."""
    second = 'rpc Again(Order) returns (Receipt) { option (amends.v1.action) = {compensate: "Refund"}; }'
    text = CHARGE.replace("  rpc Refund", f"  {second}\n  rpc Refund")
    assert faults(tmp_path, text) == ["5:40: Again: Refund compensates Charge already"]


def test_a_compensation_is_no_action_itself(tmp_path: Path) -> None:
    """Nor can an action compensate itself."""
    text = CHARGE.replace('"Refund"', '"Charge"').replace(
        "returns (Receipt)", "returns (google.protobuf.Empty)"
    )
    told = "Charge cannot compensate it, being annotated as an action itself"
    assert faults(tmp_path, text)[0] == f"3:5: Charge: {told}"


def test_two_methods_cannot_have_one_name_in_python(tmp_path: Path) -> None:
    """DoIt and doIt are two names in a .proto file."""
    text = CHARGE.replace("Refund", "charge")
    assert faults(tmp_path, text) == ["5:3: charge: becomes charge in Python, as Charge does"]


def test_two_services_cannot_have_one_name_in_python(tmp_path: Path) -> None:
    """PaymentsService and Payments both make PaymentsSteps."""
    text = CHARGE + CHARGE.replace("service Payments", "service PaymentsService")
    (fault,) = faults(tmp_path, text)
    assert fault.startswith("7:1: PaymentsService: another service here has classes of the same names")


@pytest.mark.parametrize("name", ["shop/import/payments.proto", "2nd.proto"])
def test_messages_that_python_cannot_name_are_told(tmp_path: Path, name: str) -> None:
    """The compiler writes them, but no import statement finds them."""
    told = faults(tmp_path, CHARGE, name)
    assert [fault.partition(" can name")[0] for fault in told] == ["2:3: Charge: no Python program"] * 2


def test_a_file_that_python_cannot_import_is_told(tmp_path: Path) -> None:
    """Though its messages come from elsewhere."""
    text = """
        syntax = "proto3";
        import "amends/v1/options.proto";
        import "google/protobuf/empty.proto";
        service Checks {
          rpc Check(google.protobuf.Empty) returns (google.protobuf.Empty) {
            option (amends.v1.action) = {effect_free: true};
          }
        }
    """
    with pytest.raises(AnnotationError, match=r"^2nd\.proto:2:9: no Python program can import a module"):
        generate(compiled(tmp_path, {"2nd.proto": text}))


def test_every_fault_is_told_in_the_order_of_the_file(tmp_path: Path) -> None:
    """So that one run mends them all."""
    text = CHARGE.replace("returns (Receipt)", "returns (stream Receipt)").replace(
        "Refund(Order)", "Refund(Receipt)"
    )
    told = faults(tmp_path, text.replace('"Refund"', '"Refund" timeout: {}'))
    assert [fault.partition(":")[0] for fault in told] == ["2", "3", "5"]


def test_faults_of_several_files_come_together(tmp_path: Path) -> None:
    """Each with the name of its file."""
    wrong = CHARGE.replace('"Refund"', '"Undo"')
    files = {"b.proto": HEAD + wrong, "a.proto": HEAD.replace("shop.v1", "shop.v2") + wrong}
    with pytest.raises(AnnotationError) as caught:
        generate(compiled(tmp_path, files))
    assert [fault.partition(":")[0] for fault in str(caught.value).splitlines()] == ["a.proto", "b.proto"]
