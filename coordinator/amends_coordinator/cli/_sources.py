"""Where the settings of the daemon come from: flags, then the environment, then the TOML file, then defaults.

Each value remembers its source, so that an error can name it. Participants are merged one by one: a
flag may move one of them and leave the others, and its certificates, as the file has them.
"""

import difflib
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from amends_coordinator.settings import (
    SETTINGS,
    ParticipantSettings,
    Setting,
    Settings,
    SettingsError,
    read_address,
    read_authorities,
    read_file,
    read_name,
    read_token_file,
)

CONFIG_VARIABLE: Final = "AMENDS_CONFIG"
_PARTICIPANT_READERS: Final = {
    "address": read_address,
    "ca": read_authorities,
    "cert": read_file,
    "key": read_file,
    "token": read_token_file,
}
_KEYS_DEEP: Final = 3
"""The parts of the longest key that is asked for: `participants`, one of them, what is said of it."""

_FILE_BYTES_MAX: Final = 64 * 1024
"""Two hundred participants with their certificates fit; a file that takes minutes to parse does not."""

_SINGLE: Final = tuple(setting for setting in SETTINGS if setting.name != "participants")


@dataclass(frozen=True, kw_only=True)
class _File:
    """A TOML file: what it says, and where."""

    path: str = ""
    table: Mapping[str, Any] = field(default_factory=dict)
    lines: Mapping[tuple[str, ...], int] = field(default_factory=dict)  # of keys

    def place(self, *keys: str) -> str:
        """Names the line of a key, or of the table around it where that was written on one line."""
        while keys:
            if number := self.lines.get(keys):
                return f"{self.path}, line {number}"
            keys = keys[:-1]
        return self.path


def load(flags: Mapping[str, Any], environment: Mapping[str, str], config: str | None) -> Settings:
    """Returns the settings from all sources.

    Args:
        flags: what was given on the command line, by the name of the setting; None or empty: not given.
        environment: the environment variables.
        config: the path of the TOML file; None: the one that AMENDS_CONFIG names, if any.

    Raises:
        SettingsError: something cannot be used; the message names it and its source.
    """
    file = _read_toml(config or environment.get(CONFIG_VARIABLE) or None)
    for key in file.table:
        _refuse_unknown(key, [setting.key for setting in SETTINGS], file.place(key))
    values = {}
    for setting in _SINGLE:
        found = _find(setting, flags, environment, file)
        if found is not None:
            raw, source = found
            values[setting.name] = _checked(setting.read, raw, source)
    participants = _participants(flags.get("participants") or (), environment, file)
    return Settings(participants=participants, **values)


def _find(
    setting: Setting, flags: Mapping[str, Any], environment: Mapping[str, str], file: _File
) -> tuple[object, str] | None:
    """Returns what was written for a setting, and how to name that to people."""
    if (raw := flags.get(setting.name)) is not None:
        return raw, f"{setting.flag} {raw}"
    # An empty variable is how shells and compose files say "not set".
    if raw := environment.get(setting.env):
        return raw, f"{setting.env}={raw}"
    if setting.key in file.table:
        raw = file.table[setting.key]
        return raw, f"{file.place(setting.key)}: {setting.key}"
    return None


def _checked(read: Any, raw: object, source: str) -> Any:
    try:
        return read(raw)
    except ValueError as error:
        raise SettingsError(f"{source}: {error}") from error


