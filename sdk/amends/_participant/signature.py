"""Reads handlers' signatures when they are declared, so that a mistake shows at start and not in a saga."""

from __future__ import annotations

import inspect
import typing
from collections.abc import Callable
from typing import Any, NamedTuple

from amends import _payload
from amends._participant.context import Context
from amends.errors import HandlerError, PayloadError


class Handler(NamedTuple):
    """A function that answers calls."""

    function: Callable[..., Any]
    is_async: bool


class ActionTypes(NamedTuple):
    """The types that an action takes and gives."""

    input: Any
    result: Any


def read_action(function: Callable[..., Any]) -> tuple[Handler, ActionTypes]:
    """Checks the handler of an action: `(input: I, ctx: Context) -> R`.

    Raises:
        HandlerError: it has another form, or a type that no payload can have.
    """
    form = "an action is declared as (input, ctx: Context) -> result"
    hints, (first,) = read_parameters(function, form, payloads=1, context=Context)
    if "return" not in hints:
        raise HandlerError(f"{named(function)}: its result has no annotation; write -> None if it has none")
    types = ActionTypes(hints[first], hints["return"])
    _check_payload(function, first, types.input)
    _check_payload(function, "return", types.result)
    return handler_of(function), types


def read_compensation(function: Callable[..., Any], types: ActionTypes) -> Handler:
    """Checks the handler of a compensation: `(input: I, result: R | None, ctx: Context) -> None`.

    Raises:
        HandlerError: it has another form, or other types than its action.
    """
    form = "a compensation is declared as (input, result, ctx: Context) -> None"
    hints, (first, second) = read_parameters(function, form, payloads=2, context=Context)
    if hints[first] != types.input:
        raise HandlerError(
            f"{named(function)}: {first} is {shown(hints[first])}, but its action takes {shown(types.input)}"
        )
    if _payload.without_none(hints[second])[0] != _payload.without_none(types.result)[0]:
        raise HandlerError(
            f"{named(function)}: {second} is {shown(hints[second])}, "
            f"but its action gives {shown(types.result)}"
        )
    if hints.get("return") is not type(None):
        raise HandlerError(f"{named(function)}: a compensation returns nothing; annotate it with -> None")
    return handler_of(function)


def read_parameters(
    function: Callable[..., Any], form: str, *, payloads: int, context: type
) -> tuple[dict[str, Any], list[str]]:
    """Reads the annotations of a handler, and the names of the parameters that are payloads.

    Args:
        function: the handler.
        form: says in an error how such a handler is declared.
        payloads: how many parameters come before the context.
        context: the class of the last parameter.

    Raises:
        HandlerError: it has another form.
    """
    if not inspect.isroutine(function):
        raise HandlerError(f"{function!r} is no function")
    names = _positional(function, form)
    if len(names) != payloads + 1:
        raise HandlerError(f"{named(function)} takes {len(names)} parameters; {form}")
    hints = _hints(function)
    for name in names:
        if name not in hints:
            raise HandlerError(f"{named(function)}: parameter {name!r} has no annotation; {form}")
    if hints[names[-1]] is not context:
        raise HandlerError(
            f"{named(function)}: parameter {names[-1]!r} is not annotated as {context.__name__}; {form}"
        )
    return hints, names[:-1]


def _positional(function: Callable[..., Any], form: str) -> list[str]:
    parameters = inspect.signature(function).parameters.values()
    for parameter in parameters:
        if parameter.kind not in (parameter.POSITIONAL_ONLY, parameter.POSITIONAL_OR_KEYWORD):
            raise HandlerError(f"{named(function)}: parameter {parameter.name!r} is not positional; {form}")
    return [parameter.name for parameter in parameters]


def _hints(function: Callable[..., Any]) -> dict[str, Any]:
    try:
        return typing.get_type_hints(function)
    except NameError as error:
        raise HandlerError(
            f"{named(function)}: the annotation {error.name!r} is not known at run time; "
            "define or import it at the top of its module, not under TYPE_CHECKING"
        ) from error


def _check_payload(function: Callable[..., Any], name: str, annotation: Any) -> None:
    try:
        _payload.type_name(annotation)
    except PayloadError as error:
        raise HandlerError(f"{named(function)}: {name}: {error}") from error


def handler_of(function: Callable[..., Any]) -> Handler:
    """Makes a handler of a function. Raises HandlerError if it is a generator."""
    if inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function):
        raise HandlerError(f"{named(function)} is a generator; a handler returns once")
    return Handler(function, inspect.iscoroutinefunction(function))


def named(function: Callable[..., Any]) -> str:
    """Names a handler in an error."""
    return f"handler {function.__qualname__!r}"


def shown(annotation: Any) -> str:
    """Shows a type in an error."""
    return annotation.__name__ if isinstance(annotation, type) else str(annotation)
