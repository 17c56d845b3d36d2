"""Definitions from YAML, and how each mistake is told."""

import time
from pathlib import Path

import pytest

from amends import Definition, DefinitionError, Kind, Retry, Step

ORDER = """\
name: order
timeout: 1m30s
steps:
  - name: reserve
    participant: inventory
    action: reserve
    needs: []
    timeout: 500ms
    retry: {max_attempts: 5, initial_backoff: 100ms, backoff_multiplier: 1.5, max_backoff: 1h}
  - name: check
    participant: fraud
    action: check
    needs: []
    effect_free: true
  - name: charge
    participant: payments
    action: charge
    needs: [reserve, check]
    kind: pivot
  - {name: ship, participant: shipping, action: ship, kind: retriable}
"""

SAME = Definition(
    "order",
    [
        Step("reserve", "inventory", "reserve", needs=[], timeout=0.5, retry=Retry(5, 0.1, 1.5, 3_600)),
        Step("check", "fraud", "check", needs=[], effect_free=True),
        Step("charge", "payments", "charge", needs=["reserve", "check"], kind=Kind.PIVOT),
        Step("ship", "shipping", "ship", kind=Kind.RETRIABLE),
    ],
    timeout=90,
)


def problems_of(text: str) -> list[str]:
    with pytest.raises(DefinitionError) as caught:
        Definition.from_yaml_text(text, "order.yaml")
    return str(caught.value).splitlines()


def with_step(lines: str) -> str:
    """A definition whose only step has these lines from line 5 on."""
    return f"name: order\nsteps:\n- participant: p\n  action: a\n{lines}"


def test_yaml_says_all_that_python_says(tmp_path: Path) -> None:
    """Every field of a definition can be written in a file."""
    path = tmp_path / "order.yaml"
    path.write_text(ORDER)
    assert Definition.from_yaml(path) == SAME == Definition.from_yaml_text(ORDER)


@pytest.mark.parametrize(
    ("lines", "problem"),
    [
        ("  name: c\n  timout: 2s", "6: step 'c': unknown field 'timout'; did you mean 'timeout'?"),
        (
            "  name: c\n  colour: red",
            "6: step 'c': unknown field 'colour'; known are name, participant, action",
        ),
        ("  name: c\n  name: d", "6: step 'c': name is given twice"),
        ("  name: 12", "5: step '12': name must be text; write \"12\" in quotes"),
        ("  name: a b", "5: step 'a b': name is 'a b', but must be 1 to 128 characters"),
        ("  name: c\n  timeout: 10", "6: step 'c': timeout must be a duration with its unit, such as 10s"),
        ("  name: c\n  timeout: soon", "6: step 'c': timeout must be a duration"),
        ("  name: c\n  timeout: 2h", "6: step 'c': timeout is 7200 s, but must be from 0.001 s to 3600 s"),
        ("  name: c\n  needs: b", "6: step 'c': needs must be a list of step names"),
        ("  name: c\n  needs: [1]", "6: step 'c': needs must be text; write \"1\" in quotes"),
        ("  name: c\n  needs: [b]", "6: step 'c': needs names 'b', which is no step here"),
        ("  name: c\n  needs:\n  - c", "7: step 'c': needs is part of a cycle: c -> c"),
        ("  name: c\n  kind: pivto", "6: step 'c': kind must be one of compensatable, pivot, retriable; did"),
        ("  name: c\n  kind: retriable", "6: step 'c': kind is retriable, but does not come after a pivot"),
        ("  name: c\n  effect_free: maybe", "6: step 'c': effect_free must be true or false"),
        ("  name: c\n  retry: 3", "6: step 'c': retry must be a mapping of fields to values"),
        ("  name: c\n  retry:\n    atempts: 3", "7: step 'c': unknown field 'retry.atempts'; did you mean"),
        (
            "  name: c\n  retry:\n    max_attempts: 1.5",
            "7: step 'c': retry.max_attempts must be a whole number",
        ),
        ("  name: c\n  retry:\n    max_attempts: 0", "7: step 'c': retry.max_attempts is 0, but must be"),
        (
            "  name: c\n  retry:\n    backoff_multiplier: x",
            "7: step 'c': retry.backoff_multiplier must be a num",
        ),
    ],
)
def test_a_mistake_in_a_step_is_told_with_its_line(lines: str, problem: str) -> None:
    """File, line, step and field, and what would be right."""
    (told,) = problems_of(with_step(lines))
    assert told.startswith(f"order.yaml:{problem}")


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "order.yaml: is empty"),
        ("- a", "order.yaml:1: must be a mapping of fields to values"),
        ("name: order", "order.yaml:1: steps is missing"),
        ("name: order\nsteps: none", "order.yaml:2: steps must be a list of steps"),
        ("name: order\nsteps: []", "order.yaml:2: steps has 0 steps, but must have 1 to 1000"),
        ("name: order\nsteps:\n- a", "order.yaml:3: step '#1': must be a mapping of fields to values"),
        ("name: [", "order.yaml:1: is not valid YAML: "),
        ("name: a\n---\nname: b", "order.yaml:2: is not valid YAML: "),
        ("steps: []\nname: !!python/object:os.system x", "order.yaml:2: name must be text"),
        ("name: order\n\tsteps: []", "order.yaml:2: is not valid YAML: "),
        ("name: \x00", "order.yaml: is not valid YAML: unacceptable character"),
        ("name: *nobody", "order.yaml:1: is not valid YAML: found undefined alias"),
        ("? [a, b]\n: c", "order.yaml:1: unknown field '(no text)'"),
    ],
)
def test_a_mistake_in_the_whole_is_told(text: str, problem: str) -> None:
    """What is no definition at all is refused in one line."""
    assert any(told.startswith(problem) for told in problems_of(text))


