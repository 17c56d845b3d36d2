"""Definitions from YAML whose steps call methods, and how each mistake in them is told."""

from pathlib import Path

import pytest
from google.protobuf import timestamp_pb2
from google.protobuf.descriptor_pb2 import FileDescriptorProto, FileDescriptorSet

from amends import Definition, DefinitionError, MethodCall, OutcomeRule, Step

ORDER = """\
name: order
input_type: shop.v1.Order
descriptors: shop.binpb
steps:
  - name: reserve
    participant: inventory
    action: reserve
    try_outcomes: [{code: NOT_FOUND, outcome: unknown}]
  - name: ship
    participant: carrier
    try_method:
      method: acme.v1.Carrier/Book
      request: |
        BookRequest{
          address: input.address,
          place: results.reserve.place
        }
    compensate_method:
      {method: acme.v1.Carrier/Cancel, request: "CancelRequest{id: response.id}"}
    try_outcomes:
      - code: OK
        condition: response.status == Status.DECLINED
        outcome: rejected
        reason: NO_ROUTE
      - {code: UNAVAILABLE, outcome: pending}
    compensate_outcomes:
      - {code: NOT_FOUND, outcome: succeeded}
  - {name: tell, participant: mail, try_method: acme.v1.Mail/Send, effect_free: true}
"""

STEPS = [
    Step("reserve", "inventory", "reserve", try_outcomes=[OutcomeRule("NOT_FOUND", "unknown")]),
    Step(
        "ship",
        "carrier",
        try_method=MethodCall(
            "acme.v1.Carrier/Book",
            "BookRequest{\n  address: input.address,\n  place: results.reserve.place\n}\n",
        ),
        compensate_method=MethodCall("acme.v1.Carrier/Cancel", "CancelRequest{id: response.id}"),
        try_outcomes=[
            OutcomeRule("OK", "rejected", "response.status == Status.DECLINED", "NO_ROUTE"),
            OutcomeRule("UNAVAILABLE", "pending"),
        ],
        compensate_outcomes=[OutcomeRule("NOT_FOUND", "succeeded")],
    ),
    Step("tell", "mail", try_method="acme.v1.Mail/Send", effect_free=True),
]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Where a definition and its descriptors lie."""
    described = FileDescriptorSet()
    timestamp_pb2.DESCRIPTOR.CopyToProto(described.file.add())
    (tmp_path / "shop.binpb").write_bytes(described.SerializeToString())
    return tmp_path


def problems_of(text: str, source: str = "order.yaml") -> list[str]:
    with pytest.raises(DefinitionError) as caught:
        Definition.from_yaml_text(text, source)
    return str(caught.value).splitlines()


def with_step(lines: str) -> str:
    """A definition whose only step has these lines from line 5 on."""
    return f"name: order\nsteps:\n- name: ship\n  participant: carrier\n{lines}"


def test_yaml_says_of_methods_all_that_python_says(folder: Path) -> None:
    """Every field, the short form of a call, and the file of descriptors beside the definition's."""
    path = folder / "order.yaml"
    path.write_text(ORDER)
    same = Definition("order", STEPS, input_type="shop.v1.Order", descriptors=[timestamp_pb2])
    assert Definition.from_yaml(path) == same
    assert Definition.from_yaml_text(ORDER, str(path)) == same


