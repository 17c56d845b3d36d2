"""What expressions can speak of: the variables of a step, their types, and their values in a saga."""

import re
from collections.abc import Iterable, Mapping
from typing import Any

from google.protobuf.message import Message

from amends_coordinator.bindings.expressions import DYNAMIC, STRING
from amends_coordinator.bindings.types import Types, WrongPayloadError
from amends_coordinator.core.definition import Definition
from amends_coordinator.core.saga import Saga

_RESULT = re.compile(r"\bresults\s*\.\s*([A-Za-z_][A-Za-z0-9_]*)")
_WORD = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_NAMES = re.compile(r"[A-Za-z_][A-Za-z0-9_.]*")
_NOT_ALLOWED = re.compile(r"^[^A-Za-z_]|[^A-Za-z0-9_]")


def spelled(step: str) -> str:
    """A step's name as expressions write it: with an underscore for each character that CEL refuses."""
    return _NOT_ALLOWED.sub("_", step)


def results_in(expressions: Iterable[str]) -> set[str]:
    """The steps, as they are spelled, of whose results expressions speak."""
    return {name for text in expressions for name in _RESULT.findall(text)}


def words_in(expressions: Iterable[str]) -> set[str]:
    """All names in expressions, each part by itself."""
    return {word for text in expressions for word in _WORD.findall(text)}


def names_in(expressions: Iterable[str]) -> set[str]:
    """All names in expressions, dots included, that could be those of messages."""
    return {name for text in expressions for name in _NAMES.findall(text)}


class Scope:
    """The variables of the expressions of one step."""

    def __init__(self, definition: Definition, place: int, types: Types, results: Mapping[str, str]) -> None:
        """Finds what the step at a place can speak of.

        Args:
            definition: the step's.
            place: the step's.
            types: the messages that are known.
            results: the types of the results of steps, by name; of others nothing is known beforehand.
        """
        self._definition = definition
        self._place = place
        self._types = types
        self._results = results
        self._spelled: dict[str, list[int]] = {}
        for earlier in sorted(definition.earlier[place]):
            self._spelled.setdefault(spelled(definition.steps[earlier].name), []).append(earlier)

    def variables(self, text: str) -> dict[str, str]:
        """The variables that any expression of the step can speak of, and their types.

        Of results only those are given that the text mentions: there may be a thousand.
        """
        found = {"saga.id": STRING, "saga.definition": STRING, "step.name": STRING}
        found |= {"step.idempotency_key": STRING, "input": self._definition.input_type or DYNAMIC}
        for name in results_in([text]):
            places = self._spelled.get(name, [])
            if len(places) == 1:
                found[f"results.{name}"] = self._results.get(self._definition.steps[places[0]].name, DYNAMIC)
        return found

    def explain(self, fault: str) -> str:
        """Says more of a fault, where it comes from a result that the step cannot have."""
        for name in sorted(results_in([fault])):
            places = self._spelled.get(name, [])
            if len(places) > 1:
                steps = " and ".join(repr(self._definition.steps[place].name) for place in places)
                return f"{fault}: {steps} are both spelled so"
            if not places:
                earlier = ", ".join(sorted(self._spelled)) or "none"
                return f"{fault}: the step needs no step that is spelled so; it needs: {earlier}"
        return fault

    def values(self, saga: Saga, text: str) -> dict[str, Any]:
        """The values of these variables, as far as the text mentions them.

        What there is no value of is left out: CEL says so if it is asked for it.

        Raises:
            WrongPayloadError: an input or a result is not what it should be.
        """
        step, words = self._definition.steps[self._place], words_in([text])
        found: dict[str, Any] = {
            "saga.id": saga.id,
            "saga.definition": self._definition.name,
            "step.name": step.name,
            "step.idempotency_key": f"{saga.id}/{step.name}",
        }
        if "input" in words and saga.input is not None:
            found["input"] = self._read("the input", saga.input, self._definition.input_type)
        for name in results_in([text]):
            for place in self._spelled.get(name, []):
                needed = self._definition.steps[place].name
                result = saga.runs[place].result
                if result is not None and result.type_url:  # an action that gives nothing gives an empty Any
                    what = f"the result of step {needed!r}"
                    found[f"results.{name}"] = self._read(what, result, self._results.get(needed, DYNAMIC))
        return found

    def _read(self, what: str, payload: Any, kind: str) -> Message:
        try:
            return self._types.read(payload, kind)
        except WrongPayloadError as error:
            raise WrongPayloadError(f"{what} {error}") from error
