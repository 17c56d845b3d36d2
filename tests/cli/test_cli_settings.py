"""Settings: where they come from, which source wins, and what is said of a bad one."""

import dataclasses
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from amends._transactions.retention import RETENTION_DEFAULT
from amends_coordinator.cli._sources import load
from amends_coordinator.settings import SETTINGS, ParticipantSettings, Settings, SettingsError

DOCS = Path(__file__).parents[2] / "docs" / "settings.md"


def from_file(tmp_path: Path, text: str, flags: dict[str, Any] | None = None, **environment: str) -> Settings:
    path = tmp_path / "amends.toml"
    path.write_text(text)
    return load(flags or {}, environment, str(path))


def complaint(tmp_path: Path, text: str, flags: dict[str, Any] | None = None, **environment: str) -> str:
    """What is said of settings that cannot be used, without the folder of the file."""
    with pytest.raises(SettingsError) as raised:
        from_file(tmp_path, text, flags, **environment)
    return str(raised.value).replace(f"{tmp_path}/", "")


def test_every_field_is_described_in_order() -> None:
    """No setting without its reason."""
    assert [setting.name for setting in SETTINGS] == [field.name for field in dataclasses.fields(Settings)]
    assert all(setting.reason and setting.range for setting in SETTINGS)


@pytest.mark.parametrize("setting", [s for s in SETTINGS if s.default], ids=lambda setting: setting.name)
def test_the_default_in_words_is_the_default(setting: Any) -> None:
    """What help and docs show is what holds."""
    assert setting.read(setting.default) == getattr(Settings(), setting.name)


def test_the_reference_in_the_docs_agrees() -> None:
    """docs/settings.md lists every setting, and says of it what the code says."""
    rows = [
        [cell.strip().strip("`") for cell in line.strip("|").split("|")]
        for line in DOCS.read_text().splitlines()
        if line.startswith("| `--")
    ]
    described = [[s.flag, s.env, s.key, s.default or "none", s.range, s.reason] for s in SETTINGS]
    assert rows == described


def test_sagas_are_kept_longer_than_fences_remember_them() -> None:
    """By default. An id that starts another saga must not meet a fence that answers for the first."""
    assert Settings().retention > RETENTION_DEFAULT


def test_flags_beat_the_environment_which_beats_the_file_which_beats_defaults(tmp_path: Path) -> None:
    """Each of four settings comes from its strongest source."""
    text = 'listen = "file:1"\nstore = "sqlite:///file.db"\nlog-level = "debug"\n'
    flags = {"listen": "flag:1", "store": None}
    found = from_file(tmp_path, text, flags, AMENDS_LISTEN="env:1", AMENDS_STORE="sqlite:///env.db")
    assert (found.listen, found.store, found.log_level, found.log_format) == (
        "flag:1",
        "sqlite:///env.db",
        "debug",
        "text",
    )


def test_the_environment_can_name_the_file(tmp_path: Path) -> None:
    """AMENDS_CONFIG stands for --config."""
    path = tmp_path / "amends.toml"
    path.write_text('retention = "12h"')
    assert load({}, {"AMENDS_CONFIG": str(path)}, None).retention == timedelta(hours=12)


def test_an_empty_variable_is_not_set() -> None:
    """As compose files and shells mean it."""
    assert load({}, {"AMENDS_LISTEN": "", "AMENDS_CONFIG": ""}, None) == Settings()


def test_values_are_read_by_their_kind(tmp_path: Path) -> None:
    """Numbers, spans, choices and off."""
    text = 'max-live-sagas = 7\nmetrics = "off"\nlisten = "[::1]:0"\nlog-format = "JSON"\n'
    found = from_file(tmp_path, text, AMENDS_MAX_CALLS_IN_FLIGHT="12", AMENDS_RETENTION="1.5h")
    assert (found.max_live_sagas, found.metrics, found.listen, found.log_format) == (
        7,
        None,
        "[::1]:0",
        "json",
    )
    assert (found.max_calls_in_flight, found.retention) == (12, timedelta(minutes=90))


def test_participants_are_merged_by_name(tmp_path: Path) -> None:
    """A flag moves one participant and leaves the others, and its certificates."""
    authority = tmp_path / "ca.pem"
    authority.write_text("")
    text = f'[participants]\na = "a:1"\nb = "b:1"\n[participants.c]\naddress = "c:1"\nca = "{authority}"\n'
    found = from_file(tmp_path, text, {"participants": ("c=moved:3",)}, AMENDS_PARTICIPANTS="b=b:2, d=d:2")
    assert found.participants == (
        ParticipantSettings(name="a", address="a:1"),
        ParticipantSettings(name="b", address="b:2"),
        ParticipantSettings(name="c", address="moved:3", ca=authority),
        ParticipantSettings(name="d", address="d:2"),
    )


def test_a_participant_may_be_vouched_for_by_the_system_and_shown_a_token(tmp_path: Path) -> None:
    """A flag that moves it leaves both."""
    token = tmp_path / "token"
    token.write_text("abc.DEF-1\n")
    text = f'[participants.a]\naddress = "a:1"\nca = "system"\ntoken = "{token}"\n'
    found = from_file(tmp_path, text, {"participants": ("a=moved:1",)})
    assert found.participants == (ParticipantSettings(name="a", address="moved:1", ca="system", token=token),)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (None, "cannot be read: No such file or directory"),
        ("\n", "is empty; it must hold a token"),
        ("SECRET\x07", "must hold one token and nothing else"),
        ("SECRET\nSECRET", "must hold one token and nothing else"),
        ("SECRET" * 1_366, "is larger than 8 KiB"),
    ],
)
def test_a_token_that_cannot_be_used_is_told_with_its_line_and_not_shown(
    tmp_path: Path, content: str | None, said: str
) -> None:
    """Where the file is named, not only when the first call is made."""
    token = tmp_path / "token"
    if content is not None:
        token.write_text(content)
    text = f'[participants.a]\naddress = "a:1"\nca = "system"\ntoken = "{token}"\n'
    told = complaint(tmp_path, text)
    assert told.startswith(f"amends.toml, line 4: token of participant a: {said}")
    assert "SECRET" not in told


