"""A reaction: a handler for a type of event, and perhaps one that undoes what it did.

Declared by decorators of a service; see `EventService.on` and `EventService.entry`.
"""

from __future__ import annotations

import inspect
import types
import typing
from collections.abc import Callable, Iterable
from typing import Any, Final, Generic, NamedTuple, TypeVar

from amends import _payload
from amends._choreography.context import EventContext
from amends._choreography.failure import failure_builder
from amends._choreography.types import JsonEvent, name_of
from amends._definition import Kind
from amends._participant.signature import Handler, handler_of, named, read_parameters, shown
from amends.errors import HandlerError, PayloadError
from amends.v1 import choreography_pb2, saga_pb2

EventT = TypeVar("EventT")
ResultT = TypeVar("ResultT")
_Undo = TypeVar("_Undo", bound=Callable[..., Any])

_FORM: Final = "a reaction is declared as (event, ctx: EventContext) -> event or None"
_UNDO_FORM: Final = "a compensation is declared as (event, result, ctx: EventContext) -> event or None"


class Compensation(NamedTuple):
    """What undoes a reaction."""

    on: str
    """The type of event that asks for it."""
    handler: Handler
    decode_trigger: Callable[[Any], Any]
    emits: frozenset[str]


class Reaction(Generic[EventT, ResultT]):
    """What a decorated handler becomes. Calling it calls the handler, without a fence.

    Attributes:
        name: the step of every saga that it takes part in.
        on: the type of event that it reacts to; empty for an entry.
        kind: which way out of the saga it leaves open.
        effect_free: whether there is nothing to undo.
        emits: the types of event that it may emit.
        fails_as: the type of event that it emits when it raises Rejected; empty if it never does.
        compensations: what undoes it, by the type of event that asks for it.
    """

    def __init__(
        self,
        function: Callable[[EventT, EventContext], Any],
        *,
        on: Any,
        name: str | None,
        kind: Kind | str,
        effect_free: bool,
        emits: Iterable[Any],
        fails_as: Any,
    ) -> None:
        hints, (first,) = read_parameters(function, _FORM, payloads=1, context=EventContext)
        self._function = function
        self.handler = handler_of(function)
        self.name = name or function.__name__
        self.input_type = hints[first]
        self.on = self._trigger(function, on, self.input_type)
        self.kind = _kind_of(kind)
        self.effect_free = effect_free
        self._result = _result_of(function, hints)
        self.emits = self._result.names | _names_of(emits)
        self.fails_as = "" if fails_as is None else name_of(fails_as)
        self.build_failure = None if fails_as is None else failure_builder(fails_as)
        self.compensations: dict[str, Compensation] = {}
        self.decode = _decoder(function, first, self.input_type)
        self.decode_result = self._result.decode
        self._check_failure()

    def compensate_on(self, *events: Any, emits: Iterable[Any] = ()) -> Callable[[_Undo], _Undo]:
        """Declares the handler that undoes this reaction when one of these events comes, as a decorator.

        It is called with the event that was reacted to, with what the reaction returned (None if it returned
        nothing), and with the context, whose `trigger` is the event that asks for it. What it returns is
        emitted.

        Args:
            events: the classes or names of the types.
            emits: types of event that it passes to `ctx.emit`; what it returns is known by its annotation.

        Raises:
            HandlerError: its form is another, or one of the events has it undone already.
        """
        if not events:
            raise HandlerError(f"reaction {self.name!r}: compensate_on names no event")
        for event in events:
            check_event(event, f"@{self.name}.compensate_on(<event>)")

        def declare(function: _Undo) -> _Undo:
            for event in events:
                self._add_compensation(event, function, emits)
            return function

        return declare

    def describe(self) -> choreography_pb2.ReactionDescription:
        """Says what others may want to know of this reaction."""
        return choreography_pb2.ReactionDescription(
            step=self.name,
            on=self.on,
            kind=saga_pb2.Step.Kind.Value(self.kind.upper()),
            effect_free=self.effect_free,
            emits=sorted(self.emits),
            fails_as=self.fails_as,
            compensations=[
                choreography_pb2.CompensationDescription(on=each.on, emits=sorted(each.emits))
                for each in self.compensations.values()
            ],
        )

    def check(self) -> None:
        """Checks what can be known only once everything is declared.

        Raises:
            HandlerError: nothing undoes it, and it neither is free of effect nor comes after the pivot.
        """
        if self.kind is Kind.COMPENSATABLE and not self.effect_free and not self.compensations:
            raise HandlerError(
                f"reaction {self.name!r} has no compensation, and a saga that fails later could not undo it: "
                "declare one with compensate_on, or say effect_free=True, kind=Kind.PIVOT or "
                "kind=Kind.RETRIABLE"
            )

    def __call__(self, event: EventT, ctx: EventContext) -> Any:
        """Calls the handler as it is; for unit tests of what it does."""
        return self._function(event, ctx)

    def __repr__(self) -> str:
        return f"<Reaction {self.name} on={self.on or 'a call'} kind={self.kind}>"

    def _add_compensation(self, event: Any, function: Callable[..., Any], emits: Iterable[Any]) -> None:
        if self.effect_free or self.kind is not Kind.COMPENSATABLE:
            why = "is free of effect" if self.effect_free else f"is {self.kind}"
            raise HandlerError(f"reaction {self.name!r} {why}, so that nothing can undo it")
        name = name_of(event)
        if name in self.compensations or name == self.on:
            raise HandlerError(f"reaction {self.name!r} has an answer to {name} already")
        hints, (first, second) = read_parameters(function, _UNDO_FORM, payloads=2, context=EventContext)
        if hints[first] != self.input_type:
            raise HandlerError(
                f"{named(function)}: {first} is {shown(hints[first])}, "
                f"but its reaction takes {shown(self.input_type)}"
            )
        if _Result(function, hints[second]).classes != self._result.classes:
            raise HandlerError(
                f"{named(function)}: {second} is {shown(hints[second])}, "
                "which is not what its reaction returns"
            )
        self.compensations[name] = Compensation(
            on=name,
            handler=handler_of(function),
            decode_trigger=_payload.decoder_for(Any if isinstance(event, str) else event),
            emits=_result_of(function, hints).names | _names_of(emits),
        )

    def _trigger(self, function: Callable[..., Any], on: Any, input_type: Any) -> str:
        if on is None:
            return ""
        if not isinstance(on, str) and on is not input_type:
            raise HandlerError(
                f"{named(function)}: it is declared for {shown(on)}, but takes {shown(input_type)}"
            )
        return name_of(on)

    def _check_failure(self) -> None:
        if self.fails_as and self.fails_as == self.on:
            raise HandlerError(
                f"reaction {self.name!r} fails as {self.on}, the event that it reacts to: it would be its "
                "own cause, so give its failure a type of its own"
            )
        if self.kind is Kind.RETRIABLE and self.fails_as:
            raise HandlerError(
                f"reaction {self.name!r} comes after the pivot, where there is no way back: "
                "it cannot reject, so leave out fails_as"
            )
        if self.kind is Kind.PIVOT and self.effect_free:
            raise HandlerError(f"reaction {self.name!r} is the pivot, and cannot be free of effect")


