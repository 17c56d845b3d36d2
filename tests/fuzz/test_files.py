"""Files that people write: definitions in YAML, settings in TOML.

Whatever is in one, it is read, or refused by an error that names the file; and neither takes long.
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from random import Random
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from amends import Definition, DefinitionError
from amends_coordinator.cli._sources import load
from amends_coordinator.settings import SETTINGS, SettingsError
from tests.fuzz.effort import effort
from tests.sdk.definition.test_yaml import ORDER
from tests.sdk.definition.test_yaml_methods import ORDER as ORDER_BY_METHODS

PATIENCE_S = 15.0
"""For a file that is made to take long: far more than any file takes, also while its lines are
counted, and far less than it was made to take."""

SETTINGS_FILE = """\
listen = "127.0.0.1:0"
max-live-sagas = 7 # few
retention = "30d"

[participants]
payments = "127.0.0.1:50052"
stock = {address = "[::1]:50053"}
[participants.ships]
address = "ships.example.com:443"
"""

SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(max_size=20),
    st.binary(max_size=20),
    st.dates(),
    st.sampled_from(
        [10**400, "10s", "1h" * 300, "pivot", "reserve", "\x85", "=", "<<", "*a", "!!int", "1e999"]
    ),
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(SCALARS, inner, max_size=3),
    max_leaves=8,
)


@contextmanager
def soon() -> Iterator[None]:
    """What is within takes no long time."""
    begin = time.process_time()
    yield
    assert time.process_time() - begin < PATIENCE_S


def read_definition(text: str) -> None:
    """Reads a definition, or is told what is wrong with it, line by line."""
    try:
        Definition.from_yaml_text(text, "order.yaml")
    except DefinitionError as error:
        told = str(error).splitlines()
    else:
        return
    assert told
    assert all(line.startswith("order.yaml:") for line in told)


def read_settings(path: Path) -> None:
    """Reads settings, or is told what is wrong with them, in one line."""
    try:
        load({}, {}, str(path))
    except SettingsError as error:
        told = str(error)
    else:
        return
    assert told.startswith((str(path), "participant ", "tls-"))
    assert "digits" not in told or "too many" in told


def damaged(text: str, random: Random) -> str:
    """A text with some of its letters, words and lines gone, doubled, or in the place of others."""
    for _ in range(random.randint(1, 4)):
        parts = text.splitlines(keepends=True) if random.random() < 0.5 else list(text)
        place, other = random.randrange(len(parts) + 1), random.randrange(len(parts) + 1)
        chosen = parts[other : other + random.randint(0, 2)]
        strange = random.choice(
            ["", "\t", "\0", "&a ", "*a", "[", "{", "- ", ": ", "'", '"', "\\", "|", "%", "\u2028"]
        )
        parts[place : place + random.randint(0, 2)] = [*chosen, strange]
        text = "".join(parts)
        if not text:
            break
    return text


# Definitions


@effort(150)
@given(st.text())
def test_any_text_is_a_definition_or_not(text: str) -> None:
    """Mostly not."""
    read_definition(text)


@effort(200)
@given(st.sampled_from([ORDER, ORDER_BY_METHODS]), st.integers(0, 2**64))
def test_a_damaged_definition_is_a_definition_or_not(order: str, seed: int) -> None:
    """A slip of the keyboard anywhere in a good one."""
    read_definition(damaged(order, Random(seed)))


def _places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """The way to everything in a structure."""
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path, *(place for key, item in inner for place in _places(item, (*path, key)))]


@effort(100)
@given(
    st.sampled_from(
        [
            (order, place)
            for order in (ORDER, ORDER_BY_METHODS)
            for place in _places(yaml.safe_load(order))[1:]
        ]
    ),
    VALUES,
)
def test_any_value_in_any_place_is_told_by_its_line(
    where: tuple[str, tuple[Any, ...]], value: object
) -> None:
    """Wrong types, wild numbers, whole structures where a word belongs."""
    order, place = where
    whole = yaml.safe_load(order)
    inside = whole
    for key in place[:-1]:
        inside = inside[key]
    inside[place[-1]] = value
    read_definition(yaml.safe_dump(whole, sort_keys=False))


def _bomb() -> str:
    """Lists of nine aliases each, of lists of nine aliases each, and so on."""
    lists = [f"a{n + 1}: &a{n + 1} [{','.join([f'*a{n}'] * 9)}]" for n in range(8)]
    return "\n".join(["a0: &a0 [x,x,x]", *lists, "name: *a8", "steps: *a8"])


def _all_need_all() -> str:
    """A thousand steps that need a thousand each, by an alias."""
    step = f"&s {{name: a, participant: p, action: a, needs: [{','.join(['a'] * 1_000)}]}}"
    return f"name: a\nsteps: [{step}{',*s' * 999}]"


def _steps(rest: str, times: int = 1) -> str:
    """The same step, so many times."""
    return f"name: a\nsteps: [&s {{name: a, participant: p, {rest}}}{', *s' * (times - 1)}]"


HARD_DEFINITIONS = {
    "a character beyond Unicode": 'name: "\\U00110000"',
    "a character beyond numbers": 'name: "\\UFFFFFFFF"',
    "half a character": 'name: "\\ud800"\nsteps: []',
    "a version of too many digits": f"%YAML {'1' * 5_000}.1\n---\nname: a",
    "lists in lists": "[" * 200_000,
    "mappings in mappings": "{a: " * 60_000,
    "items in items": "- " * 100_000,
    "a bomb": _bomb(),
    "a list within itself": "name: a\nsteps: &s [*s, *s]",
    "a mapping within itself": "&a\nname: *a\nsteps: *a\n? *a\n: 1",
    "a thousand steps that need a thousand": _all_need_all(),
    "rules that are lists of rules": _steps(f"action: a, try_outcomes: &r [{'*r, ' * 20_000}]"),
    "faulty rules of a thousand steps": _steps(f"try_outcomes: [&r {{code: X}}{', *r' * 31}]", 1_000),
    "an expression that is a book": _steps(f"try_method: {{method: a.B/C, request: '{'x' * 200_000}'}}"),
    "descriptors without an end": "descriptors: /dev/zero\n" + _steps("action: a"),
    "five thousand unknown fields": "name: a\nsteps: []\n" + "".join(f"k{n}: 1\n" for n in range(5_000)),
    "a duration of very many parts": f"name: a\ntimeout: {'1h' * 100_000}\nsteps: []",
    "a number of very many digits": f"name: a\ntimeout: {'9' * 200_000}s\nsteps: []",
    "a number to the base of sixty": f"name: a\ntimeout: 1:{'59:' * 50_000}1\nsteps: []",
    "a type of Python": "name: !!python/object/apply:os.system [exit]\nsteps: []",
    "no character": "name: a\0",
    "nothing": "",
    "very much": "#" * 300_000,
}


@pytest.mark.parametrize("text", HARD_DEFINITIONS.values(), ids=HARD_DEFINITIONS)
def test_a_definition_made_to_break_the_reader_is_refused(text: str) -> None:
    """Each by an error of the family, within the time that any file takes."""
    with soon(), pytest.raises(DefinitionError, match=r"^order\.yaml:"):
        Definition.from_yaml_text(text, "order.yaml")


@effort(50)
@given(st.binary(max_size=200))
def test_any_file_is_a_definition_or_not(tmp_path_factory: pytest.TempPathFactory, data: bytes) -> None:
    """Also one that is no text."""
    path = tmp_path_factory.getbasetemp() / "any.yaml"
    path.write_bytes(data)
    with suppress(DefinitionError):
        Definition.from_yaml(path)


# Settings


@effort(200)
@given(st.integers(0, 2**64))
def test_damaged_settings_are_settings_or_not(tmp_path_factory: pytest.TempPathFactory, seed: int) -> None:
    """A slip of the keyboard anywhere in good ones."""
    path = tmp_path_factory.getbasetemp() / "amends.toml"
    path.write_text(damaged(SETTINGS_FILE, Random(seed)), "utf-8")
    read_settings(path)


@effort(150)
@given(
    st.sampled_from(
        [*(setting.key for setting in SETTINGS), "participants.p", "participants.p.address", "a.b"]
    ),
    st.sampled_from(
        [
            *(
                "true",
                "0",
                "-1",
                "7.5",
                "nan",
                "inf",
                "1e400",
                "9" * 4_000,
                "1979-05-27T07:32:00Z",
                "07:32:00",
            ),
            *("[]", "{}", "[[1], {a = 2}]", "{address = 7}", '{address = "a:1", ca = "/nowhere"}', "{x = 1}"),
            *(
                '""',
                '"\\u0000"',
                '"a:1"',
                '"a:99999999999"',
                '"9' + "9" * 500 + 'd"',
                '"sqlite:///"',
                "'''\n'''",
            ),
        ]
    ),
)
def test_any_value_of_any_setting_is_told_by_its_place(
    tmp_path_factory: pytest.TempPathFactory, key: str, value: str
) -> None:
    """Wrong types and wild numbers in every place."""
    path = tmp_path_factory.getbasetemp() / "amends.toml"
    path.write_text(f"{key} = {value}\n")
    read_settings(path)


HARD_SETTINGS = {
    "an integer of too many digits": b"max-live-sagas = " + b"9" * 5_000,
    "a port of too many digits": b'listen = "a:' + b"9" * 5_000 + b'"',
    "lists in lists": b"listen = " + b"[" * 20_000,
    "tables in tables": b"listen = " + b"{a=" * 20_000,
    "a key of very many parts": b".".join([b"a"] * 5_000) + b" = 1",
    "no text": b"\xff\xfe\x00",
    "no character": b"listen = \0",
    "very much": b"#" * (1 << 20),
}


@pytest.mark.parametrize("data", HARD_SETTINGS.values(), ids=HARD_SETTINGS)
def test_settings_made_to_break_the_reader_are_refused(data: bytes, tmp_path: Path) -> None:
    """Each by an error of the family, within the time that any file takes."""
    path = tmp_path / "amends.toml"
    path.write_bytes(data)
    with soon(), pytest.raises(SettingsError, match=r"amends\.toml"):
        load({}, {}, str(path))


LONG_SETTINGS = {
    "very many spaces": " " * 20_000 + "#\n" + 'listen = "a:1"\n',
    "very many brackets": "# " + "[ " * 10_000 + '\nlisten = "a:1"\n',
    "very many participants": "[participants]\n" + "".join(f'p{number} = "h:1"\n' for number in range(3_000)),
}


@pytest.mark.parametrize("text", LONG_SETTINGS.values(), ids=LONG_SETTINGS)
def test_settings_that_are_long_are_read_soon(text: str, tmp_path: Path) -> None:
    """To find the line of every key takes no longer than to read it."""
    path = tmp_path / "amends.toml"
    path.write_text(text)
    with soon():
        load({}, {}, str(path))


def test_a_file_without_an_end_is_refused() -> None:
    """The beginning is enough to tell."""
    with soon(), pytest.raises(SettingsError, match="/dev/zero: is larger than"):
        load({}, {}, "/dev/zero")
