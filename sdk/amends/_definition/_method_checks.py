"""The rules of steps that call methods, of what steps say their attempts came to, and of names of protobuf.

They are plain functions of plain values, like those of ``_checks``, and for the same reason.
"""

import re
from collections.abc import Iterator, Sequence
from typing import Final, NamedTuple

from amends._definition._checks import COMPENSATABLE, shown
from amends.errors import Problem

MAX_NAME: Final = 512
"""Characters of a type's or a method's name, as many as the type of a payload may have."""

MAX_EXPRESSION: Final = 16 * 1024
"""Bytes of an expression, as in the contracts."""

MAX_RULES: Final = 32
"""Rules of a step about how its attempts end in one direction, as in the contracts."""

OK: Final = "OK"
"""The status code of attempts that have a response, for which conditions are."""

REJECTED: Final = "rejected"
"""The outcome that has a reason."""

_TYPE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*(\.[A-Za-z_][A-Za-z0-9_]*)*")
_METHOD = re.compile(_TYPE.pattern + r"/[A-Za-z_][A-Za-z0-9_]*")
_REASON = re.compile(r"[A-Z][A-Z0-9_]{0,61}[A-Z0-9]")


class Calls(NamedTuple):
    """What the rules about methods need to know of a step."""

    action: str
    has_try: bool
    has_request: bool  # an expression makes the request of its Try
    has_input: bool  # it makes an input of its own
    has_compensate: bool
    kind: str
    effect_free: bool
    try_codes: Sequence[str]  # the codes of its rules, by name
    compensate_codes: Sequence[str]


def check_type(field: str, name: str) -> list[Problem]:
    """The name of a message has the form that protobuf gives it."""
    if len(name) <= MAX_NAME and _TYPE.fullmatch(name):
        return []
    text = f"is {shown(name)}, but must be the full name of a protobuf message, such as shop.v1.Order"
    return [Problem(description=f"{text}, in at most {MAX_NAME} characters", field=field)]


def check_method(field: str, method: object) -> list[Problem]:
    """The name of a method has the form that gRPC gives it, without the slash in front."""
    if isinstance(method, str) and len(method) <= MAX_NAME and _METHOD.fullmatch(method):
        return []
    text = f"is {shown(method)}, but must be PACKAGE.SERVICE/METHOD, such as shop.v1.Shipping/ShipOrder"
    return [Problem(description=f"{text}, in at most {MAX_NAME} characters", field=field)]


def check_expression(field: str, expression: object) -> list[Problem]:
    """An expression is text, and no program. What it says, the coordinator checks."""
    if not isinstance(expression, str):
        return [
            Problem(description=f"is {shown(expression)}, but must be an expression as text", field=field)
        ]
    try:
        size = len(expression.encode())
    except UnicodeEncodeError:
        return [Problem(description="holds half of a character, a lone surrogate: no Unicode", field=field)]
    if size <= MAX_EXPRESSION:
        return []
    return [Problem(description=f"takes {size} bytes, but may take {MAX_EXPRESSION}", field=field)]


def check_rule(code: str, outcome: str, condition: str, reason: str) -> Iterator[Problem]:
    """A condition is for responses, which only OK has, and a reason for rejections that are read from one."""
    if code == OK and not condition:
        text = "is missing: a rule for OK says of which responses it speaks"
        yield Problem(description=text, field="condition")
    if code != OK and condition:
        text = "goes only with the code OK: another status brings no response"
        yield Problem(description=text, field="condition")
    if reason and (code != OK or outcome != REJECTED):
        text = f"goes only with the code OK and the outcome {REJECTED}"
        yield Problem(description=text, field="reason")
    elif reason and not _REASON.fullmatch(reason):
        text = (
            f"is {shown(reason)}, but must be 2 to 63 characters of A-Z, 0-9 and '_', such as CARD_DECLINED"
        )
        yield Problem(description=text, field="reason")


def check_calls(calls: Calls) -> Iterator[Problem]:
    """A step names an action or calls methods, and what can be undone says how."""
    if not calls.action and not calls.has_try:
        text = "is missing; a step names an action of its participant, or the method to call as try_method"
        yield Problem(description=text, field="action")
    if calls.action and calls.has_try:
        text = "is set beside try_method, but a step either names an action or calls methods"
        yield Problem(description=text, field="action")
    if calls.has_request and calls.has_input:
        text = "is set, but the request of try_method is made of the saga's input"
        yield Problem(description=text, field="input_from")
    yield from _check_compensate(calls)
    for field, codes in (("try_outcomes", calls.try_codes), ("compensate_outcomes", calls.compensate_codes)):
        if len(codes) > MAX_RULES:
            yield Problem(description=f"has {len(codes)} rules, but may have {MAX_RULES}", field=field)
        elif not calls.has_try:
            text = "is OK, but the response of an action says itself what it came to"
            wrong = [number for number, code in enumerate(codes) if code == OK]
            yield from (Problem(description=text, field=f"{field}[{number}].code") for number in wrong)


def _check_compensate(calls: Calls) -> Iterator[Problem]:
    text = ""
    if calls.has_compensate and not calls.has_try:
        text = "goes only with a try_method"
    elif calls.has_compensate and calls.effect_free:
        text = "is set, but a step that is effect_free is never compensated"
    elif calls.has_try and not (calls.has_compensate or calls.effect_free or calls.kind != COMPENSATABLE):
        text = (
            "is missing: name the method that undoes the step, make it the pivot or retriable, or declare it "
            "effect_free"
        )
    if text:
        yield Problem(description=text, field="compensate_method")
