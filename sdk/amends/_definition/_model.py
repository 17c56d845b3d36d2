"""Definitions, as frozen values."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from functools import cached_property
from os import PathLike
from typing import Any, Generic, Self

from google.protobuf.descriptor_pb2 import FileDescriptorSet
from typing_extensions import TypeVar

from amends._definition import _checks as checks
from amends._definition import _descriptors as descriptor_sets
from amends._definition import _fields as fields
from amends._definition import _method_checks as method_checks
from amends._definition._descriptors import Descriptors
from amends._definition._step import Step
from amends._payload import is_message
from amends.errors import DefinitionError, Problem
from amends.v1 import saga_pb2

# Without it, a definition is one of any type: whoever does not care need not write any.
InputT = TypeVar("InputT", contravariant=True, default=Any)


@dataclass(frozen=True, init=False)
class Definition(Generic[InputT]):
    """A named list of steps with their policies; sagas run it.

    ::

        order = Definition(
            "order",
            [
                Step("reserve", "inventory", "reserve"),
                Step("charge", "payments", "charge"),
                Step("ship", "shipping", "ship", kind=Kind.PIVOT),
            ],
            timeout=60,
        )
        order = Definition.from_yaml("order.yaml")

    A ``Definition[Order]`` runs sagas whose input is an ``Order``, which a type checker then sees to.

    Raises ``DefinitionError`` that lists everything wrong with the whole.
    """

    name: str
    """The form of every name: 1 to 128 characters of A-Z, a-z, 0-9, '.', '_', ':', '~' and '-'."""
    steps: tuple[Step, ...]
    """1 to 1,000 steps."""
    timeout: float | None
    """Seconds a saga may go forward before it turns back; 1 ms to 366 days. None: no limit."""
    version: int = field(compare=False)
    """Numbers the content registered under the name, from 1. 0: not registered."""
    input_type: str
    """The full name of the protobuf type that the input of its sagas has. Empty: any."""
    descriptors: bytes = field(repr=False)
    """A google.protobuf.FileDescriptorSet that describes the methods its steps call and the messages their
    expressions use, serialized. Empty: the coordinator asks the participants, by server reflection."""

    def __init__(
        self,
        name: str,
        steps: Sequence[Step[InputT]],
        timeout: float | timedelta | None = None,
        *,
        input_type: type[InputT] | str = "",
        descriptors: Descriptors | None = None,
    ) -> None:
        """Makes a definition.

        Args:
            name: names it.
            steps: 1 to 1,000 steps.
            timeout: seconds a saga may go forward; None: no limit.
            input_type: the protobuf type that the input of its sagas has: a message class, or its full name.
                An input that is JSON is then read as the JSON form of the type. Empty: any.
            descriptors: describe what its steps call, where the services have no server reflection: a
                FileDescriptorSet with all imports, or the bytes of one, or a list of generated modules,
                message classes or file descriptors, which bring their imports along. Up to 4 MiB.
        """
        problems = [*checks.check_name("name", name), *_check_steps(steps)]
        type_name = _type_name(input_type, problems)
        described = descriptor_sets.serialize(descriptors, problems)
        seconds = fields.seconds_of("timeout", timeout, problems)
        low, high = checks.MIN_DURATION, checks.MAX_SAGA_TIMEOUT
        problems += checks.check_range("timeout", seconds, low, high, " s")
        if problems:
            raise DefinitionError(problems)
        fields.fill(
            self,
            name=name,
            steps=tuple(steps),
            timeout=seconds,
            version=0,
            input_type=type_name,
            descriptors=described,
        )

    def __getitem__(self, name: str) -> Step:
        """Returns the step of this name. Raises ``KeyError`` if there is none."""
        for step in self.steps:
            if step.name == name:
                return step
        raise KeyError(name)

    def to_proto(self) -> saga_pb2.Definition:
        """Returns the definition as the contracts have it, a new message each time."""
        return saga_pb2.Definition.FromString(self._serialized)

    @cached_property
    def inputs_from(self) -> Mapping[str, Callable[[InputT], object]]:
        """What makes the inputs of the steps that have their own, by step name."""
        return {step.name: step.input_from for step in self.steps if step.input_from is not None}

    @cached_property
    def _serialized(self) -> bytes:
        # Parsing is several times faster than building step by step, and sagas start by the thousand.
        return saga_pb2.Definition(
            name=self.name,
            steps=[step.to_proto() for step in self.steps],
            timeout=fields.to_duration(self.timeout),
            input_type=self.input_type,
            descriptors=FileDescriptorSet.FromString(self.descriptors) if self.descriptors else None,
        ).SerializeToString()

    @classmethod
    def from_proto(cls, proto: saga_pb2.Definition) -> Self:
        """Reads a definition that the coordinator has checked; what it accepted is not judged again."""
        return fields.fill(
            cls.__new__(cls),
            name=proto.name,
            steps=tuple(map(Step.from_proto, proto.steps)),
            timeout=fields.from_duration(proto, "timeout"),
            version=proto.version,
            input_type=proto.input_type,
            descriptors=proto.descriptors.SerializeToString(deterministic=True),
        )

    @classmethod
    def from_yaml(cls, path: str | PathLike[str]) -> Self:
        """Reads a definition from a YAML file.

        A file of descriptors that it names is looked for in its own folder.

        Raises ``DefinitionError`` that lists every mistake with its line, ``OSError`` if the file cannot be
        read.
        """
        from amends._definition import _yaml

        return cls(**_yaml.read_file(path))

    @classmethod
    def from_yaml_text(cls, text: str, source: str = "<text>") -> Self:
        """Reads a definition from YAML; ``source`` is what messages call it.

        A file of descriptors that it names is looked for in the folder of ``source``, where that is a path,
        and else in the working directory.

        Raises ``DefinitionError`` that lists every mistake with its line.
        """
        from amends._definition import _yaml

        return cls(**_yaml.read_text(text, source))


def _check_steps(steps: Sequence[Step[Any]]) -> list[Problem]:
    if not all(isinstance(step, Step) for step in steps):
        return [Problem(description="must be a list of Step", field="steps")]
    places = [checks.Place(step.name, step.needs, step.kind) for step in steps]
    return [finding.problem for finding in checks.check_places(places)]


def _type_name(input_type: object, problems: list[Problem]) -> str:
    """The full name of a message class, or a name as it is; anything else becomes a problem."""
    if is_message(input_type):
        return str(input_type.DESCRIPTOR.full_name)  # type: ignore[attr-defined] # every message class has it
    if isinstance(input_type, str):
        problems += method_checks.check_type("input_type", input_type) if input_type else []
        return input_type
    text = f"is {checks.shown(input_type)}, but must be a message class, or the full name of one"
    problems.append(Problem(description=text, field="input_type"))
    return ""
