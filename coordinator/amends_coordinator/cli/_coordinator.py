"""Talks to a coordinator: connects, and says in one line what went wrong."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final

import grpc
from google.rpc import error_details_pb2
from grpc_status import rpc_status

from amends.v1 import coordinator_pb2_grpc
from amends_coordinator.cli._exits import CommandError, ExitStatus
from amends_coordinator.cli._options import Options
from amends_coordinator.cli._words import clean
from amends_coordinator.settings import read_address

if TYPE_CHECKING:
    from amends.v1.coordinator_pb2_grpc import CoordinatorStub

CALL_TIMEOUT: Final = 10.0
"""Seconds that a call which waits for nothing may take: a coordinator that needs longer is in trouble."""

_MESSAGE_SIZE_MAX: Final = 64 * 1024 * 1024
"""Bytes. A saga of many steps with payloads of 1 MiB exceeds the 4 MiB that gRPC receives by default."""

# Calls that a coordinator leaves behind as it stops end as cancelled.
_SILENT: Final = frozenset(
    {grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED, grpc.StatusCode.CANCELLED}
)

_STATUSES: Final = {
    grpc.StatusCode.NOT_FOUND: ExitStatus.NOT_FOUND,
    grpc.StatusCode.INVALID_ARGUMENT: ExitStatus.USAGE,
}


@contextmanager
def connected(options: Options) -> "Iterator[CoordinatorStub]":
    """Gives a stub of the coordinator; raises CommandError for whatever fails while it is used."""
    with channel_to(options, options.target, "--target") as channel:
        try:
            yield coordinator_pb2_grpc.CoordinatorStub(channel)
        except grpc.RpcError as error:
            raise in_words(error, options.target) from error


def channel_to(options: Options, address: str, option: str) -> grpc.Channel:
    """Connects to an address, trusting as the options say. Raises CommandError, which names the option."""
    try:
        target = read_address(address)
    except ValueError as error:
        raise CommandError(f"{option} {address}: {error}", ExitStatus.USAGE) from None
    channel_options = [
        ("grpc.max_receive_message_length", _MESSAGE_SIZE_MAX),
        # Someone is looking on: a coordinator that restarts should be found again at once.
        ("grpc.initial_reconnect_backoff_ms", 100),
        ("grpc.max_reconnect_backoff_ms", 1_000),
    ]
    credentials = read_credentials(options)
    if credentials is None:
        return grpc.insecure_channel(target, options=channel_options)
    return grpc.secure_channel(target, credentials, options=channel_options)


def read_credentials(options: Options) -> grpc.ChannelCredentials | None:
    """Reads the files of --ca, --cert and --key; None is for plain text. Raises CommandError."""
    if options.ca is None:
        if options.cert or options.key:
            raise CommandError("--cert and --key need --ca", ExitStatus.USAGE)
        return None
    if (options.cert is None) != (options.key is None):
        raise CommandError("--cert and --key need each other", ExitStatus.USAGE)
    return grpc.ssl_channel_credentials(
        root_certificates=_pem("--ca", options.ca),
        private_key=_pem("--key", options.key),
        certificate_chain=_pem("--cert", options.cert),
    )


def _pem(option: str, path: str | None) -> bytes | None:
    try:
        return Path(path).read_bytes() if path is not None else None
    except OSError as error:
        raise CommandError(f"{option} {path}: cannot be read: {error.strerror}", ExitStatus.USAGE) from error


def is_unreachable(error: grpc.RpcError) -> bool:
    """Tells whether the coordinator gave no answer, as opposed to an answer that nobody likes."""
    silent = error.code() in _SILENT
    # What the coordinator itself says carries an ErrorInfo; what gRPC says for it does not.
    return silent and _details(error)[0] is None


def in_words(error: grpc.RpcError, target: str) -> CommandError:
    """Says in one line how a call failed, naming reasons and fields where the coordinator did."""
    info, bad_request = _details(error)
    code, details = error.code(), clean(error.details() or "")
    if is_unreachable(error):
        return CommandError(_silence(code, details, target), ExitStatus.UNREACHABLE)
    violations = bad_request.field_violations if bad_request else []
    fields = "; ".join(f"{clean(found.field)}: {clean(found.description)}" for found in violations)
    said = fields or details or code.name
    if info is not None and info.reason:
        said += f" ({clean(info.reason)})"
    return CommandError(said, _STATUSES.get(code, ExitStatus.FAILED))


def _silence(code: grpc.StatusCode, details: str, target: str) -> str:
    if "Connection refused" in details:
        return f"nobody listens at {target}; is `amends serve` running there? --target names another address"
    return f"the coordinator at {target} does not answer ({code.name}: {details})"


def _details(
    error: grpc.RpcError,
) -> tuple[error_details_pb2.ErrorInfo | None, error_details_pb2.BadRequest | None]:
    info = error_details_pb2.ErrorInfo()
    bad_request = error_details_pb2.BadRequest()
    found_info = found_bad_request = False
    try:
        status = rpc_status.from_call(error)  # type: ignore[arg-type] # it has what a call has
    except ValueError:
        status = None  # The details contradict the status; without them it is still an error.
    for detail in status.details if status is not None else ():
        found_info |= detail.Is(info.DESCRIPTOR) and detail.Unpack(info)
        found_bad_request |= detail.Is(bad_request.DESCRIPTOR) and detail.Unpack(bad_request)
    return (info if found_info else None), (bad_request if found_bad_request else None)
