"""What the contract allows as an answer; everything else is told as what was expected and what came."""

from google.rpc.code_pb2 import Code

from amends._ids import is_id
from amends_coordinator.calls.reading import MAX_PAYLOAD, MAX_REASON, MAX_TYPE_URL, code_name
from amends_coordinator.conformance.answers import Answer
from amends_coordinator.conformance.results import NonconformingError

LATE = "ALREADY_COMPENSATED"
"""The reason with which a Try after its Compensate is rejected."""


def succeeded(answer: Answer) -> Answer:
    """Returns the answer to a Try that should have succeeded."""
    if answer.outcome != "succeeded":
        raise _other(answer, "should have succeeded")
    result = answer.result
    if result is not None and len(result.value) > MAX_PAYLOAD:
        raise _other(answer, f"may have a result of {MAX_PAYLOAD} bytes, and has one of {len(result.value)}")
    if result is not None and len(result.type_url) > MAX_TYPE_URL:
        length = len(result.type_url)
        raise _other(answer, f"may have a result whose type has {MAX_TYPE_URL} characters; it has {length}")
    return answer


def rejected(answer: Answer) -> Answer:
    """Returns the answer to a Try that should have been rejected, in words or by a definite status."""
    if answer.is_definite:
        return answer
    if answer.outcome != "rejected":
        raise _other(answer, "should have been rejected")
    form = answer.reason.replace("_", "A")
    if not (is_id(answer.reason) and form.isalnum() and form.isupper()) or len(answer.reason) > MAX_REASON:
        expected = f"a reason in UPPER_SNAKE_CASE, of at most {MAX_REASON} characters"
        raise _other(answer, f"should have been rejected with {expected}")
    return answer


def late(answer: Answer) -> None:
    """Checks the answer to a Try that came after its Compensate."""
    if not (answer.outcome == "rejected" or answer.is_definite) or answer.reason != LATE:
        raise _other(answer, f"should have been rejected with the reason {LATE}")


def pending(answer: Answer) -> None:
    """Checks the answer to a Try that should be pending."""
    if answer.outcome != "pending":
        raise _other(answer, "should have been pending")


def unknown(answer: Answer) -> None:
    """Checks the answer to a Try that should have failed, so that it has to be repeated."""
    if not answer.is_unknown:
        expected = "should have failed with a status that has it repeated, such as INTERNAL or UNAVAILABLE"
        raise _other(answer, expected)


def compensated(answer: Answer) -> None:
    """Checks the answer to a Compensate that should have gone well."""
    if answer.outcome != "compensated":
        raise _other(answer, "should have been compensated")


def refused(answer: Answer) -> None:
    """Checks the answer to a Compensate that should not have gone well, and not be repeated either."""
    if answer.outcome != "refused" and not answer.is_definite:
        raise _other(answer, "should have been refused, since it may have an effect that nobody undoes")


def status(answer: Answer, code: int) -> None:
    """Checks the answer to a call that should have failed with a status."""
    if answer.code != code:
        raise _other(answer, f"should have failed with {code_name(code)}")


def reused(answer: Answer) -> None:
    """Checks the answer to a Try whose key names something else."""
    status(answer, Code.INVALID_ARGUMENT)


def alike(first: Answer, again: Answer) -> None:
    """Checks that a repeated Try was answered as the first one was."""
    if not again.is_like(first):
        what = "with another result" if str(again) == str(first) else f"by {again}"
        raise NonconformingError(f"the repeated {again.call} was answered {what}; the first one by {first}")


def _other(answer: Answer, expected: str) -> NonconformingError:
    return NonconformingError(f"the {answer.call} {expected}; the answer was {answer}")
