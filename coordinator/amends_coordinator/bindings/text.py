"""What the text of an expression mentions, its strings and comments apart."""

import re
from collections.abc import Iterable, Mapping
from functools import lru_cache

_STRINGS_AND_COMMENTS = re.compile(
    r"""
    //[^\n]*
    | [rR] (?: \"\"\".*?\"\"\" | '''.*?''' | "[^"\n]*" | '[^'\n]*' )
    | \"\"\" (?:\\.|[^\\])*? \"\"\" | ''' (?:\\.|[^\\])*? '''
    | " (?:\\.|[^"\\\n])* " | ' (?:\\.|[^'\\\n])* '
    """,
    re.VERBOSE | re.DOTALL,
)
_RESULT = re.compile(r"\bresults\s*\.\s*([A-Za-z_][A-Za-z0-9_]*)")
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_.]*")
_NOT_ALLOWED = re.compile(r"^[^A-Za-z_]|[^A-Za-z0-9_]")

_KEYWORDS = frozenset({"in", "true", "false", "null"})
"""Names that CEL takes for something else, even behind a dot."""


def spelled(step: str) -> str:
    """A step's name as expressions write it: with an underscore for each character that CEL refuses.

    One that is a keyword of CEL has an underscore behind it.
    """
    name = _NOT_ALLOWED.sub("_", step)
    return f"{name}_" if name in _KEYWORDS else name


@lru_cache(maxsize=1_024)
def results_in(text: str) -> Mapping[str, int]:
    """The steps, as they are spelled, of whose results a text speaks, and where it does so first."""
    found: dict[str, int] = {}
    for match in _RESULT.finditer(_bare(text)):
        found.setdefault(match[1], match.start(1))
    return found


def names_in(texts: Iterable[str]) -> set[str]:
    """All names in texts, dots included, that could be those of messages and enums."""
    return {name for text in texts for name in _NAME.findall(_bare(text))}


@lru_cache(maxsize=1_024)
def mentions(text: str, word: str) -> bool:
    """Whether a text speaks of a variable."""
    return any(name.partition(".")[0] == word for name in _NAME.findall(_bare(text)))


def place_in(text: str, offset: int) -> str:
    """A place in a text, as CEL's own messages tell it."""
    before = text[:offset]
    return f"line {before.count(chr(10)) + 1}, column {offset - before.rfind(chr(10))}"


def _bare(text: str) -> str:
    """The text with blanks for its strings and comments, so that every place stays where it is."""
    return _STRINGS_AND_COMMENTS.sub(lambda found: re.sub(r"[^\n]", " ", found[0]), text)