def test_descriptors_are_looked_for_beside_the_source(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A text without a file has the working directory; an absolute name needs neither."""
    absolute = ORDER.replace("shop.binpb", str(folder / "shop.binpb"))
    assert Definition.from_yaml_text(absolute).descriptors
    assert "No such file" in problems_of(ORDER, "/nowhere/order.yaml")[0]
    monkeypatch.chdir(folder)
    assert Definition.from_yaml_text(ORDER) == Definition.from_yaml_text(absolute)


@pytest.mark.parametrize(
    ("lines", "problem"),
    [
        ("  timeout: 1s", "3: step 'ship': action is missing; a step names an action of its participant, or"),
        ("  acton: book", "5: step 'ship': unknown field 'acton'; did you mean 'action'?"),
        ("  try_metod: a.B/C", "5: step 'ship': unknown field 'try_metod'; did you mean 'try_method'?"),
        ("  try_method: a.B/C", "3: step 'ship': compensate_method is missing: name the method that undoes"),
        (
            "  action: book\n  try_method: a.B/C\n  kind: pivot",
            "5: step 'ship': action is set beside try_method, but a step either names an action or calls",
        ),
        (
            "  action: book\n  compensate_method: a.B/C",
            "6: step 'ship': compensate_method goes only with a try_method",
        ),
        (
            "  try_method: a.B/C\n  effect_free: true\n  compensate_method:\n    method: a.B/D",
            "8: step 'ship': compensate_method is set, but a step that is effect_free is never compensated",
        ),
        (
            "  kind: pivot\n  try_method: C",
            "6: step 'ship': try_method.method is 'C', but must be PACKAGE.SE",
        ),
        ("  kind: pivot\n  try_method:", "6: step 'ship': try_method.method must be text"),
        (
            "  kind: pivot\n  try_method: 7",
            "6: step 'ship': try_method.method is '7', but must be PACKAGE.SERVICE/",
        ),
        (
            "  kind: pivot\n  try_method: [a.B/C]",
            "6: step 'ship': try_method must be a mapping of fields to v",
        ),
        (
            "  kind: pivot\n  try_method:\n    method: C\n    request: x",
            "7: step 'ship': try_method.method is 'C', but must be PACKAGE.SERVICE/METHOD",
        ),
        ("  kind: pivot\n  try_method:\n    request: x", "7: step 'ship': try_method.method is missing"),
        (
            "  kind: pivot\n  try_method:\n    method: a.B/C\n    reqest: x",
            "8: step 'ship': unknown field 'try_method.reqest'; did you mean 'request'?",
        ),
        (
            "  kind: pivot\n  try_method:\n    method: a.B/C\n    request: 12",
            "8: step 'ship': try_method.request must be text; write \"12\" in quotes",
        ),
        (
            f"  kind: pivot\n  try_method:\n    method: a.B/C\n    request: {'x' * 16_385}",
            "8: step 'ship': try_method.request takes 16385 bytes, but may take 16384",
        ),
        (
            "  action: a\n  try_outcomes: NOT_FOUND",
            "6: step 'ship': try_outcomes must be a list of rules, such",
        ),
        (
            "  action: a\n  try_outcomes: [NOT_FOUND]",
            "6: step 'ship': try_outcomes[0] must be a mapping of fi",
        ),
        (
            f"  action: a\n  compensate_outcomes: [{'{code: ABORTED, outcome: unknown},' * 33}]",
            "6: step 'ship': compensate_outcomes has 33 rules, but may have 32",
        ),
        (
            "  action: a\n  try_outcomes:\n  - {code: ABORTED, outcome: unknown}\n  - outcome: pending",
            "8: step 'ship': try_outcomes[1].code is missing",
        ),
        (
            "  action: a\n  try_outcomes:\n  - code: ABORTD\n    outcome: pending",
            "7: step 'ship': try_outcomes[0].code is 'ABORTD', but must be a status code of gRPC; did you m",
        ),
        (
            "  action: a\n  try_outcomes:\n  - code: 10\n    outcome: pending",
            "7: step 'ship': try_outcomes[0].code is '10', but must be a status code of gRPC; did you mean",
        ),
        (
            "  action: a\n  try_outcomes:\n  - code: 'no'\n    outcome: unknown",
            "7: step 'ship': try_outcomes[0].code is 'no', but must be a status code of gRPC, such",
        ),
        (
            "  action: a\n  try_outcomes:\n  - code: []\n    outcome: unknown",
            "7: step 'ship': try_outcomes[0].code must be text",
        ),
        (
            "  action: a\n  try_outcomes:\n  - code: ABORTED\n    outcome: yes",
            "8: step 'ship': try_outcomes[0].outcome is 'yes', but must be one of succeeded, rejected, pen",
        ),
        (
            "  kind: pivot\n  try_method: B/C\n  try_outcomes: [{code: OK, outcome: unknown, condition: on}]",
            "7: step 'ship': try_outcomes[0].condition must be text; write \"on\" in quotes",
        ),
        (
            "  action: a\n  try_outcomes:\n  - code: ABORTED\n    outcome: maybe",
            "8: step 'ship': try_outcomes[0].outcome is 'maybe', but must be one of succeeded, rejected, pen",
        ),
        (
            "  action: a\n  try_outcomes:\n  - code: ABORTED\n    outcome: unknown\n    condition: x",
            "9: step 'ship': try_outcomes[0].condition goes only with the code OK",
        ),
        (
            "  action: a\n  try_outcomes:\n  - code: ABORTED\n    outcome: rejected\n    reason: NO_ROUTE",
            "9: step 'ship': try_outcomes[0].reason goes only with the code OK and the outcome rejected",
        ),
        (
            "  kind: pivot\n  try_method: a.B/C\n  try_outcomes:\n  - code: OK\n    outcome: unknown",
            "8: step 'ship': try_outcomes[0].condition is missing: a rule for OK says of which responses it",
        ),
        (
            "  action: a\n  compensate_outcomes:\n  - outcome: unknown\n    code: OK\n    condition: x",
            "8: step 'ship': compensate_outcomes[0].code is OK, but the response of an action says itself",
        ),
        (
            "  action: a\n  try_outcomes:\n  - {code: ABORTED, outcome: unknown, resaon: NO}",
            "7: step 'ship': unknown field 'try_outcomes[0].resaon'; did you mean 'reason'?",
        ),
    ],
)
def test_a_mistake_in_what_a_step_calls_is_told_with_its_line(lines: str, problem: str) -> None:
    """File, line, step and field, and what would be right; once."""
    (told,) = problems_of(with_step(lines))
    assert told.startswith(f"order.yaml:{problem}")


@pytest.mark.parametrize(
    ("written", "problem"),
    [
        ("input_type: a b", "4: input_type is 'a b', but must be the full name of a protobuf message"),
        ("input_type: 7", "4: input_type is '7', but must be the full name of a protobuf message"),
        ('input_type: ""', "4: input_type is '', but must be the full name of a protobuf message"),
        ("descriptors: 7", '4: descriptors must be text; write "7" in quotes'),
        (
            "descriptors: none.binpb",
            "4: descriptors is 'none.binpb', which cannot be read: No such file or dir",
        ),
        ("descriptors: .", "4: descriptors is '.', which cannot be read: Is a directory"),
        (r'descriptors: "\0"', r"4: descriptors is '\x00', which cannot be read: embedded null byte"),
        ("descriptors: empty.binpb", "4: descriptors names an empty file"),
        (
            "descriptors: text.proto",
            "4: descriptors is no FileDescriptorSet, as protoc --descriptor_set_out and",
        ),
        ("descriptors: large.binpb", "4: descriptors names a file that is larger than 4 MiB"),
        ("descriptors: /dev/zero", "4: descriptors names a file that is larger than 4 MiB"),
        (
            "descriptors: half.binpb",
            "4: descriptors has no 'b.proto', which 'a.proto' imports; protoc adds it with --include_imports",
        ),
        ("descriptor: half.binpb", "4: unknown field 'descriptor'; did you mean 'descriptors'?"),
    ],
)
def test_a_mistake_in_what_describes_methods_is_told_with_its_line(
    tmp_path: Path, written: str, problem: str
) -> None:
    """A file that is not there, or is no set of descriptors."""
    half = FileDescriptorSet(file=[FileDescriptorProto(name="a.proto", dependency=["b.proto"])])
    (tmp_path / "half.binpb").write_bytes(half.SerializeToString())
    (tmp_path / "empty.binpb").touch()
    (tmp_path / "text.proto").write_text('syntax = "proto3";\npackage shop.v1;\n')
    (tmp_path / "large.binpb").write_bytes(b"\0" * (4 * 1024 * 1024 + 1))
    path = tmp_path / "order.yaml"
    path.write_text(f"name: order\nsteps:\n- {{name: ship, participant: carrier, action: book}}\n{written}\n")
    with pytest.raises(DefinitionError) as caught:
        Definition.from_yaml(path)
    (told,) = str(caught.value).splitlines()
    assert told.startswith(f"{path}:{problem}")


def test_all_mistakes_come_at_once_in_the_order_of_lines(folder: Path) -> None:
    """Also those within calls and rules, and beside one that leaves something unread."""
    text = ORDER.replace("Carrier/Book", "Carrier").replace("UNAVAILABLE", "UNAVAILBLE")
    text = text.replace("name: reserve", "name: reserve it").replace("code: NOT_FOUND", "cod: NOT_FOUND")
    told = problems_of(text, str(folder / "order.yaml"))
    assert [int(line.split(":")[1]) for line in told] == [5, 8, 12, 25, 27]


def test_a_bomb_of_aliases_in_rules_does_nothing() -> None:
    """A rule that is repeated by aliases counts each time."""
    rule = "&r {code: ABORTED, outcome: unknown}"
    told = problems_of(with_step(f"  action: a\n  try_outcomes: [{rule}{', *r' * 40_000}]"))
    assert told == ["order.yaml:6: step 'ship': try_outcomes has 40001 rules, but may have 32"]
