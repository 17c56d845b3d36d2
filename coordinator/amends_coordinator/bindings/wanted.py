"""What a definition has to know: of which services, and of which messages."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Final

from google.protobuf.descriptor import Descriptor, EnumDescriptor, MethodDescriptor
from google.protobuf.descriptor_pb2 import FileDescriptorSet

from amends_coordinator.bindings.text import names_in, results_in, spelled
from amends_coordinator.core.checks import Violation
from amends_coordinator.core.definition import Definition, MethodCall, Step
from amends_coordinator.descriptors.keeping import kept
from amends_coordinator.descriptors.methods import WrongStepError, find_method
from amends_coordinator.descriptors.types import Types

_STANDARD: Final = Types(FileDescriptorSet())


class Wanted:
    """What a definition has to know."""

    def __init__(self, definition: Definition, results: Mapping[str, str]) -> None:
        """Finds it.

        Args:
            definition: has passed the checks.
            results: the types of the results of steps that perform actions, by name, as far as known.
        """
        self._definition = definition
        self._results = {name: kind for name, kind in results.items() if kind}
        self.used = frozenset(_used(definition))
        """The steps of whose results expressions speak."""

    def symbols(self, participant: str) -> set[str]:
        """The services and messages that one participant should know; nobody is needed for protobuf's own."""
        found = {call.method.partition("/")[0] for _, call in self._calls(participant)}
        found |= {
            self._results[step.name]
            for step in self._definition.steps
            if step.participant == participant and step.name in self.used and step.name in self._results
        }
        found.add(self._definition.input_type)
        return {name for name in found - {""} if _STANDARD.message(name) is None}

    def files(
        self, types: Types, participant: str | None = None, *, besides: Iterable[str] = ()
    ) -> FileDescriptorSet:
        """Cuts types down to what is wanted.

        Args:
            types: what is known.
            participant: whose methods are wanted; None: those of all.
            besides: full names of other messages and enums to be kept.

        Raises:
            WrongStepError: steps name methods that there are not, or that stream.
        """
        methods: list[MethodDescriptor] = []
        faults: list[Violation] = []
        for field, call in self._calls(participant):
            try:
                methods.append(find_method(types, field, call))
            except WrongStepError as error:
                faults += error.violations
        if faults:
            raise WrongStepError(faults)
        return kept(methods, self._named(types, methods, besides))

    def faults(self, types: Types) -> Iterator[Violation]:
        """Finds the messages that are wanted and that types do not know."""
        kind = self._definition.input_type
        if kind and types.message(kind) is None:
            yield Violation("input_type", f"is {kind}, which the descriptors do not know")
        for place, step in enumerate(self._definition.steps):
            result = self._results.get(step.name)
            if step.name in self.used and result is not None and types.message(result) is None:
                why = f"gives a {result}, of which expressions speak and which the descriptors do not know"
                yield Violation(f"steps[{place}].action", why)

    def _calls(self, participant: str | None) -> Iterator[tuple[str, MethodCall]]:
        """The methods that are called, each with its field."""
        for place, step in enumerate(self._definition.steps):
            if participant in (None, step.participant):
                for field, call in _calls(step):
                    yield f"steps[{place}].{field}", call

    def _named(
        self, types: Types, methods: Iterable[MethodDescriptor], besides: Iterable[str]
    ) -> Iterator[Descriptor | EnumDescriptor]:
        """The messages and enums that are named, and not only reached by the methods."""
        names = {self._definition.input_type, *self._results.values(), *besides}
        packages = {
            prefix for method in methods for prefix in _prefixes(method.containing_service.file.package)
        }
        for name in names_in(text for step in self._definition.steps for text in texts_of(step)):
            around = name.rpartition(".")[0]  # of a value, its enum
            names |= {prefix + each for prefix in packages for each in (name, around) if each}
        for name in sorted(names - {""}):
            found = types.message(name) or types.enum(name)
            if found is not None:
                yield found


def _calls(step: Step) -> Iterator[tuple[str, MethodCall]]:
    if step.try_method is not None:
        yield "try_method", step.try_method
    if step.compensate_method is not None:
        yield "compensate_method", step.compensate_method


def texts_of(step: Step) -> Iterator[str]:
    """All expressions of a step."""
    for _, call in _calls(step):
        yield call.request
    for rule in (*step.try_outcomes, *step.compensate_outcomes):
        yield rule.condition


def _prefixes(package: str) -> Iterator[str]:
    """What may be left out before a name: CEL looks in the package, in the one around it, and so on."""
    parts = package.split(".") if package else []
    for length in range(len(parts) + 1):
        yield "".join(f"{part}." for part in parts[:length])


def _used(definition: Definition) -> Iterator[str]:
    names = {name for step in definition.steps for text in texts_of(step) for name in results_in(text)}
    return (step.name for step in definition.steps if spelled(step.name) in names)
