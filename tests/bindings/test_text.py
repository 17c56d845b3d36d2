"""What texts of expressions mention."""

import pytest

from amends_coordinator.bindings.text import mentions, names_in, place_in, results_in, spelled


@pytest.mark.parametrize(
    ("step", "name"),
    [
        ("ship", "ship"),
        ("bring-back", "bring_back"),
        ("1st", "_st"),
        ("a.b:c~d", "a_b_c_d"),
        ("in", "in_"),
        ("true", "true_"),
        ("null", "null_"),
    ],
)
def test_a_step_is_spelled_as_cel_allows(step: str, name: str) -> None:
    assert spelled(step) == name


@pytest.mark.parametrize(
    "text",
    [
        "'results.a'",
        '"results.a"',
        "'''results.a\n'''",
        '"""x " results.a"""',
        "r'\\' + 'results.a'",
        "'it\\'s results.a'",
        "1 // results.a",
        "b'results.a'",
        "myresults.a",
    ],
)
def test_strings_and_comments_mention_nothing(text: str) -> None:
    assert results_in(text) == {}


def test_results_are_found_with_their_places() -> None:
    text = "Order{a: results.a.id, // results.z\n  b: results . b_1.id + results.a.x}"
    assert results_in(text) == {"a": 17, "b_1": 51}
    assert place_in(text, 17) == "line 1, column 18"
    assert place_in(text, 51) == "line 2, column 16"


def test_names_come_with_their_dots() -> None:
    assert names_in(["Order{state: acme.v1.State.NEW}", "'Nothing'"]) == {
        "Order",
        "state",
        "acme.v1.State.NEW",
    }


def test_a_variable_is_mentioned_by_itself() -> None:
    assert mentions("a + response.id", "response")
    assert not mentions("request.response", "response")
    assert not mentions("'response'", "response")
