"""Reads the annotations of one service."""

from __future__ import annotations

from collections.abc import Mapping
from difflib import get_close_matches
from typing import Final

from google.protobuf.descriptor_pb2 import MethodDescriptorProto, ServiceDescriptorProto

from amends._definition import Kind, Retry
from amends._definition import _checks as checks
from amends._definition import _fields as fields
from amends._stubs import _names as names
from amends._stubs._model import AnnotatedAction, MessageType, Method
from amends._stubs._positions import ACTION, METHOD, OPTIONS, Finding, Positions
from amends.v1 import options_pb2, saga_pb2

_KINDS: Final = {
    saga_pb2.Step.KIND_UNSPECIFIED: Kind.COMPENSATABLE,
    saga_pb2.Step.COMPENSATABLE: Kind.COMPENSATABLE,
    saga_pb2.Step.PIVOT: Kind.PIVOT,
    saga_pb2.Step.RETRIABLE: Kind.RETRIABLE,
}


class ServiceReader:
    """Reads a service, once.

    Attributes:
        findings: what is wrong with it.
    """

    def __init__(
        self,
        service: ServiceDescriptorProto,
        path: tuple[int, ...],
        positions: Positions,
        types: Mapping[str, MessageType],
    ) -> None:
        self.findings: list[Finding] = []
        self._service = service
        self._path = path
        self._positions = positions
        self._types = types
        self._numbers = {method.name: number for number, method in enumerate(service.method)}
        self._compensated: dict[str, str] = {}
        """Names the Try of every method that compensates one."""
        self._python_names: dict[str, str] = {}
        """Names the RPC of every Python method."""

    def read(self) -> tuple[AnnotatedAction, ...]:
        """Returns the actions. One with a fault is left out, and the findings tell."""
        annotated = [method for method in self._service.method if _is_annotated(method)]
        actions = map(self._read_action, annotated)
        return tuple(action for action in actions if action is not None)

    def _read_action(self, method: MethodDescriptorProto) -> AnnotatedAction | None:
        before = len(self.findings)
        options = method.options.Extensions[options_pb2.action]
        self._check_unary(method, "an action")
        given, result = self._type(method, method.input_type), self._type(method, method.output_type)
        self._check_name(method, given)
        self._check_name(method, result)
        self._check_policies(method, options)
        undoing = self._compensation(method, options) if options.compensate else None
        if undoing is not None and given is not None and result is not None:
            self._check_compensation_types(method, undoing, given, result)
        methods = [self._method(handler) for handler in (method, undoing) if handler is not None]
        if len(self.findings) > before or given is None or result is None:
            return None
        return AnnotatedAction(
            name=names.snake_case(method.name),
            method=methods[0],
            compensation=methods[1] if undoing is not None else None,
            input=given,
            result=result,
            kind=_KINDS[options.kind],
            effect_free=options.effect_free,
            timeout=fields.from_duration(options, "timeout"),
            retry=Retry.from_proto(options.retry) if options.HasField("retry") else None,
        )

    def _check_unary(self, method: MethodDescriptorProto, what: str) -> None:
        if method.client_streaming or method.server_streaming:
            self._find(method, f"streams, but {what} has one request and one response")

    def _type(self, method: MethodDescriptorProto, type_name: str) -> MessageType | None:
        name = type_name.removeprefix(".")
        found = self._types.get(name)
        if found is None:
            self._find(method, f"{name} is in none of the files that came along")
        return found

    def _check_name(self, method: MethodDescriptorProto, message: MessageType | None) -> None:
        if message is not None and not names.can_be_imported(f"{message.module}.{message.name}"):
            self._find(method, f"no Python program can name {message.module}.{message.name}")

    def _check_policies(self, method: MethodDescriptorProto, options: options_pb2.ActionOptions) -> None:
        timeout = fields.from_duration(options, "timeout")
        low, high = checks.MIN_DURATION, checks.MAX_STEP_TIMEOUT
        for problem in checks.check_range("timeout", timeout, low, high, " s"):
            self._find(
                method, f"timeout {problem.description}", options_pb2.ActionOptions.TIMEOUT_FIELD_NUMBER
            )
        retry = Retry.from_proto(options.retry)
        for problem in checks.check_retry(
            retry.max_attempts, retry.initial_backoff, retry.backoff_multiplier, retry.max_backoff
        ):
            text = f"retry.{problem.field} {problem.description}"
            self._find(method, text, options_pb2.ActionOptions.RETRY_FIELD_NUMBER)
        if options.effect_free and options.compensate:
            self._find(method, "is effect_free, so there is nothing that compensate could undo")
        compensatable = _KINDS[options.kind] is Kind.COMPENSATABLE and not options.effect_free
        if compensatable and not options.compensate:
            self._find(
                method,
                "names no method to compensate it, and is not declared effect_free, PIVOT or RETRIABLE",
            )

    def _compensation(
        self, method: MethodDescriptorProto, options: options_pb2.ActionOptions
    ) -> MethodDescriptorProto | None:
        number = self._numbers.get(options.compensate)
        at = options_pb2.ActionOptions.COMPENSATE_FIELD_NUMBER
        if number is None:
            close = get_close_matches(options.compensate, self._numbers, 1)
            hint = f"; did you mean {close[0]!r}?" if close else ""
            text = f"compensate is {options.compensate!r}, which is no method of {self._service.name}{hint}"
            self._find(method, text, at)
            return None
        found = self._service.method[number]
        if _is_annotated(found):
            self._find(method, f"{found.name} cannot compensate it, being annotated as an action itself", at)
        other = self._compensated.setdefault(found.name, method.name)
        if other != method.name:
            self._find(method, f"{found.name} compensates {other} already", at)
        self._check_unary(found, "a compensation")
        return found

    def _check_compensation_types(
        self,
        method: MethodDescriptorProto,
        undoing: MethodDescriptorProto,
        given: MessageType,
        result: MessageType,
    ) -> None:
        takes, returns = self._type(undoing, undoing.input_type), self._type(undoing, undoing.output_type)
        if takes is not None and takes is not given:
            fitting = (sorted([given.full_name]), sorted([given.full_name, result.full_name]))
            if sorted(takes.field_types) not in fitting:
                self._find(
                    undoing,
                    f"takes {takes.full_name}, but has to take {given.full_name}, as {method.name} does, or "
                    f"a message with nothing but a {given.full_name} and, if it likes, a {result.full_name}",
                )
        if returns is not None and returns.field_types:
            self._find(
                undoing,
                f"returns {returns.full_name}, but a compensation brings nothing forth: it has to return a "
                "message without fields, such as google.protobuf.Empty",
            )

    def _method(self, method: MethodDescriptorProto) -> Method:
        name = names.method_name(method.name)
        other = self._python_names.setdefault(name, method.name)
        if other != method.name:
            self._find(method, f"becomes {name} in Python, as {other} does")
        comment = self._positions.comment(self._path_of(method))
        return Method(method.name, name, comment)

    def _path_of(self, method: MethodDescriptorProto) -> tuple[int, ...]:
        return (*self._path, METHOD, self._numbers[method.name])

    def _find(self, method: MethodDescriptorProto, text: str, option: int | None = None) -> None:
        """Notes a fault of a method, or of what its annotation says in a field."""
        path = self._path_of(method)
        if option is not None:
            path = (*path, OPTIONS, ACTION, option)
        self.findings.append(self._positions.finding(path, f"{method.name}: {text}"))


def _is_annotated(method: MethodDescriptorProto) -> bool:
    return method.options.HasExtension(options_pb2.action)
