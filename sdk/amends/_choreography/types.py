"""What events are called. The name of a type has its version inside: "shop.v1.OrderPlaced".

The *family* is the name without the version, and is what services subscribe to: one that knows version 1 is
given version 2 as well, and says that it does not know it, instead of never hearing of it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any, Final, TypeVar

from amends import _payload
from amends.errors import HandlerError, PayloadError

ClassT = TypeVar("ClassT", bound=type)

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*(\.[A-Za-z_][A-Za-z0-9_]*)*")
_VERSION = re.compile(r"v[1-9][0-9]*")
NAME_LENGTH_MAX: Final = 128
"""Room for a package of some depth; the name is part of the subjects of a broker."""

_NAME_ATTRIBUTE: Final = "__amends_event__"


def event(name: str) -> Callable[[ClassT], ClassT]:
    """Names the type of event that a dataclass is, as a decorator; default is the name of the class.

    Args:
        name: dotted, with a version such as "v2" as one of its parts where there is more than one version:
            "shop.v2.OrderPlaced".

    Raises:
        HandlerError: the name has another form.
    """
    checked = check_name(name)

    def decorate(cls: ClassT) -> ClassT:
        setattr(cls, _NAME_ATTRIBUTE, checked)
        return cls

    return decorate


class JsonEvent(dict[str, Any]):
    """An event for which there is no class: its name, and fields that JSON can say.

    ::

        return JsonEvent("StockReserved", {"sku": "tea", "pieces": 2})

    Raises:
        HandlerError: the name has another form.
    """

    def __init__(self, name: str, fields: Mapping[str, Any]) -> None:
        super().__init__(fields)
        self.name = check_name(name)


def check_name(name: str) -> str:
    """Returns the name of a type. Raises HandlerError if it is none."""
    if not _NAME.fullmatch(name) or len(name) > NAME_LENGTH_MAX:
        raise HandlerError(
            f"{name!r} is no name of an event: write 1 to {NAME_LENGTH_MAX} letters, digits and '_', "
            "in parts with '.' between, such as 'shop.v1.OrderPlaced'"
        )
    return name


def name_of(kind: Any) -> str:
    """The name of a type of event, given by its class or by the name itself.

    Raises:
        HandlerError: no event can be of this class, or the name has another form.
    """
    if isinstance(kind, str):
        return check_name(kind)
    if _payload.is_message(kind):
        full_name: str = kind.DESCRIPTOR.full_name
        return full_name
    if isinstance(kind, type) and kind not in (dict, list, str, int, float, bool, type(None), object):
        try:
            _payload.type_name(kind)
        except PayloadError as error:
            raise HandlerError(f"{kind.__name__} cannot be an event: {error}") from error
        return check_name(kind.__dict__.get(_NAME_ATTRIBUTE, kind.__name__))
    raise HandlerError(
        f"{getattr(kind, '__name__', kind)!s} has no name as an event: "
        "use a protobuf message or a dataclass, or give a name"
    )


def name_of_value(value: Any) -> str:
    """The name of the type that an event is of. Raises HandlerError."""
    return value.name if isinstance(value, JsonEvent) else name_of(type(value))


@lru_cache(maxsize=4096)
def family_of(name: str) -> str:
    """The name of a type without its version."""
    *package, last = name.split(".")
    return ".".join([*(part for part in package if not _VERSION.fullmatch(part)), last])
