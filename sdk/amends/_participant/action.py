"""An action: a handler that does something, and perhaps one that undoes it."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Coroutine
from typing import Any, Generic, Protocol, TypeVar, overload

from amends import _payload
from amends._participant.context import Context
from amends._participant.signature import Handler, read_action, read_compensation
from amends.errors import HandlerError
from amends.v1 import participant_pb2

InputT = TypeVar("InputT")
ResultT = TypeVar("ResultT")
_Undo = TypeVar("_Undo", bound=Callable[..., Any])


class Action(Generic[InputT, ResultT]):
    """What a decorated handler becomes. Calling it calls the handler, without a fence.

    Attributes:
        name: what steps call it by.
        external: whether its effect lies outside the participant's database.
        description: says in a sentence what it does.
    """

    def __init__(
        self,
        function: Callable[[InputT, Context], Any],
        *,
        name: str | None = None,
        external: bool = False,
        description: str | None = None,
    ) -> None:
        self._function = function
        self.handler, self.types = read_action(function)
        self.name = name or function.__name__
        self.external = external
        self.description = description if description is not None else _first_line(function)
        self.compensation: Handler | None = None
        self.decode_input = _payload.decoder_for(self.types.input)
        self.decode_result = _payload.decoder_for(self.types.result)

    def compensate(
        self,
        function: Callable[[InputT, ResultT | None, Context], Coroutine[Any, Any, None] | None],
    ) -> Callable[[InputT, ResultT | None, Context], Coroutine[Any, Any, None] | None]:
        """Declares the handler that undoes this action, as a decorator.

        It is called with the input, the result of the Try (None where there is none, or where an external
        action never came to record it) and the context. Raises HandlerError if its form is another, or if
        there is one already.
        """
        if self.compensation is not None:
            raise HandlerError(f"action {self.name!r} has a compensation already")
        self.compensation = read_compensation(function, self.types)
        return function

    def describe(self) -> participant_pb2.ActionDescription:
        """Says what a coordinator may want to know of this action."""
        return participant_pb2.ActionDescription(
            name=self.name,
            input_type=_payload.type_name(self.types.input),
            result_type=_payload.type_name(self.types.result),
            compensatable=self.compensation is not None,
            description=self.description,
        )

    def __call__(self, value: InputT, ctx: Context) -> Any:
        """Calls the handler as it is; for unit tests of what it does."""
        return self._function(value, ctx)

    def __repr__(self) -> str:
        traits = ["external"] if self.external else []
        traits += ["compensatable"] if self.compensation else []
        return f"<Action {self.name} {' '.join(traits)}>".replace(" >", ">")


class ActionDecorator(Protocol):
    """What `Participant.action(...)` returns: turns a handler into an Action."""

    @overload
    def __call__(
        self, handler: Callable[[InputT, Context], Coroutine[Any, Any, ResultT]], /
    ) -> Action[InputT, ResultT]: ...
    @overload
    def __call__(self, handler: Callable[[InputT, Context], ResultT], /) -> Action[InputT, ResultT]: ...


def _first_line(function: Callable[..., Any]) -> str:
    return (inspect.getdoc(function) or "").partition("\n")[0]
