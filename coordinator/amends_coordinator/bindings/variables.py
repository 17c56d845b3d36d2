"""What expressions can speak of: the variables of steps, their types, and their values in a saga.

Before there are values, each has its type, so that an expression which cannot be right is refused. Later they
are what they are: the types have been seen to, and one environment will do for all definitions that speak of
the same messages.
"""

from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import Any, Final

from google.protobuf.message import Message

from amends_coordinator.bindings.expressions import BOOL, DYNAMIC, STRING
from amends_coordinator.bindings.text import mentions, place_in, results_in, spelled
from amends_coordinator.core.definition import Definition
from amends_coordinator.core.saga import Saga
from amends_coordinator.core.values import Payload
from amends_coordinator.descriptors.types import Types, WrongPayloadError

UNTYPED: Final = {
    **dict.fromkeys(("input", "results", "saga", "step", "request", "response"), DYNAMIC),
    "responded": BOOL,
}
"""All variables, of whatever types they turn out to be."""

LARGE: Final = 16 << 10
"""Bytes of a payload that is not read again for each attempt that speaks of it: JSON takes milliseconds."""


class Variables:
    """The variables of a definition's steps."""

    def __init__(self, definition: Definition, types: Types) -> None:
        """Finds what the steps of a definition can speak of, of these types."""
        self._definition = definition
        self._types = types
        self._spelled: dict[str, list[int]] = {}
        for place, step in enumerate(definition.steps):
            self._spelled.setdefault(spelled(step.name), []).append(place)

    def typed(self, results: Mapping[str, str]) -> dict[str, str]:
        """The variables of every step and their types.

        Args:
            results: the types of the results of steps, by name, as far as they are known.
        """
        found = dict.fromkeys(("saga.id", "saga.definition", "step.name", "step.idempotency_key"), STRING)
        found["input"] = self._definition.input_type or DYNAMIC
        for name, places in self._spelled.items():
            found[f"results.{name}"] = results.get(self._definition.steps[places[0]].name, DYNAMIC)
        return found

    def faults(self, place: int, text: str) -> Iterator[str]:
        """Finds the results that a text speaks of and that the step at a place cannot have."""
        before: set[int] | None = None
        for name, offset in results_in(text).items():
            at, places = f"{place_in(text, offset)}: results.{name}", self._spelled.get(name, [])
            if len(places) > 1:
                steps = " and ".join(repr(self._definition.steps[each].name) for each in places)
                yield f"{at} is of no one step: {steps} are both spelled so"
                continue
            before = self._definition.before(place) if before is None else before
            if not before.intersection(places):
                needed = ", ".join(sorted(spelled(self._definition.steps[each].name) for each in before))
                yield f"{at}: the step needs no step that is spelled so; it needs: {needed or 'none'}"

    def values(self, saga: Saga, place: int, text: str) -> dict[str, Any]:
        """The values of these variables, as far as a text mentions them.

        What there is no value of is left out: CEL says so if it is asked for it.

        Raises:
            WrongPayloadError: an input or a result is not what it should be.
        """
        name = self._definition.steps[place].name
        found: dict[str, Any] = {
            "saga": {"id": saga.id, "definition": self._definition.name},
            "step": {"name": name, "idempotency_key": f"{saga.id}/{name}"},
            "results": self._results_of(saga, text),
        }
        if saga.input is not None and mentions(text, "input"):
            found["input"] = self._read("the input", saga.input, self._definition.input_type)
        return found

    def _results_of(self, saga: Saga, text: str) -> dict[str, Message]:
        found = {}
        for name in results_in(text):
            for place in self._spelled.get(name, []):
                result = saga.runs[place].result
                if result is not None and result.type_url:  # an action that gives nothing gives an empty Any
                    what = f"the result of step {self._definition.steps[place].name!r}"
                    found[name] = self._read(what, result, self._kind(place))
        return found

    def _kind(self, place: int) -> str:
        """The type of a method's response; of the result of an action nothing is known."""
        call = self._definition.steps[place].try_method
        method = None if call is None else self._types.method(call.method)
        return DYNAMIC if method is None else method.output_type.full_name

    def _read(self, what: str, payload: Payload, kind: str) -> Message:
        try:
            return read(self._types, payload, kind)
        except WrongPayloadError as error:
            raise WrongPayloadError(f"{what} {error}") from error


def read(types: Types, payload: Payload, kind: str) -> Message:
    """Reads a payload as ``Types.read`` does; a large one is remembered for the next who asks."""
    if len(payload.value) < LARGE:
        return types.read(payload, kind)
    return _read_large(types, payload, kind)


@lru_cache(maxsize=16)
def _read_large(types: Types, payload: Payload, kind: str) -> Message:
    return types.read(payload, kind)
