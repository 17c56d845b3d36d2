"""The event that a rejection becomes: of a type of the author's with a field `reason`."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any, Final

from amends import _payload
from amends._choreography.types import JsonEvent
from amends._participant.signature import shown
from amends.errors import HandlerError, Rejected

_FIELDS: Final = ("reason", "message", "metadata")


def failure_builder(kind: Any) -> Callable[[Rejected], Any]:
    """Returns what makes an event of a rejection.

    Args:
        kind: a class with a field `reason` and, where it likes, `message` and `metadata`; all others must
            have a default. Or a name: then it is JSON with the three of them.

    Raises:
        HandlerError: the class has other fields.
    """
    if isinstance(kind, str):
        return lambda rejected: JsonEvent(kind, _all_of(rejected))
    known = _fields_of(kind)
    if "reason" not in known:
        raise HandlerError(
            f"{kind.__name__} cannot tell of a rejection: it needs a field 'reason', "
            "and may have 'message' and 'metadata'"
        )
    wanted = [name for name in _FIELDS if name in known]

    def build(rejected: Rejected) -> Any:
        fields = _all_of(rejected)
        return kind(**{name: fields[name] for name in wanted})

    return build


def _all_of(rejected: Rejected) -> dict[str, Any]:
    return {"reason": rejected.reason, "message": rejected.message, "metadata": dict(rejected.metadata)}


def _fields_of(kind: Any) -> set[str]:
    if _payload.is_message(kind):
        return set(kind.DESCRIPTOR.fields_by_name)
    if not dataclasses.is_dataclass(kind):
        raise HandlerError(
            f"{kind!r} cannot tell of a rejection: use a protobuf message, a dataclass or a name"
        )
    for field in dataclasses.fields(kind):
        optional = (
            field.default is not dataclasses.MISSING or field.default_factory is not dataclasses.MISSING
        )
        if field.init and not optional and field.name not in _FIELDS:
            raise HandlerError(
                f"{shown(kind)} cannot tell of a rejection: its field {field.name!r} has no default"
            )
    return {field.name for field in dataclasses.fields(kind)}