class _Result:
    """What a handler may return: the classes, the names of their types, and how each is read again."""

    def __init__(self, function: Callable[..., Any], annotation: Any) -> None:
        self.classes = frozenset(map(_class_of, _members_of(annotation))) - {type(None)}
        self._decoders: dict[str, Callable[[Any], Any]] = {}
        for member in self.classes - {dict}:
            try:
                name = name_of(member)
            except HandlerError as error:
                raise HandlerError(f"{named(function)}: return: {error}") from error
            self._decoders[name] = _payload.decoder_for(member)
        self.names = frozenset(self._decoders)

    def decode(self, record: choreography_pb2.ReactionRecord) -> Any:
        """Reads what was returned. Raises PayloadError."""
        if not record.result_type:
            return None
        return self._decoders.get(record.result_type, _payload.decoder_for(Any))(record.result)


def check_event(event: Any, form: str) -> None:
    """Checks that a type of event is one, before there is a handler for it.

    Args:
        event: what was given as the type of event.
        form: says in an error how the decorator is written.

    Raises:
        HandlerError: no event can be of this type, or it is the handler, since the decorator was left without
            its parentheses.
    """
    if inspect.isroutine(event) or isinstance(event, Reaction):
        raise left_bare(event, form)
    name_of(event)


def left_bare(handler: Any, form: str) -> HandlerError:
    """The error of a decorator without parentheses, which is given the handler instead of its arguments."""
    name = handler.name if isinstance(handler, Reaction) else getattr(handler, "__qualname__", handler)
    return HandlerError(
        f"handler {name!r} stands where the decorator's arguments belong: write {form} above it"
    )


def _kind_of(kind: Kind | str) -> Kind:
    try:
        return Kind(kind)
    except ValueError:
        raise HandlerError(f"kind is {kind!r}, and must be one of {', '.join(Kind)}") from None


def _names_of(emits: Iterable[Any]) -> frozenset[str]:
    # A text is a sequence of texts, each of which would be a name.
    if isinstance(emits, str | type):
        raise HandlerError(f"emits is {emits!r}, and must be a list of types: write emits=[{shown(emits)}]")
    return frozenset(map(name_of, emits))


def _members_of(annotation: Any) -> tuple[Any, ...]:
    is_union = typing.get_origin(annotation) in (typing.Union, types.UnionType)
    return typing.get_args(annotation) if is_union else (annotation,)


def _class_of(annotation: Any) -> Any:
    if annotation is None:
        return type(None)
    plain = typing.get_origin(annotation) or annotation
    return dict if plain is JsonEvent else plain


def _result_of(function: Callable[..., Any], hints: dict[str, Any]) -> _Result:
    if "return" not in hints:
        raise HandlerError(f"{named(function)}: its result has no annotation; write -> None if it has none")
    for member in _members_of(hints["return"]):
        if (typing.get_origin(member) or member) is dict:
            raise HandlerError(
                f"{named(function)}: return: a dict has no name as an event; return a JsonEvent"
            )
    return _Result(function, hints["return"])


def _decoder(function: Callable[..., Any], parameter: str, annotation: Any) -> Callable[[Any], Any]:
    try:
        _payload.type_name(annotation)
        return _payload.decoder_for(annotation)
    except PayloadError as error:
        raise HandlerError(f"{named(function)}: {parameter}: {error}") from error
