"""Where the types of a definition come from: its descriptors, or what its participants say of themselves."""

import asyncio
from collections.abc import Callable, Container, Iterator, Mapping
from dataclasses import replace
from typing import Final, ParamSpec, TypeVar

from google.protobuf.descriptor_pb2 import FileDescriptorSet

from amends._linking import UnusableDescriptorsError
from amends_coordinator.bindings.checking import Checker
from amends_coordinator.bindings.expressions import NoCelError
from amends_coordinator.bindings.wanted import Wanted
from amends_coordinator.calls.caller import Caller
from amends_coordinator.calls.reading import DEFINITE
from amends_coordinator.calls.reflection import NoReflectionError
from amends_coordinator.contract.definitions import shared_descriptors
from amends_coordinator.core.checks import Violation, first_faults
from amends_coordinator.core.definition import Definition
from amends_coordinator.core.limits import MAX_DESCRIPTORS, MAX_FAULTS
from amends_coordinator.descriptors.merging import merged
from amends_coordinator.descriptors.methods import WrongStepError
from amends_coordinator.descriptors.types import Types
from amends_coordinator.runtime.errors import InvalidRequestError, UnavailableError
from amends_coordinator.runtime.reflections import Reflections, UnansweredError
from amends_coordinator.runtime.together import Together
from amends_coordinator.timers import Timers

P = ParamSpec("P")
T = TypeVar("T")

_SEND_THEM: Final = "send descriptors with the definition"