def _read_toml(path: str | None) -> _File:
    if path is None:
        return _File()
    try:
        with Path(path).open("rb") as file:
            content = file.read(_FILE_BYTES_MAX + 1)
        if len(content) > _FILE_BYTES_MAX:
            raise SettingsError(f"{path}: is larger than {_FILE_BYTES_MAX // 1024} KiB")
        text = content.decode()
        return _File(path=path, table=tomllib.loads(text), lines=_lines_of_keys(text))
    except OSError as error:
        raise SettingsError(f"{path}: cannot be read: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SettingsError(f"{path}: not TOML: {error}") from error
    except SettingsError:
        raise
    except ValueError as error:  # of int(), which takes no more than so many digits
        raise SettingsError(f"{path}: not TOML: a number has too many digits") from error
    except RecursionError as error:
        raise SettingsError(f"{path}: not TOML: its values are nested too deeply") from error


def _lines_of_keys(text: str) -> dict[tuple[str, ...], int]:
    """Finds the first line of every key, as people write TOML: alone, dotted, or under a table's header."""
    found: dict[tuple[str, ...], int] = {}
    header: tuple[str, ...] = ()
    for number, line in enumerate(text.splitlines(), start=1):
        line = line.strip()
        if line.startswith("["):
            name, _, rest = line[1:].partition("]")
            if "[" in name or rest.strip()[:1] not in ("", "#"):
                continue
            header = written = _split_key(name)
        else:
            name, equals, _ = line.partition("=")
            if not equals or "#" in name:
                continue
            written = header + _split_key(name)
        for length in range(1, min(len(written), _KEYS_DEEP) + 1):
            found.setdefault(written[:length], number)
    return found


def _split_key(written: str) -> tuple[str, ...]:
    return tuple(part.strip().strip("\"'") for part in written.split("."))


def _refuse_unknown(key: str, known: Iterable[str], place: str) -> None:
    known = list(known)
    if key in known:
        return
    near = difflib.get_close_matches(key, known, n=1) or difflib.get_close_matches(
        key.replace("_", "-"), known, n=1, cutoff=0.0
    )
    raise SettingsError(f"{place}: unknown key {key!r}; did you mean {near[0]!r}?")


def _participants(
    flags: Iterable[str], environment: Mapping[str, str], file: _File
) -> tuple[ParticipantSettings, ...]:
    """Merges the participants of all sources by name, the strongest source last."""
    merged = _participants_of_file(file)
    written = environment.get("AMENDS_PARTICIPANTS", "")
    pairs = [pair.strip() for pair in written.split(",") if pair.strip()]
    for name, address in [*_pairs(pairs, "AMENDS_PARTICIPANTS: "), *_pairs(flags, "--participant ")]:
        merged[name] = {**merged.get(name, {}), "address": address}
    return tuple(ParticipantSettings(name=name, **values) for name, values in merged.items())


def _pairs(pairs: Iterable[str], source: str) -> list[tuple[str, str]]:
    found: dict[str, str] = {}
    for pair in pairs:
        name, equals, address = pair.partition("=")
        if not equals:
            raise SettingsError(f"{source}{pair}: must be NAME=ADDRESS")
        name = _checked(read_name, name.strip(), f"{source}{pair}: the name")
        if name in found:
            raise SettingsError(f"{source}{pair}: {name} is given more than once")
        found[name] = _checked(read_address, address.strip(), f"{source}{pair}: the address")
    return list(found.items())


def _participants_of_file(file: _File) -> dict[str, dict[str, Any]]:
    table = file.table.get("participants", {})
    if not isinstance(table, dict):
        raise SettingsError(f"{file.place('participants')}: participants must be a table")
    return {
        _checked(read_name, name, f"{file.place('participants', name)}: the name {name!r}"): _participant(
            file, name, written
        )
        for name, written in table.items()
    }


def _participant(file: _File, name: str, written: object) -> dict[str, Any]:
    """Reads `name = "HOST:PORT"`, or a table with the address and certificates."""
    place = file.place("participants", name)
    values = {"address": written} if isinstance(written, str) else written
    if not isinstance(values, dict) or "address" not in values:
        raise SettingsError(f'{place}: participant {name} must be "HOST:PORT" or a table with an address')
    read: dict[str, Any] = {}
    for key, raw in values.items():
        place = file.place("participants", name, key) if values is written else place
        _refuse_unknown(key, _PARTICIPANT_READERS, place)
        read[key] = _checked(_PARTICIPANT_READERS[key], raw, f"{place}: {key} of participant {name}")
    return read
