"""How the daemon and a participant trust each other: authorities, a certificate, a token."""

import ssl
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Final

import grpc

from amends.errors import StartError
from amends_coordinator.settings import SYSTEM, ParticipantSettings, read_token

_HASHED: Final = "[0-9a-f]" * 8 + ".[0-9]*"
"""The names by which OpenSSL finds authorities in a folder; whatever else is there it does not trust."""


def channel_credentials(participant: ParticipantSettings) -> grpc.ChannelCredentials | None:
    """Makes what a channel to a participant needs; None for one in plain text.

    Raises:
        StartError: a file cannot be used; the message names it.
    """
    if participant.ca is None:
        return None
    _check_files(participant)
    authorities = system_authorities() if participant.ca == SYSTEM else read_pem(participant.ca)
    credentials = grpc.ssl_channel_credentials(
        authorities, private_key=read_pem(participant.key), certificate_chain=read_pem(participant.cert)
    )
    if participant.token is None:
        return credentials
    bearer = grpc.metadata_call_credentials(Bearer(participant.name, participant.token))
    return grpc.composite_channel_credentials(credentials, bearer)


class Bearer(grpc.AuthMetadataPlugin):
    """Gives every call to a participant the token of a file.

    The file is read for each call, so a token that is replaced while the daemon runs is followed at once, and
    no sign of a change can be missed. That is cheap beside the thread that gRPC makes for each call to do so.
    """

    def __init__(self, participant: str, path: Path) -> None:
        """Reads the file once, to find out now whether it can be used. Raises StartError."""
        self._participant = participant
        self._path = path
        try:
            read_token(path)
        except ValueError as error:
            raise StartError(self._complaint(error)) from None

    def __call__(self, context: grpc.AuthMetadataContext, callback: grpc.AuthMetadataPluginCallback) -> None:
        """Tells gRPC what to send; without a token the call ends as UNAVAILABLE, and is repeated."""
        try:
            token = read_token(self._path)
        except ValueError as error:
            callback((), ValueError(self._complaint(error)))
        else:
            callback((("authorization", f"Bearer {token}"),), None)

    def _complaint(self, error: ValueError) -> str:
        return f"the token of participant {self._participant}: {self._path} {error}"


def _check_files(participant: ParticipantSettings) -> None:
    """Finds out now what gRPC would say with every call, and not in these words. Raises StartError."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.set_ciphers("DEFAULT:@SECLEVEL=0")  # how strong they are is for those who look at them
    what = ""
    try:
        if participant.ca not in (None, SYSTEM):
            what = f"ca {participant.ca} holds no certificates in PEM"
            context.load_verify_locations(participant.ca)
        if participant.cert is not None:
            what = f"cert {participant.cert} and key {participant.key} are no pair of PEM files"
            context.load_cert_chain(participant.cert, participant.key, password="")
    except ssl.SSLError as error:
        raise StartError(f"participant {participant.name}: {what} ({error.reason})") from error
    except OSError:
        return  # reading them says which it is


@cache
def system_authorities() -> bytes:
    """Returns the authorities that the system trusts, as PEM.

    They are those of OpenSSL, which SSL_CERT_FILE and SSL_CERT_DIR override. gRPC by itself would take a list
    that came with its package, without the authorities that an organisation adds to its machines.

    Raises:
        StartError: there are none.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_default_certs()
    folder = ssl.get_default_verify_paths().capath
    for file in () if folder is None else Path(folder).glob(_HASHED):
        with suppress(OSError):  # a certificate that cannot be read vouches for nobody; ssl.SSLError is one
            context.load_verify_locations(file)
    found = context.get_ca_certs(binary_form=True)
    if not found:
        raise StartError(
            f'ca is "{SYSTEM}", and this system has no authorities: install its package of certificates, '
            "often ca-certificates, or set SSL_CERT_FILE, or give the path of a PEM file as ca"
        )
    return "".join(map(ssl.DER_cert_to_PEM_cert, found)).encode()


def read_pem(path: Path | None) -> bytes | None:
    """Returns what is in a file; None for none. Raises StartError where it cannot be read."""
    try:
        return None if path is None else path.read_bytes()
    except OSError as error:
        raise StartError(f"cannot read {path}: {error.strerror}") from error