class Binder:
    """Gives definitions whose steps call methods the descriptors that they need, and checks them by these.

    What takes long is done in threads, and nothing can end a thread: so each takes one part of the work, and
    no other is begun once nobody waits any more. One runs at a time: two would take turns all the same, and
    take turns from the event loop.
    """

    def __init__(self, participants: Mapping[str, Caller], timers: Timers) -> None:
        """Asks these participants."""
        self._reflections = Reflections(participants, timers)
        self._binding: Together[Definition, Definition] = Together()
        self._turn = asyncio.Lock()

    def forget(self, name: str) -> None:
        """Forgets what a participant said: it may have been replaced by another version."""
        self._reflections.forget(name)

    async def bind(
        self, definition: Definition, results: Mapping[str, str | None], silent: Container[str] = ()
    ) -> Definition:
        """Gives a definition its descriptors, no more than it needs; once for all who bring it meanwhile.

        Args:
            definition: has passed the checks.
            results: the types of the results of steps that perform actions, by name, as their participants
                say. None: they did not say.
            silent: the participants that may say so another time.

        Raises:
            InvalidRequestError: a method cannot be called, an expression cannot be evaluated, or nobody says
                of what types they are.
            UnavailableError: a participant that would have to say so does not answer.
        """
        return await self._binding.do(definition, lambda: self._bind(definition, results, silent))

    async def _bind(
        self, definition: Definition, results: Mapping[str, str | None], silent: Container[str]
    ) -> Definition:
        known = {name: kind for name, kind in results.items() if kind}
        wanted = await self._in_thread(Wanted, definition, known)
        untold = sorted(name for name in wanted.used if results.get(name, "") is None)
        if not definition.descriptors:
            _check_told(definition, untold, silent)
            untold = []  # of what nobody has sent nothing can be kept
        try:
            files = await self._files(definition, wanted, untold)
            types = await self._in_thread(Types, files)
            found = await self._in_thread(first_faults, wanted.faults(types))
            found = found or await self._check(definition, types, known)
        except WrongStepError as error:
            found = first_faults(iter(error.violations))
        except UnusableDescriptorsError as error:
            found = [Violation("descriptors", f"do not fit together: {error}")]
        except NoCelError:
            found = [
                Violation("steps", "call methods, for which CEL is needed: pip install 'amends[bindings]'")
            ]
        if found:
            raise InvalidRequestError(found)
        return _with_descriptors(definition, files, untold)

    async def _files(self, definition: Definition, wanted: Wanted, untold: list[str]) -> FileDescriptorSet:
        if definition.descriptors:
            return await self._in_thread(_cut, definition.descriptors, wanted, everything=bool(untold))
        symbols = await self._in_thread(_symbols, definition, wanted)
        faults: list[Violation] = []
        try:
            async with asyncio.TaskGroup() as tasks:
                asked = {
                    name: tasks.create_task(self._reflect(definition, name, symbols[name], faults))
                    for name in symbols
                }
        except ExceptionGroup as failed:  # of one, the others were ended
            raise failed.exceptions[0] from None
        if faults:
            raise InvalidRequestError(first_faults(sorted(faults, key=lambda fault: fault.field)))
        said = {name: task.result() for name, task in asked.items()}
        return await self._in_thread(_put_together, said, wanted)

    async def _check(
        self, definition: Definition, types: Types, results: Mapping[str, str]
    ) -> list[Violation]:
        """Checks the methods and expressions of all steps. Raises NoCelError."""
        checker = await self._in_thread(Checker, definition, types, results)
        found: list[Violation] = []
        for place, step in enumerate(definition.steps):
            if step.try_method is None:
                continue
            found += await self._in_thread(checker.step_faults, place)
            if len(found) > MAX_FAULTS:
                break
        return first_faults(iter(found))

    async def _in_thread(self, work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        async with self._turn:
            return await asyncio.to_thread(work, *args, **kwargs)

    async def _reflect(
        self, definition: Definition, name: str, symbols: set[str], faults: list[Violation]
    ) -> FileDescriptorSet:
        """Asks one participant. If nothing but the input's type is wanted of it, it need not answer."""
        needless = symbols <= {definition.input_type}
        try:
            return await self._reflections.of(name, symbols)
        except NoReflectionError as error:
            why = f"names {name!r}, of which nothing is known: {error}; switch it on, or {_SEND_THEM}"
        except UnansweredError as error:
            if error.code not in DEFINITE and not needless:
                raise _unavailable(name, f"does not say what it offers ({error})") from error
            why = f"names {name!r}, whose server reflection answers {error}; {_SEND_THEM}"
        for place, step in enumerate(definition.steps):
            # What is missing of one that only performs actions is told where it is used.
            if step.participant == name and step.try_method is not None:
                faults.append(Violation(f"steps[{place}].participant", why))
        return FileDescriptorSet()


def _check_told(definition: Definition, untold: list[str], silent: Container[str]) -> None:
    """Checks that no silent participant would have to say what a step gives. Raises UnavailableError."""
    for name in untold:
        step = definition.steps[definition.position[name]]
        if step.participant in silent:
            raise _unavailable(
                step.participant, f"does not say what {step.action!r} gives: it gave no description"
            )


def _symbols(definition: Definition, wanted: Wanted) -> dict[str, set[str]]:
    """What has to be asked about, by the participants that have to be asked."""
    found = {name: wanted.symbols(name) for name in sorted(definition.participants)}
    return {name: symbols for name, symbols in found.items() if symbols}


def _cut(descriptors: bytes, wanted: Wanted, *, everything: bool) -> FileDescriptorSet:
    """Cuts descriptors down to what is wanted; or keeps all types, where results may be of any of them."""
    files = FileDescriptorSet.FromString(descriptors)
    return wanted.files(Types(files), besides=_types_in(files) if everything else ())


def _types_in(files: FileDescriptorSet) -> Iterator[str]:
    """The full names of the types at the tops of files."""
    for file in files.file:
        around = f"{file.package}." if file.package else ""
        yield from (around + message.name for message in file.message_type)
        yield from (around + enum.name for enum in file.enum_type)


def _put_together(said: Mapping[str, FileDescriptorSet], wanted: Wanted) -> FileDescriptorSet:
    """Cuts down what each participant said to what is wanted of it."""
    return merged({name: wanted.files(Types(files), name) for name, files in said.items()})


def _with_descriptors(definition: Definition, files: FileDescriptorSet, untold: list[str]) -> Definition:
    descriptors = files.SerializeToString(deterministic=True)
    if len(descriptors) > MAX_DESCRIPTORS:
        what = "of what the steps need alone"
        if untold:
            what = f"since nobody says of which of these types the result of {untold[0]!r} is"
        why = f"take {len(descriptors)} bytes, {what}, but may take {MAX_DESCRIPTORS}"
        raise InvalidRequestError([Violation("descriptors", why)])
    return replace(definition, descriptors=shared_descriptors(descriptors))


def _unavailable(participant: str, what: str) -> UnavailableError:
    return UnavailableError(
        "PARTICIPANT_UNAVAILABLE",
        f"participant {participant!r} {what}; start it, or {_SEND_THEM}. Nothing was changed",
    )
