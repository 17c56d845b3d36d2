"""What can be set on the daemon: every setting with its default, its range and its reason.

`Settings` holds the values; `SETTINGS` describes them, so that flags, environment variables, the keys
of the TOML file and the reference in docs/settings.md all come from this one place. Where values come
from, and which source wins, is the business of the command line.

One rule gives a setting its names: `max_live_sagas` is `--max-live-sagas`, `AMENDS_MAX_LIVE_SAGAS` and
`max-live-sagas = ...` in the file. Only participants, of which there are many, differ:
`--participant NAME=ADDRESS`, `AMENDS_PARTICIPANTS="NAME=ADDRESS,..."` and a table `[participants]`.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any, Final, Literal

_NAME = re.compile(r"[A-Za-z0-9._:~-]{1,128}")
_HOST = re.compile(r"[A-Za-z0-9_]([A-Za-z0-9_.-]*[A-Za-z0-9_.])?|\[[0-9A-Fa-f:.%a-z]+\]")
_PORT = re.compile(r"[0-9]{1,9}")
_DURATION = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h|d)")
_DURATION_UNITS = {
    "ms": timedelta(milliseconds=1),
    "s": timedelta(seconds=1),
    "m": timedelta(minutes=1),
    "h": timedelta(hours=1),
    "d": timedelta(days=1),
}

RETENTION_RANGE = (timedelta(seconds=1), timedelta(days=36_500))
STALL_AFTER_RANGE = (timedelta(seconds=1), timedelta(days=366))
LIVE_SAGAS_RANGE = (1, 10_000_000)
CALLS_IN_FLIGHT_RANGE = (1, 100_000)
LOG_FORMATS = ("text", "json")
LOG_LEVELS = ("debug", "info", "warning", "error")

SYSTEM: Final = "system"
"""Stands in place of a file for the authorities that the system trusts."""

TOKEN_BYTES_MAX: Final = 8 * 1024
"""Of a file with a token: gRPC servers take no more metadata with a call than this, unless told to."""

_TOKEN = re.compile(rb"[!-~]+")


class SettingsError(ValueError):
    """A setting that cannot be used; the message names it and, where known, its source."""


@dataclass(frozen=True, kw_only=True)
class Setting:
    """Describes one setting, for those who read, show or document it."""

    name: str
    """The name of the field of `Settings`."""
    default: str
    """The default as one would write it; empty where there is none."""
    range: str
    """The values that are taken, with their unit."""
    reason: str
    """What the setting is for, and why its default is what it is."""
    read: Callable[[object], Any]
    """Turns what was written into the value; raises ValueError saying what it must be."""

    @property
    def flag(self) -> str:
        """The option of `amends serve`."""
        return "--participant" if self.name == "participants" else "--" + self.key

    @property
    def env(self) -> str:
        """The environment variable."""
        return "AMENDS_" + self.name.upper()

    @property
    def key(self) -> str:
        """The key in the TOML file."""
        return self.name.replace("_", "-")


@dataclass(frozen=True, kw_only=True)
class ParticipantSettings:
    """How one participant is reached."""

    name: str
    """The name by which steps call it."""
    address: str
    """HOST:PORT of its gRPC server."""
    ca: Path | Literal["system"] | None = None
    """PEM file of the authorities that may vouch for it, or `SYSTEM`; without, it is called in plain text."""
    cert: Path | None = None
    """PEM file of the certificate shown to it, for mutual TLS; needs `key` and `ca`."""
    key: Path | None = None
    """PEM file of the private key of `cert`."""
    token: Path | None = None
    """File with a bearer token that goes with every call; needs `ca`."""

    def __post_init__(self) -> None:
        if self.token is not None and self.ca is None:
            raise SettingsError(
                f"participant {self.name}: token needs ca, for a token must not be sent in plain text; give "
                f'the PEM file of the authorities, or "{SYSTEM}" for those that the system trusts'
            )
        for certificate_setting in ("cert", "key"):
            if getattr(self, certificate_setting) and not (self.cert and self.key and self.ca):
                raise SettingsError(
                    f"participant {self.name}: {certificate_setting} needs ca, cert and key together"
                )


def read_name(raw: object) -> str:
    """Returns a name in the form that the contracts ask for; raises ValueError."""
    if not isinstance(raw, str) or not _NAME.fullmatch(raw):
        raise ValueError("must be 1 to 128 characters of A-Z, a-z, 0-9, '.', '_', ':', '~' and '-'")
    return raw


def read_address(raw: object) -> str:
    """Returns HOST:PORT, the port from 0 to 65535 (0: any free one); raises ValueError."""
    host, colon, port = raw.rpartition(":") if isinstance(raw, str) else ("", "", "")
    if not (colon and _HOST.fullmatch(host) and _PORT.fullmatch(port) and int(port) <= 65_535):
        raise ValueError("must be HOST:PORT, such as 127.0.0.1:50051 or [::1]:50051")
    return f"{host}:{int(port)}"


def read_duration(raw: object) -> timedelta:
    """Returns a duration written as a number with its unit, such as 30d or 1.5h; raises ValueError."""
    match = _DURATION.fullmatch(raw.strip()) if isinstance(raw, str) else None
    if not match:
        raise ValueError("must be a number with a unit (ms, s, m, h or d), such as 30d")
    try:
        return float(match[1]) * _DURATION_UNITS[match[2]]
    except OverflowError:
        raise ValueError("is longer than can be counted") from None


def read_file(raw: object) -> Path:
    """Returns the path of a file that can be read; raises ValueError."""
    if not isinstance(raw, str | Path) or not str(raw):
        raise ValueError("must be the path of a file")
    try:
        with Path(raw).open("rb"):
            return Path(raw)
    except OSError as error:
        raise ValueError(f"cannot be read: {error.strerror}") from None


def read_authorities(raw: object) -> Path | Literal["system"]:
    """Returns SYSTEM as it is, or the path of a file that can be read; raises ValueError."""
    if raw == SYSTEM:
        return SYSTEM
    try:
        return read_file(raw)
    except ValueError as error:
        raise ValueError(f'{error}; it is a PEM file, or "{SYSTEM}"') from None


def read_token_file(raw: object) -> Path:
    """Returns the path of a file that holds a token; raises ValueError."""
    path = read_file(raw)
    read_token(path)
    return path


def read_token(path: Path) -> str:
    """Returns the bearer token in a file; spaces and ends of lines around it are not part of it.

    Raises:
        ValueError: the file cannot be read, or holds something else; the message never shows what.
    """
    try:
        with path.open("rb") as file:
            content = file.read(TOKEN_BYTES_MAX + 1)
    except OSError as error:
        raise ValueError(f"cannot be read: {error.strerror}") from None
    if len(content) > TOKEN_BYTES_MAX:
        raise ValueError(f"is larger than {TOKEN_BYTES_MAX // 1024} KiB, which no token is")
    token = content.strip()
    if not token:
        raise ValueError("is empty; it must hold a token")
    if not _TOKEN.fullmatch(token):
        raise ValueError(
            "must hold one token and nothing else: a single line of visible ASCII characters, without "
            "spaces, and without 'Bearer' before it"
        )
    return token.decode()


def _read_participants(raw: object) -> tuple[ParticipantSettings, ...]:
    """Accepts what has been assembled; a single NAME=ADDRESS is read where sources are merged."""
    if not isinstance(raw, tuple):
        raise ValueError("must be a table of participants")
    return raw


def _read_switched_address(raw: object) -> str | None:
    return None if raw == "off" else read_address(raw)


def _read_store(raw: object) -> str:
    if not isinstance(raw, str) or not re.fullmatch(r"sqlite:///.+", raw):
        raise ValueError("must be sqlite:///PATH; an absolute path makes four slashes")
    return raw


def _one_of(choices: tuple[str, ...]) -> Callable[[object], str]:
    def read(raw: object) -> str:
        if not isinstance(raw, str) or raw.lower() not in choices:
            raise ValueError(f"must be one of {', '.join(choices)}")
        return raw.lower()

    return read


def _whole_number(bounds: tuple[int, int]) -> Callable[[object], int]:
    def read(raw: object) -> int:
        written = raw.strip() if isinstance(raw, str) else raw
        if isinstance(written, str) and re.fullmatch(r"[0-9]{1,18}", written):
            written = int(written)
        if isinstance(written, bool) or not isinstance(written, int) or not bounds[0] <= written <= bounds[1]:
            raise ValueError(f"must be a whole number from {bounds[0]} to {bounds[1]}")
        return written

    return read


def _read_retention(raw: object) -> timedelta:
    retention = read_duration(raw)
    if not RETENTION_RANGE[0] <= retention <= RETENTION_RANGE[1]:
        raise ValueError("must be from 1s to 36500d")
    return retention


def _read_bus(raw: object) -> str:
    if not isinstance(raw, str) or not re.fullmatch(r"sqlite:///.+|(nats|tls)://.+", raw):
        raise ValueError("must be sqlite:///PATH or nats://HOST:PORT")
    return raw


def _read_stall_after(raw: object) -> timedelta:
    patience = read_duration(raw)
    if not STALL_AFTER_RANGE[0] <= patience <= STALL_AFTER_RANGE[1]:
        raise ValueError("must be from 1s to 366d")
    return patience


@dataclass(frozen=True, kw_only=True)
class Settings:
    """The values of all settings; `SETTINGS` describes them. Raises SettingsError where they clash."""

    listen: str = "127.0.0.1:50051"
    store: str = "sqlite:///amends.db"
    participants: tuple[ParticipantSettings, ...] = ()
    metrics: str | None = "127.0.0.1:9464"
    http: str | None = None
    tls_cert: Path | None = None
    tls_key: Path | None = None
    tls_client_ca: Path | None = None
    max_live_sagas: int = 50_000
    max_calls_in_flight: int = 1_000
    retention: timedelta = timedelta(days=100)
    bus: str | None = None
    stall_after: timedelta = timedelta(minutes=5)
    log_format: str = "text"
    log_level: str = "info"

    def __post_init__(self) -> None:
        if (self.tls_cert is None) != (self.tls_key is None):
            given, missing = ("tls-cert", "tls-key") if self.tls_cert else ("tls-key", "tls-cert")
            raise SettingsError(f"{given} needs {missing}")
        if self.tls_client_ca is not None and self.tls_cert is None:
            raise SettingsError("tls-client-ca needs tls-cert and tls-key")
        names = [participant.name for participant in self.participants]
        for name in names:
            if names.count(name) > 1:
                raise SettingsError(f"participant {name} is given more than once")


SETTINGS = (
    Setting(
        name="listen",
        default="127.0.0.1:50051",
        range="HOST:PORT; port 0 takes any free one",
        reason="Where clients reach the coordinator. Only this machine by default: "
        "opening it to others is a decision, and should come with TLS.",
        read=read_address,
    ),
    Setting(
        name="store",
        default="sqlite:///amends.db",
        range="sqlite:///PATH",
        reason="The durable log. A file by default, so that what was accepted survives a restart.",
        read=_read_store,
    ),
    Setting(
        name="participants",
        default="",
        range="NAME=ADDRESS, any number",
        reason="The participants that steps may name. Only what is listed here is ever called.",
        read=_read_participants,
    ),
    Setting(
        name="metrics",
        default="127.0.0.1:9464",
        range="HOST:PORT, or off",
        reason="Where Prometheus reads /metrics over HTTP; 9464 is the port that exporters of "
        "OpenTelemetry use by custom.",
        read=_read_switched_address,
    ),
    Setting(
        name="http",
        default="off",
        range="HOST:PORT, or off",
        reason="Where the unary RPCs are served as JSON over HTTP, for curl and scripts, with the tls "
        "settings of the gRPC port. Off by default, and apart from the metrics: whoever reaches it commands "
        "sagas.",
        read=_read_switched_address,
    ),
    Setting(
        name="tls_cert",
        default="",
        range="PEM file",
        reason="The server's certificate chain; with tls-key, clients must use TLS.",
        read=read_file,
    ),
    Setting(
        name="tls_key",
        default="",
        range="PEM file",
        reason="The private key of tls-cert.",
        read=read_file,
    ),
    Setting(
        name="tls_client_ca",
        default="",
        range="PEM file",
        reason="Authorities of client certificates; with it, clients without a certificate are refused.",
        read=read_file,
    ),
    Setting(
        name="max_live_sagas",
        default="50000",
        range="1 to 10000000 sagas",
        reason="Unfinished sagas held in memory; when it is full, new ones are turned away with "
        "RESOURCE_EXHAUSTED. At up to 6 KB each, the default stays within about 300 MB.",
        read=_whole_number(LIVE_SAGAS_RANGE),
    ),
    Setting(
        name="max_calls_in_flight",
        default="1000",
        range="1 to 100000 calls",
        reason="Calls under way at one time, per participant: a hanging participant holds up only its own "
        "sagas. The default carries 5,000 calls a second at 200 ms each.",
        read=_whole_number(CALLS_IN_FLIGHT_RANGE),
    ),
    Setting(
        name="retention",
        default="100d",
        range="1s to 36500d",
        reason="How long a saga that ended is kept; unfinished ones are never removed. Until then its id "
        "cannot start another saga. Longer than the 90 days for which fences remember its calls by default: "
        "a fence that still knows an id would answer for the old saga.",
        read=_read_retention,
    ),
    Setting(
        name="bus",
        default="",
        range="sqlite:///PATH or nats://HOST:PORT",
        reason="The bus of choreographed sagas, which are then shown beside those that the coordinator "
        "drives. It is only read. Without one there is nothing to follow.",
        read=_read_bus,
    ),
    Setting(
        name="stall_after",
        default="5m",
        range="1s to 366d",
        reason="How long a choreographed saga may be silent while a service is expected to react, before it "
        "counts as stalled. Longer than a service takes to restart and to try again a few times.",
        read=_read_stall_after,
    ),
    Setting(
        name="log_format",
        default="text",
        range=", ".join(LOG_FORMATS),
        reason="text for people, json (one object per line) for collectors.",
        read=_one_of(LOG_FORMATS),
    ),
    Setting(
        name="log_level",
        default="info",
        range=", ".join(LOG_LEVELS),
        reason="The least severe record that is written. No level writes payloads.",
        read=_one_of(LOG_LEVELS),
    ),
)
"""Describes every field of `Settings`, in their order."""
