"""Actions that a .proto file declares, on the side of the participant that offers them."""

from __future__ import annotations

from collections.abc import Callable, Collection, Coroutine
from dataclasses import dataclass
from typing import Any, ClassVar, TypeAlias, TypeVar

from amends._definition import DeclaredAction
from amends._participant.action import ActionDecorator
from amends.errors import HandlerError

T = TypeVar("T")

HandlerResult: TypeAlias = T | Coroutine[Any, Any, T]
"""What a handler returns, be it plain or `async def`."""


@dataclass(frozen=True, slots=True)
class Handlers:
    """Which methods are the handlers of a declared action. Stub generators write these."""

    action: DeclaredAction[Any, Any]
    """What they do and undo."""
    method: str
    """Names the method that is its Try."""
    compensation: str | None = None
    """Names the method that compensates it. None: it cannot be."""


class DeclaredActions:
    """The base of what stub generators write for an annotated service: abstract methods for handlers.

    ::

        class Payments(PaymentsActions):
            def charge(self, request: ChargeRequest, ctx: Context) -> Receipt: ...

            def refund(self, request: ChargeRequest, result: Receipt | None, ctx: Context) -> None: ...

        payments = Participant("payments", store="sqlite:///payments.db")
        payments.offer(Payments())

    A method may be plain or `async def`, as handlers are.
    """

    __handlers__: ClassVar[tuple[Handlers, ...]] = ()


def declare(
    actions: DeclaredActions, external: Collection[str], decorator: Callable[..., ActionDecorator]
) -> None:
    """Declares every action, with what a participant declares its own with.

    Raises:
        HandlerError: a method has another form than was declared, a name is taken, or `external` names no
            action.
    """
    names = [handlers.action.name for handlers in actions.__handlers__]
    for name in external:
        if name not in names:
            known = ", ".join(names) or "none"
            raise HandlerError(f"{type(actions).__qualname__} has no action {name!r}; there are: {known}")
    for handlers in actions.__handlers__:
        declared, handler = handlers.action, getattr(actions, handlers.method)
        traits = {"external": declared.name in external, "description": declared.description}
        action = decorator(name=declared.name, **traits)(handler)
        _check("takes", action.types.input, declared.input_type, handler)
        _check("gives", action.types.result, declared.result_type, handler)
        if handlers.compensation is not None:
            action.compensate(getattr(actions, handlers.compensation))


def _check(what: str, found: Any, declared: type[Any], handler: Callable[..., Any]) -> None:
    if found is not declared:
        shown = found.__name__ if isinstance(found, type) else found
        raise HandlerError(
            f"handler {handler.__qualname__!r} {what} {shown}, but its .proto file says {declared.__name__}"
        )