def test_all_mistakes_come_at_once_in_the_order_of_lines() -> None:
    """A file is mended in one go."""
    text = ORDER.replace("1m30s", "90").replace("500ms", "half").replace("[reserve, check]", "[reserv]")
    text = text.replace("effect_free", "effectfree")
    assert [line.split(":")[1] for line in problems_of(text)] == ["2", "8", "14", "18"]


def test_a_missing_field_is_not_told_twice() -> None:
    """A misspelt field is unknown; that it is missing as well goes without saying."""
    (told,) = problems_of("nme: order\nsteps:\n- {name: a, participant: p, action: a}")
    assert "did you mean 'name'" in told


def test_problems_are_data_too() -> None:
    """A program that shows a file can put the message at its line."""
    with pytest.raises(DefinitionError) as caught:
        Definition.from_yaml_text(with_step("  name: c\n  timeout: 2h"), "order.yaml")
    (problem,) = caught.value.problems
    assert (problem.source, problem.line, problem.step, problem.field) == ("order.yaml", 6, "c", "timeout")


def test_policies_can_be_shared_by_an_alias() -> None:
    """What YAML offers against repetition works."""
    text = (
        "name: order\nsteps:\n"
        "- {name: a, participant: p, action: x, retry: &policy {max_attempts: 3}}\n"
        "- {name: b, participant: p, action: x, retry: *policy}\n"
    )
    assert Definition.from_yaml_text(text)["b"].retry == Retry(3)


def test_a_bomb_of_aliases_does_nothing() -> None:
    """Nested aliases are refused by their place long before they could grow."""
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 12)]
    lines += ["name: order", "steps: *a11"]
    started = time.process_time()
    assert any("step '#1': must be a mapping" in told for told in problems_of("\n".join(lines)))
    assert time.process_time() - started < 2


def test_a_list_that_contains_itself_is_refused() -> None:
    """Recursion has no place in a definition."""
    assert "must be a mapping" in problems_of("name: order\nsteps: &self [*self]")[0]


def test_deep_nesting_is_refused() -> None:
    """A file cannot exhaust the stack."""
    (told,) = problems_of("name: " + "[" * 50_000)
    assert told == "order.yaml:1: is not valid YAML: is nested deeper than any definition"


def test_large_files_are_refused_unread(tmp_path: Path) -> None:
    """A file is bounded before it is understood."""
    path = tmp_path / "large.yaml"
    path.write_text("#" * 300_000)
    with pytest.raises(DefinitionError, match=r"large\.yaml: is larger than 256 KiB"):
        Definition.from_yaml(path)


def test_the_largest_definition_fits() -> None:
    """A thousand steps with names of decent length are within the bounds."""
    lines = [
        f"- {{name: step-number-{n}, participant: some-participant, action: some-action, timeout: 10s,"
        f" retry: {{max_attempts: 5, initial_backoff: 100ms, backoff_multiplier: 2, max_backoff: 10s}}}}"
        for n in range(1_000)
    ]
    assert len(Definition.from_yaml_text("name: order\nsteps:\n" + "\n".join(lines)).steps) == 1_000


def test_other_encodings_are_refused(tmp_path: Path) -> None:
    """Bytes that are no UTF-8 are told by their line."""
    path = tmp_path / "order.yaml"
    path.write_bytes(b"name: order\nsteps: \xff")
    with pytest.raises(DefinitionError, match=r"order\.yaml:2: is not UTF-8 text"):
        Definition.from_yaml(path)


def test_a_missing_file_is_an_os_error(tmp_path: Path) -> None:
    """A file that is not there says so as files do."""
    with pytest.raises(FileNotFoundError):
        Definition.from_yaml(tmp_path / "none.yaml")
