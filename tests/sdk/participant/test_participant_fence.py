"""Every row of the fence's table, through a participant, on both stores."""

from __future__ import annotations

import time

import grpc
import pytest

from amends import Fault, Pending, Refused, Rejected
from amends._transactions.retention import sweep
from tests.sdk.participant.calls import compensate_request, try_request
from tests.sdk.participant.conftest import Shop


async def test_a_first_try_runs_the_handler_and_gives_its_result(shop: Shop) -> None:
    response = await shop.participant.handle_try(try_request())
    assert response.WhichOneof("outcome") == "succeeded"
    assert shop.tried == ["s1/a"]


async def test_a_first_try_that_is_rejected_says_why(shop: Shop) -> None:
    shop.raises = Rejected("SHORT", "too little", {"missing": "3"})
    rejected = (await shop.participant.handle_try(try_request())).rejected
    assert (rejected.reason, rejected.message, dict(rejected.metadata)) == (
        "SHORT",
        "too little",
        {"missing": "3"},
    )


async def test_a_try_whose_handler_fails_is_internal_and_forgotten(
    shop: Shop, caplog: pytest.LogCaptureFixture
) -> None:
    shop.raises = RuntimeError("broken")
    with pytest.raises(Fault) as failure:
        await shop.participant.handle_try(try_request())
    assert failure.value.code is grpc.StatusCode.INTERNAL
    assert "broken" not in failure.value.message
    assert caplog.records[0].__dict__["saga_id"] == "s1"
    shop.raises = None
    assert (await shop.participant.handle_try(try_request())).WhichOneof("outcome") == "succeeded"


async def test_a_repeated_try_of_a_tried_step_gives_the_stored_result(shop: Shop) -> None:
    first = await shop.participant.handle_try(try_request())
    assert await shop.participant.handle_try(try_request()) == first
    assert shop.tried == ["s1/a"]


async def test_a_repeated_try_of_a_rejected_step_gives_the_stored_rejection(shop: Shop) -> None:
    shop.raises = Rejected("SHORT", "too little")
    first = await shop.participant.handle_try(try_request())
    shop.raises = None
    assert await shop.participant.handle_try(try_request()) == first
    assert shop.tried == ["s1/a"]


@pytest.mark.parametrize("raises", [None, Rejected("SHORT")])
async def test_a_try_with_another_input_is_an_invalid_argument(shop: Shop, raises: Exception | None) -> None:
    shop.raises = raises
    await shop.participant.handle_try(try_request())
    with pytest.raises(Fault) as failure:
        await shop.participant.handle_try(try_request({"n": 2}))
    assert (failure.value.code, failure.value.reason) == (grpc.StatusCode.INVALID_ARGUMENT, "KEY_REUSED")


async def test_p5_a_try_of_a_compensated_step_is_rejected(shop: Shop) -> None:
    await shop.participant.handle_try(try_request())
    await shop.participant.handle_compensate(compensate_request())
    response = await shop.participant.handle_try(try_request())
    assert response.rejected.reason == "ALREADY_COMPENSATED"
    assert shop.tried == ["s1/a"]


async def test_p5_a_try_after_its_compensate_is_rejected_and_has_no_effect(shop: Shop) -> None:
    await shop.participant.handle_compensate(compensate_request())
    response = await shop.participant.handle_try(try_request())
    assert response.rejected.reason == "ALREADY_COMPENSATED"
    assert shop.tried == []


async def test_p5_a_compensate_without_a_try_succeeds_and_runs_nothing(shop: Shop) -> None:
    response = await shop.participant.handle_compensate(compensate_request())
    assert response.WhichOneof("outcome") == "compensated"
    assert shop.compensated == []


async def test_p3_a_compensate_of_a_step_that_the_fence_has_forgotten_is_refused(
    shop: Shop, caplog: pytest.LogCaptureFixture
) -> None:
    """The result tells that there was an effect: to confirm would be to leave it."""
    tried = await shop.participant.handle_try(try_request())
    await sweep(shop.participant._engine._gatherer, time.time() + 10)  # type: ignore[union-attr]
    undo = compensate_request()
    undo.result.CopyFrom(tried.succeeded.result)
    for _ in range(2):
        response = await shop.participant.handle_compensate(undo)
        assert response.refused.reason == "FENCE_LOST"
    assert shop.compensated == []
    assert caplog.records[0].__dict__["saga_id"] == "s1"


async def test_a_compensate_of_a_tried_step_runs_with_the_stored_result(shop: Shop) -> None:
    await shop.participant.handle_try(try_request())
    response = await shop.participant.handle_compensate(compensate_request())
    assert response.WhichOneof("outcome") == "compensated"
    assert shop.compensated == [{"id": "s1/a"}]


