"""What users write as arguments: JSON in three places, pairs, and points in time."""

import json
import sys
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NoReturn

from amends_coordinator.cli._exits import CommandError, ExitStatus
from amends_coordinator.settings import read_duration


def read_json(source: str, *, option: str) -> Any:
    """Reads JSON written as it is, from a file as `@FILE`, or from standard input as `-`.

    Raises CommandError, which names the option, for what cannot be read or is not JSON.
    """
    text = _text_of(source, option)
    try:
        return json.loads(text, parse_constant=_refuse_constant, object_pairs_hook=_without_duplicates)
    except ValueError as error:
        raise CommandError(f"{option}: not JSON: {error}", ExitStatus.USAGE) from error


def _text_of(source: str, option: str) -> str:
    try:
        if source == "-":
            return sys.stdin.read()
        return Path(source[1:]).read_text("utf-8") if source.startswith("@") else source
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
        raise CommandError(f"{option}: cannot read {source}: {why}", ExitStatus.USAGE) from error


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no number of JSON")


def _without_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    # json.loads would keep the last and say nothing, which is no way to read an amount of money.
    found: dict[str, Any] = {}
    for key, value in pairs:
        if key in found:
            raise ValueError(f"the key {key!r} is given more than once")
        found[key] = value
    return found


def read_pairs(written: Iterable[str], *, option: str, form: str) -> dict[str, str]:
    """Splits arguments of the form KEY=VALUE. Raises CommandError, which names option and form."""
    found: dict[str, str] = {}
    for pair in written:
        key, equals, value = pair.partition("=")
        if not (key and equals):
            raise CommandError(f"{option} {pair}: must be {form}", ExitStatus.USAGE)
        if key in found:
            raise CommandError(f"{option}: {key} is given more than once", ExitStatus.USAGE)
        found[key] = value
    return found


def read_moment(written: str, *, option: str, now: Callable[[], datetime]) -> datetime:
    """Reads a point in time: so long ago, as in 90m or 2d, or ISO 8601, taken as UTC without an offset."""
    try:
        return now() - read_duration(written)
    except (ValueError, OverflowError):
        pass  # It is not a duration, or reaches back before all calendars; the other form decides.
    try:
        moment = datetime.fromisoformat(written)
    except ValueError:
        form = "how long ago, such as 90m or 2d, or a time such as 2026-01-31T12:00:00Z"
        raise CommandError(f"{option} {written}: must say {form}", ExitStatus.USAGE) from None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
