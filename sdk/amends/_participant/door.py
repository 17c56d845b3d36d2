"""Checks calls before anything is done about them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

from amends._participant.action import Action
from amends._participant.call import Request
from amends._participant.invocation import PAYLOAD_BYTES_MAX
from amends._transactions import faults

_ID = re.compile(r"[A-Za-z0-9._:~-]{1,128}")
_ID_FORM: Final = "must be 1 to 128 characters of A-Z, a-z, 0-9, '.', '_', ':', '~' and '-'"


def admit(request: Request, actions: Mapping[str, Action[Any, Any]]) -> Action[Any, Any]:
    """Returns the action that a call is about.

    Raises:
        Fault: the call is malformed, or there is no such action.
    """
    if not _ID.fullmatch(request.saga_id):
        raise faults.invalid("saga_id", _ID_FORM)
    if not _ID.fullmatch(request.step):
        raise faults.invalid("step", _ID_FORM)
    size = len(request.input.value)
    if size > PAYLOAD_BYTES_MAX:
        raise faults.invalid("input", f"takes {size} bytes, more than {PAYLOAD_BYTES_MAX}")
    action = actions.get(request.action)
    if action is None:
        raise faults.unknown_action(request.action, actions)
    return action