async def test_a_compensate_of_a_rejected_step_runs_nothing(shop: Shop) -> None:
    shop.raises = Rejected("SHORT")
    await shop.participant.handle_try(try_request())
    shop.raises = None
    response = await shop.participant.handle_compensate(compensate_request())
    assert response.WhichOneof("outcome") == "compensated"
    assert shop.compensated == []


async def test_p4_a_repeated_compensate_undoes_once(shop: Shop) -> None:
    await shop.participant.handle_try(try_request())
    for _ in range(3):
        response = await shop.participant.handle_compensate(compensate_request())
        assert response.WhichOneof("outcome") == "compensated"
    assert len(shop.compensated) == 1


async def test_a_repeated_compensate_of_a_tombstone_is_confirmed(shop: Shop) -> None:
    for _ in range(2):
        response = await shop.participant.handle_compensate(compensate_request())
        assert response.WhichOneof("outcome") == "compensated"


async def test_a_pending_try_is_not_remembered(shop: Shop) -> None:
    shop.raises = Pending(retry_after=2.5)
    response = await shop.participant.handle_try(try_request())
    assert response.pending.retry_after.ToMilliseconds() == 2500
    shop.raises = None
    await shop.participant.handle_try(try_request())
    assert shop.tried == ["s1/a", "s1/a"]


async def test_a_pending_compensate_is_not_remembered(shop: Shop) -> None:
    await shop.participant.handle_try(try_request())
    shop.raises = Pending()
    response = await shop.participant.handle_compensate(compensate_request())
    assert response.pending.retry_after.ToMilliseconds() == 1000
    shop.raises = None
    await shop.participant.handle_compensate(compensate_request())
    assert len(shop.compensated) == 1


async def test_a_refused_compensate_says_why_and_may_be_asked_again(shop: Shop) -> None:
    await shop.participant.handle_try(try_request())
    shop.raises = Refused("GONE", "the parcel has left")
    refused = (await shop.participant.handle_compensate(compensate_request())).refused
    assert (refused.reason, refused.message) == ("GONE", "the parcel has left")
    shop.raises = None
    await shop.participant.handle_compensate(compensate_request())
    assert len(shop.compensated) == 1


async def test_a_compensate_of_a_step_without_compensation_is_refused(shop: Shop) -> None:
    await shop.participant.handle_try(try_request(action="final"))
    response = await shop.participant.handle_compensate(compensate_request(action="final"))
    assert response.refused.reason == "NOT_COMPENSATABLE"


@pytest.mark.parametrize(("raises", "forward"), [(Refused("GONE"), True), (Rejected("SHORT"), False)])
async def test_an_outcome_of_the_other_direction_is_a_failure(
    shop: Shop, raises: Exception, forward: bool
) -> None:
    if not forward:
        await shop.participant.handle_try(try_request())
    shop.raises = raises
    with pytest.raises(Fault) as failure:
        await (
            shop.participant.handle_try(try_request())
            if forward
            else shop.participant.handle_compensate(compensate_request())
        )
    assert failure.value.reason == "HANDLER_FAILED"


async def test_an_unknown_action_is_unimplemented_and_names_the_known_ones(shop: Shop) -> None:
    with pytest.raises(Fault) as failure:
        await shop.participant.handle_try(try_request(action="fly"))
    assert failure.value.code is grpc.StatusCode.UNIMPLEMENTED
    assert failure.value.metadata["known_actions"] == "act, final"


async def test_an_input_of_another_type_is_an_invalid_argument_and_not_remembered(shop: Shop) -> None:
    with pytest.raises(Fault) as failure:
        await shop.participant.handle_try(try_request("text"))
    assert (failure.value.code, failure.value.reason) == (grpc.StatusCode.INVALID_ARGUMENT, "INVALID_INPUT")
    assert (await shop.participant.handle_try(try_request())).WhichOneof("outcome") == "succeeded"


@pytest.mark.parametrize(
    ("field", "request_"),
    [
        ("saga_id", try_request(saga="")),
        ("saga_id", try_request(saga="with space")),
        ("saga_id", try_request(saga="x" * 129)),
        ("step", try_request(step="")),
        ("input", try_request({"x": "y" * (1 << 20)})),
    ],
    ids=["no saga", "bad saga", "long saga", "no step", "large input"],
)
async def test_a_malformed_call_is_an_invalid_argument_that_names_the_field(
    shop: Shop, field: str, request_: object
) -> None:
    with pytest.raises(Fault) as failure:
        await shop.participant.handle_try(request_)  # type: ignore[arg-type]
    assert failure.value.code is grpc.StatusCode.INVALID_ARGUMENT
    assert failure.value.metadata["field"] == field


async def test_a_call_whose_deadline_passed_runs_nothing(shop: Shop) -> None:
    with pytest.raises(Fault) as failure:
        await shop.participant.handle_try(try_request(), timeout=0.0)
    assert failure.value.code is grpc.StatusCode.DEADLINE_EXCEEDED
    assert shop.tried == []
