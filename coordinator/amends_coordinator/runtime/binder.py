"""Where the types of a definition come from: its descriptors, or what its participants say of themselves."""

import asyncio
from collections.abc import Mapping
from dataclasses import replace

import grpc
from google.protobuf.descriptor_pb2 import FileDescriptorSet

from amends._linking import UnusableDescriptorsError
from amends_coordinator.bindings.checking import Checker
from amends_coordinator.bindings.expressions import NoCelError
from amends_coordinator.bindings.merging import merged
from amends_coordinator.bindings.methods import WrongStepError
from amends_coordinator.bindings.types import Types
from amends_coordinator.bindings.wanted import Wanted
from amends_coordinator.calls.caller import Caller
from amends_coordinator.calls.reading import DEFINITE
from amends_coordinator.calls.reflection import NoReflectionError
from amends_coordinator.contract.definitions import shared_descriptors
from amends_coordinator.core.checks import Violation, first_faults
from amends_coordinator.core.definition import Definition
from amends_coordinator.core.limits import MAX_DESCRIPTORS, MAX_FAULTS
from amends_coordinator.runtime.errors import InvalidRequestError, UnavailableError
from amends_coordinator.runtime.together import Together

_SEND_THEM = "send descriptors with the definition"


class Binder:
    """Gives definitions whose steps call methods the descriptors that they need, and checks them by these."""

    def __init__(self, participants: Mapping[str, Caller]) -> None:
        """Asks these participants."""
        self._participants = participants
        self._binding: Together[Definition, Definition] = Together()

    async def bind(self, definition: Definition, results: Mapping[str, str | None]) -> Definition:
        """Gives a definition its descriptors, no more than it needs; once for all who bring it meanwhile.

        Args:
            definition: has passed the checks.
            results: the types of the results of steps that perform actions, by name, as their participants
                say. None: the participant did not say.

        Raises:
            InvalidRequestError: a method cannot be called, an expression cannot be evaluated, or nobody says
                of what types they are.
            UnavailableError: a participant that would have to say so does not answer.
        """
        return await self._binding.do(definition, lambda: self._bind(definition, results))

    async def _bind(self, definition: Definition, results: Mapping[str, str | None]) -> Definition:
        wanted = Wanted(definition, {name: kind for name, kind in results.items() if kind})
        silent = sorted(name for name in wanted.used if results.get(name, "") is None)
        if silent:
            step = definition.steps[definition.position[silent[0]]]
            raise _unavailable(
                step.participant, f"does not say what {step.action!r} gives: it gave no description"
            )
        try:
            files = await self._files(definition, wanted)
            types = await asyncio.to_thread(Types, files)
            found = first_faults(wanted.faults(types)) or await _check(definition, types, results)
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
        return _with_descriptors(definition, files)

    async def _files(self, definition: Definition, wanted: Wanted) -> FileDescriptorSet:
        if definition.descriptors:
            given = FileDescriptorSet.FromString(definition.descriptors)
            return wanted.files(await asyncio.to_thread(Types, given))
        names = sorted(name for name in definition.participants if wanted.symbols(name))
        faults: list[Violation] = []
        said = await asyncio.gather(*(self._reflect(definition, name, wanted, faults) for name in names))
        if faults:
            raise InvalidRequestError(first_faults(sorted(faults, key=lambda fault: fault.field)))
        return merged(
            {name: wanted.files(Types(files), name) for name, files in zip(names, said, strict=True)}
        )

    async def _reflect(
        self, definition: Definition, name: str, wanted: Wanted, faults: list[Violation]
    ) -> FileDescriptorSet:
        """Asks one participant. If nothing but the input's type is wanted of it, it need not answer."""
        symbols = wanted.symbols(name)
        needless = symbols <= {definition.input_type}
        try:
            return await self._participants[name].reflect(symbols)
        except NoReflectionError as error:
            why = f"names {name!r}, of which nothing is known: {error}; switch it on, or {_SEND_THEM}"
        except grpc.RpcError as error:
            code, details = _status(error)
            if code not in DEFINITE and not needless:
                raise _unavailable(name, f"does not say what it offers ({details})") from error
            why = f"names {name!r}, whose server reflection answers {details}; {_SEND_THEM}"
        for place, step in enumerate(definition.steps):
            # What is missing of one that only performs actions is told where it is used.
            if step.participant == name and step.try_method is not None:
                faults.append(Violation(f"steps[{place}].participant", why))
        return FileDescriptorSet()


async def _check(definition: Definition, types: Types, results: Mapping[str, str | None]) -> list[Violation]:
    """Checks the methods and expressions of all steps. Raises NoCelError."""
    checker = Checker(definition, types, {name: kind for name, kind in results.items() if kind})
    found: list[Violation] = []
    for place in range(len(definition.steps)):
        # In a thread, since it takes milliseconds, and one step at a time, since nothing ends a thread.
        found += await asyncio.to_thread(checker.step_faults, place)
        if len(found) > MAX_FAULTS:
            break
    return first_faults(iter(found))


def _with_descriptors(definition: Definition, files: FileDescriptorSet) -> Definition:
    descriptors = files.SerializeToString(deterministic=True)
    if len(descriptors) > MAX_DESCRIPTORS:
        why = f"take {len(descriptors)} bytes, of what the steps need alone, but may take {MAX_DESCRIPTORS}"
        raise InvalidRequestError([Violation("descriptors", why)])
    return replace(definition, descriptors=shared_descriptors(descriptors))


def _unavailable(participant: str, what: str) -> UnavailableError:
    return UnavailableError(
        "PARTICIPANT_UNAVAILABLE",
        f"participant {participant!r} {what}; start it, or {_SEND_THEM}. Nothing was changed",
    )


def _status(error: grpc.RpcError) -> tuple[int, str]:
    if not isinstance(error, grpc.aio.AioRpcError):
        return grpc.StatusCode.UNKNOWN.value[0], str(error)
    code = error.code()
    return code.value[0], f"{code.name}: {error.details()}"
