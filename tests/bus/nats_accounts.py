"""A NATS server that lets in by JWT, and the credentials of its one user, as `nsc` would make them."""

import base64
import hashlib
import json
import os
import time
from typing import Any

import nkeys

_FOREVER = {"mem_storage": -1, "disk_storage": -1, "streams": -1, "consumer": -1}


class _Signer:
    def __init__(self, kind: int) -> None:
        self.seed = nkeys.encode_seed(os.urandom(32), kind)
        self._pair = nkeys.from_seed(bytearray(self.seed))
        self.public = self._pair.public_key.decode()

    def sign(self, subject: str, name: str, claims: dict[str, Any]) -> str:
        body: dict[str, Any] = {
            "iat": int(time.time()),
            "iss": self.public,
            "name": name,
            "sub": subject,
            "nats": {"version": 2, **claims},
        }
        body["jti"] = (
            base64.b32encode(hashlib.sha256(json.dumps(body).encode()).digest()).decode().rstrip("=")
        )
        parts = [_encode(json.dumps(part).encode()) for part in ({"typ": "JWT", "alg": "ed25519-nkey"}, body)]
        text = ".".join(parts)
        return f"{text}.{_encode(self._pair.sign(text.encode()))}"


def _encode(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


def accounts() -> tuple[str, str]:
    """Returns lines for the server's configuration, and the text of a credentials file."""
    operator = _Signer(nkeys.PREFIX_BYTE_OPERATOR)
    system, account = (_Signer(nkeys.PREFIX_BYTE_ACCOUNT) for _ in range(2))
    user = _Signer(nkeys.PREFIX_BYTE_USER)
    limits = {"subs": -1, "data": -1, "payload": -1, "imports": -1, "exports": -1, "conn": -1, "leaf": -1}
    operator_jwt = operator.sign(operator.public, "operator", {"type": "operator"})
    account_jwt = operator.sign(account.public, "shop", {"type": "account", "limits": limits | _FOREVER})
    system_jwt = operator.sign(system.public, "system", {"type": "account", "limits": limits})
    user_jwt = account.sign(user.public, "payments", {"type": "user", "subs": -1, "data": -1, "payload": -1})
    settings = f"""
        operator: "{operator_jwt}"
        system_account: {system.public}
        resolver: MEMORY
        resolver_preload: {{ {account.public}: "{account_jwt}", {system.public}: "{system_jwt}" }}
    """
    credentials = (
        f"-----BEGIN NATS USER JWT-----\n{user_jwt}\n------END NATS USER JWT------\n\n"
        f"-----BEGIN USER NKEY SEED-----\n{user.seed.decode()}\n------END USER NKEY SEED------\n"
    )
    return settings, credentials