def test_a_token_is_not_sent_in_plain_text(tmp_path: Path) -> None:
    """It needs authorities that vouch for who gets it."""
    token = tmp_path / "token"
    token.write_text("SECRET")
    text = f'[participants.a]\naddress = "a:1"\ntoken = "{token}"\n'
    assert complaint(tmp_path, text) == (
        "participant a: token needs ca, for a token must not be sent in plain text; give the PEM file of the "
        'authorities, or "system" for those that the system trusts'
    )


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('\nlisen = "x:1"', "amends.toml, line 2: unknown key 'lisen'; did you mean 'listen'?"),
        (
            "max_live_sagas = 1",
            "amends.toml, line 1: unknown key 'max_live_sagas'; did you mean 'max-live-sagas'?",
        ),
        (
            'listen = "x"',
            "amends.toml, line 1: listen: must be HOST:PORT, such as 127.0.0.1:50051 or [::1]:50051",
        ),
        (
            "max-live-sagas = 0",
            "amends.toml, line 1: max-live-sagas: must be a whole number from 1 to 10000000",
        ),
        (
            "max-live-sagas = true",
            "amends.toml, line 1: max-live-sagas: must be a whole number from 1 to 10000000",
        ),
        (
            "retention = 30",
            "amends.toml, line 1: retention: must be a number with a unit (ms, s, m, h or d), such as 30d",
        ),
        ('retention = "0s"', "amends.toml, line 1: retention: must be from 1s to 36500d"),
        ('log-level = "loud"', "amends.toml, line 1: log-level: must be one of debug, info, warning, error"),
        (
            'store = "postgres://x"',
            "amends.toml, line 1: store: must be sqlite:///PATH; an absolute path makes four slashes",
        ),
        ('tls-cert = "/nowhere"', "amends.toml, line 1: tls-cert: cannot be read: No such file or directory"),
        ("participants = 3", "amends.toml, line 1: participants must be a table"),
        (
            "[participants]\na = 1",
            'amends.toml, line 2: participant a must be "HOST:PORT" or a table with an address',
        ),
        (
            '[participants.a]\naddress = "a:1"\ncrt = "x"',
            "amends.toml, line 3: unknown key 'crt'; did you mean 'cert'?",
        ),
        (
            '[participants.a]\naddress = "a:1"\nca = "System"',
            "amends.toml, line 3: ca of participant a: cannot be read: No such file or directory; it is",
        ),
        (
            'participants = {a = {address = "a:1", port = 2}}',
            "amends.toml, line 1: unknown key 'port'; did you mean 'cert'?",
        ),
        ('[participants]\n"a b" = "a:1"', "amends.toml, line 2: the name 'a b': must be 1 to 128 characters"),
    ],
)
def test_a_mistake_in_the_file_is_told_with_its_line(tmp_path: Path, text: str, said: str) -> None:
    """The key, the line, and what it must be."""
    assert complaint(tmp_path, text).startswith(said)


@pytest.mark.parametrize(
    ("flags", "environment", "said"),
    [
        ({"listen": "x"}, {}, "--listen x: must be HOST:PORT"),
        ({}, {"AMENDS_METRICS": "yes"}, "AMENDS_METRICS=yes: must be HOST:PORT"),
        ({"listen": "h:65536"}, {}, "--listen h:65536: must be HOST:PORT"),
        ({"participants": ("a",)}, {}, "--participant a: must be NAME=ADDRESS"),
        ({"participants": ("a=b",)}, {}, "--participant a=b: the address: must be HOST:PORT"),
        ({"participants": ("a=b:1", "a=c:1")}, {}, "--participant a=c:1: a is given more than once"),
        ({}, {"AMENDS_PARTICIPANTS": "a=b:1,x y=c:1"}, "AMENDS_PARTICIPANTS: x y=c:1: the name: must be"),
    ],
)
def test_a_bad_value_names_setting_and_source(
    tmp_path: Path, flags: dict[str, Any], environment: dict[str, str], said: str
) -> None:
    """Nobody has to guess which of three places it came from."""
    assert complaint(tmp_path, "", flags, **environment).startswith(said)


def test_a_file_that_is_not_toml_is_told_with_its_line(tmp_path: Path) -> None:
    """The parser's words, and the file."""
    said = complaint(tmp_path, "listen =\n")
    assert said.startswith("amends.toml: not TOML: ")
    assert "line 1" in said


def test_a_file_that_is_not_there_is_named() -> None:
    """Also where the environment named it."""
    with pytest.raises(SettingsError, match=r"^/nowhere\.toml: cannot be read: No such file or directory$"):
        load({}, {"AMENDS_CONFIG": "/nowhere.toml"}, None)


def test_parts_of_tls_that_do_not_fit_are_refused(tmp_path: Path) -> None:
    """Half of a pair protects nothing."""
    path = tmp_path / "some.pem"
    path.write_text("")
    with pytest.raises(SettingsError, match="tls-key needs tls-cert"):
        Settings(tls_key=path)
    with pytest.raises(SettingsError, match="tls-client-ca needs tls-cert and tls-key"):
        Settings(tls_client_ca=path)
    with pytest.raises(SettingsError, match="participant a: cert needs ca, cert and key together"):
        ParticipantSettings(name="a", address="a:1", cert=path)
