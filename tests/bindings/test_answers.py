"""How the answers of a real service are read by a saga that calls its plain methods."""

import re
from collections.abc import AsyncIterator

import grpc
import pytest
import pytest_asyncio

from amends.v1 import saga_pb2
from tests.bindings.conftest import Releases, Stage, fault, opened_stage, states, step_of
from tests.bindings.trips import (
    as_json,
    confirm,
    hold_room,
    only,
    participant_step,
    rule,
    trip,
    vetoed_trip,
    wanted,
)

pytestmark = pytest.mark.asyncio(loop_scope="module")

State = saga_pb2.Saga.State


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def stage(tmp_path_factory: pytest.TempPathFactory, releases: Releases) -> AsyncIterator[Stage]:
    """One stage for all of these tests; each has sagas of its own."""
    async with opened_stage(tmp_path_factory.mktemp("answers"), releases) as stage:
        await stage.start_all()
        yield stage


async def test_it_is_compensated_from_its_own_response(stage: Stage) -> None:
    """In reverse: the stay by its id, the hold by its id, the approval by its fence."""
    saga = await stage.run(vetoed_trip(), wanted(stage.releases.first), "undone")
    assert saga.state == State.COMPENSATED
    assert states(saga) == {
        "approve": "COMPENSATED", "hold-room": "COMPENSATED", "confirm": "COMPENSATED", "veto": "REJECTED",
    }  # fmt: skip
    stay = stage.releases.first.unpacked(step_of(saga, "confirm").result, "Stay")
    assert stage.request("CancelStay", "CancelStayRequest", "undone").stay_id == stay.stay_id
    hold = stage.releases.first.unpacked(step_of(saga, "hold-room").result, "Hold")
    assert stage.request("ReleaseHold", "ReleaseHoldRequest", "undone").hold_id == hold.hold_id
    assert (stage.holds("undone"), stage.stays("undone"), stage.approvals("undone")) == (
        [True],
        [True],
        [1, -1],
    )


async def test_a_definite_status_rejects(stage: Stage) -> None:
    """Nothing is undone at the hotel, for there is nothing; the reason is the code, the words are its own."""
    saga = await stage.run(trip(), wanted(stage.releases.first, house="Atlantis"), "rejected")
    assert saga.state == State.COMPENSATED
    assert states(saga) == {"approve": "COMPENSATED", "hold-room": "REJECTED", "confirm": "SKIPPED"}
    assert (saga.turn_back.step, saga.turn_back.reason) == ("hold-room", "FAILED_PRECONDITION")
    assert saga.turn_back.message == "there is no house Atlantis"
    assert stage.calls("ReleaseHold", "rejected") == []


async def test_a_rule_rejects_by_a_status_that_would_be_unknown(stage: Stage) -> None:
    """The hotel says RESOURCE_EXHAUSTED where it is full, which others say where they are busy."""
    step = hold_room()
    step.try_outcomes.append(rule("RESOURCE_EXHAUSTED", "REJECTED"))
    saga = await stage.run(only(step), wanted(stage.releases.first, house="Full"), "full")
    assert saga.state == State.COMPENSATED
    assert (saga.turn_back.reason, saga.turn_back.message) == ("RESOURCE_EXHAUSTED", "the house is full")
    assert len(stage.calls("HoldRoom", "full")) == 1


async def test_a_rule_asks_again_by_a_status_that_would_reject(stage: Stage) -> None:
    """The hotel says ABORTED where somebody else was quicker, and a second try may do it."""
    fault(stage, "HoldRoom", "busy", "busy")
    step = hold_room()
    step.try_outcomes.append(rule("ABORTED", "UNKNOWN"))
    saga = await stage.run(only(step), wanted(stage.releases.first), "busy")
    assert saga.state == State.COMPLETED
    assert step_of(saga, "hold-room").attempts == 3


@pytest.mark.parametrize(("reason", "told"), [("NO_GUEST", "NO_GUEST"), ("", "REJECTED_BY_RESPONSE")])
async def test_a_rule_rejects_by_what_an_ok_says(stage: Stage, reason: str, told: str) -> None:
    """The response is DECLINED; nothing was held, and nothing is released."""
    step = hold_room()
    step.try_outcomes.append(rule("OK", "REJECTED", "response.status == Hold.Status.DECLINED", reason))
    customer = wanted(stage.releases.first, guest={"name": "Nobody"})
    saga = await stage.run(only(step), customer, f"declined-{told}")
    assert saga.state == State.COMPENSATED
    assert saga.turn_back.reason == told
    assert states(saga) == {"hold-room": "REJECTED"}
    assert stage.calls("ReleaseHold", f"declined-{told}") == []


async def test_a_rule_asks_later_by_what_an_ok_says(stage: Stage) -> None:
    """While the response is REQUESTED it is pending, which uses up no attempt."""
    fault(stage, "HoldRoom", "requested", "requested")
    step = hold_room()
    step.try_outcomes.append(rule("OK", "PENDING", "response.status == Hold.Status.REQUESTED"))
    step.retry.max_attempts = 1
    saga = await stage.run(only(step), wanted(stage.releases.first), "later")
    assert saga.state == State.COMPLETED
    assert step_of(saga, "hold-room").attempts == 1
    assert len(stage.calls("HoldRoom", "later")) == 3


async def test_the_first_rule_that_fits_decides(stage: Stage) -> None:
    """A condition may compare the response with the input and with results."""
    first = hold_room()
    second = confirm()
    second.needs.steps.append("hold-room")
    second.try_method.request = "ConfirmStayRequest{hold_id: results.hold_room.hold_id, cents: 5}"
    second.try_outcomes.extend(
        [
            rule("OK", "SUCCEEDED", "input.house == 'Palace'"),
            rule("OK", "REJECTED", "response.price.cents != results.hold_room.price.cents", "PRICE_CHANGED"),
            rule("OK", "UNKNOWN", "true"),
        ]
    )
    definition = saga_pb2.Definition(name="first", steps=[first, second], input_type="grand.hotel.v1.Trip")
    saga = await stage.run(definition, wanted(stage.releases.first, house="Palace"), "fits-first")
    assert saga.state == State.COMPLETED
    saga = await stage.run(definition, wanted(stage.releases.first), "fits-second")
    assert (saga.state, saga.turn_back.reason) == (State.COMPENSATED, "PRICE_CHANGED")


async def test_nothing_to_undo_is_undone_by_a_rule(stage: Stage) -> None:
    """The line went dead once the room was released, and the key does not help there: NOT_FOUND is as good
    as OK, by a rule; without one it is a refusal."""
    step = hold_room()
    step.compensate_method.request = 'ReleaseHoldRequest{hold_id: "hold-0"}'
    veto = participant_step("veto", "veto")
    definition = saga_pb2.Definition(name="gone", steps=[step, veto], input_type="grand.hotel.v1.Trip")
    saga = await stage.run(definition, wanted(stage.releases.first), "not-there")
    assert (saga.state, step_of(saga, "hold-room").refusal.reason) == (State.PARKED, "NOT_FOUND")
    definition.steps[0].compensate_outcomes.append(rule("NOT_FOUND", "SUCCEEDED"))
    saga = await stage.run(definition, wanted(stage.releases.first), "gone")
    assert (saga.state, states(saga)["hold-room"]) == (State.COMPENSATED, "COMPENSATED")


async def test_a_compensation_that_is_refused_parks_the_saga(stage: Stage) -> None:
    """The others go on; an operator sees the hotel's words, and says how it ended."""
    definition = vetoed_trip()
    definition.steps[
        2
    ].compensate_method.request = 'CancelStayRequest{stay_id: response.stay_id, reason: "too late"}'
    saga = await stage.run(definition, wanted(stage.releases.first), "refused")
    assert saga.state == State.PARKED
    assert step_of(saga, "confirm").refusal.message == "the guest is here"
    assert states(saga)["hold-room"] == "SUCCEEDED"  # the stay needs it
    await stage.resolve("refused", "confirm")
    saga = await stage.ended("refused")
    assert saga.state == State.COMPENSATED
    assert (stage.holds("refused"), stage.stays("refused")) == ([True], [False])


async def test_an_ok_rule_can_refuse_a_compensation(stage: Stage) -> None:
    """The hotel cancels, and gives too little back."""
    definition = vetoed_trip()
    few = "response.refund_cents < results.hold_room.price.cents"
    definition.steps[2].compensate_outcomes.append(rule("OK", "REJECTED", few, "NOT_REFUNDED"))
    saga = await stage.run(definition, wanted(stage.releases.first), "few")
    assert saga.state == State.PARKED
    assert step_of(saga, "confirm").refusal.reason == "NOT_REFUNDED"


# What is not known


async def test_a_reply_that_is_not_the_declared_message_is_unknown(stage: Stage) -> None:
    """It is asked again, by the same key, and the daemon says so in its log."""
    fault(stage, "HoldRoom", "garbled")
    saga = await stage.run(only(hold_room()), wanted(stage.releases.first), "garbled")
    assert saga.state == State.COMPLETED
    assert stage.holds("garbled") == [False]
    (failed,) = await stage.history("garbled", "attempt_failed")
    assert "no grand.hotel.v1.Hold" in failed.attempt_failed.message
    log = (stage.folder / "amends.log").read_text()
    assert re.search(r"warning a reply that is no grand\.hotel\.v1\.Hold\b.*saga_id=garbled", log)


DECLINED = rule("OK", "REJECTED", "response.status == Hold.Status.DECLINED", "NO_GUEST")


async def test_a_rejection_after_an_attempt_without_an_answer_is_undone(stage: Stage) -> None:
    """That attempt may still land. What is not there to undo is as good as undone, by a rule."""
    fault(stage, "HoldRoom", "down")
    step = hold_room()
    step.try_outcomes.append(DECLINED)
    step.compensate_outcomes.append(rule("NOT_FOUND", "SUCCEEDED"))
    customer = wanted(stage.releases.first, guest={"name": "Nobody"})
    saga = await stage.run(only(step), customer, "in-doubt")
    assert (saga.state, states(saga)) == (State.COMPENSATED, {"hold-room": "COMPENSATED"})
    assert saga.turn_back.reason == "NO_GUEST"
    assert stage.request("ReleaseHold", "ReleaseHoldRequest", "in-doubt").reference == "in-doubt"


async def test_a_response_that_rejects_after_others_that_were_pending_is_believed(stage: Stage) -> None:
    """It is the service's own word, and nothing is undone; a status is not, and something may come yet."""
    step = hold_room()
    step.try_outcomes.extend([DECLINED, rule("OK", "PENDING", "response.status == Hold.Status.REQUESTED")])
    step.compensate_outcomes.append(rule("NOT_FOUND", "SUCCEEDED"))
    fault(stage, "HoldRoom", "requested")
    saga = await stage.run(only(step), wanted(stage.releases.first, guest={"name": "Nobody"}), "believed")
    assert (saga.state, stage.calls("ReleaseHold", "believed")) == (State.COMPENSATED, [])
    fault(stage, "HoldRoom", "requested")
    saga = await stage.run(only(step), wanted(stage.releases.first, house="Atlantis"), "not-believed")
    assert (saga.state, len(stage.calls("ReleaseHold", "not-believed"))) == (State.COMPENSATED, 1)


async def test_a_response_that_is_too_large_to_keep_is_unknown(stage: Stage) -> None:
    """More than 1 MiB: the step is asked again, and then undone."""
    fault(stage, "HoldRoom", "bulky", "bulky")
    step = hold_room()
    step.retry.max_attempts = 2
    saga = await stage.run(only(step), wanted(stage.releases.first), "bulky")
    assert (saga.state, stage.holds("bulky")) == (State.COMPENSATED, [True])
    assert "1048576" in step_of(saga, "hold-room").last_failure.message


async def test_a_service_that_says_nothing_is_asked_again_after_the_timeout(stage: Stage) -> None:
    """The deadline of the call is that of the step."""
    fault(stage, "HoldRoom", "silent")
    step = hold_room()
    step.timeout.FromMilliseconds(200)
    saga = await stage.run(only(step), wanted(stage.releases.first), "silent")
    assert saga.state == State.COMPLETED
    (failed,) = await stage.history("silent", "attempt_failed")
    assert failed.attempt_failed.code == grpc.StatusCode.DEADLINE_EXCEEDED.value[0]


async def test_a_condition_that_fails_leaves_it_unknown(stage: Stage) -> None:
    """The effect is there, and nobody can say what it means: it is undone in the end."""
    step = hold_room("HoldRoomRequest{reference: saga.id}")
    step.try_outcomes.append(rule("OK", "REJECTED", "response.price.cents > int(input.most)"))
    step.retry.max_attempts = 2
    saga = await stage.run(only(step, ""), as_json(), "no-condition")
    assert (saga.state, stage.holds("no-condition")) == (State.COMPENSATED, [True])
    assert 'Key not found in map : "most"' in step_of(saga, "hold-room").last_failure.message


async def test_a_compensation_knows_whether_there_was_a_response(stage: Stage) -> None:
    """There was none, though a room is held: it is released by the reference that the request had."""
    fault(stage, "HoldRoom", "lost")
    step = hold_room()
    step.retry.max_attempts = 1
    saga = await stage.run(only(step), wanted(stage.releases.first), "no-response")
    assert (saga.state, saga.turn_back.cause) == (State.COMPENSATED, saga_pb2.TurnBack.ATTEMPTS_EXHAUSTED)
    assert stage.request("ReleaseHold", "ReleaseHoldRequest", "no-response").reference == "no-response"
    assert stage.holds("no-response") == [True]


async def test_a_compensation_that_needs_a_response_which_nobody_has_parks_the_saga(stage: Stage) -> None:
    """Visibly, and without a call; an operator looks the stay up, cancels it, and says so."""
    fault(stage, "ConfirmStay", "lost")
    definition = trip()
    definition.steps[2].retry.max_attempts = 1
    saga = await stage.run(definition, wanted(stage.releases.first), "unlearned")
    assert saga.state == State.PARKED
    step = step_of(saga, "confirm")
    assert (states(saga)["confirm"], step.refusal.reason) == ("REFUSED", "BINDING_FAILED")
    assert "response" in step.refusal.message
    assert saga.needs_attention
    assert stage.calls("CancelStay", "unlearned") == []
    await stage.resolve("unlearned", "confirm")
    saga = await stage.ended("unlearned")
    assert (saga.state, stage.holds("unlearned")) == (State.COMPENSATED, [True])


async def test_an_operator_can_say_what_the_service_has_answered(stage: Stage) -> None:
    """In JSON, say; what is no such response is refused."""
    fault(stage, "HoldRoom", "closed")
    await stage.start(trip(), wanted(stage.releases.first), "stated")
    await stage.until("attempt_failed", "stated", step="hold-room")
    with pytest.raises(grpc.aio.AioRpcError, match=r"has no field named .*hold_no") as raised:
        await stage.resolve("stated", "hold-room", {"hold_no": "hold-7"})
    assert raised.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    await stage.resolve("stated", "hold-room", {"holdId": "hold-7", "price": {"cents": "700"}})
    (stage.faults / "HoldRoom").unlink()
    assert (await stage.ended("stated")).state == State.COMPLETED
    sent = stage.request("ConfirmStay", "ConfirmStayRequest", "stated")
    assert (sent.hold_id, sent.cents) == ("hold-7", 700)


async def test_an_expression_that_fails_rejects_before_a_call_is_made(stage: Stage) -> None:
    """What JSON has is seen only then: a field that is not there, a number that is negative."""
    for saga_id, nights in (("no-field", "input.stars"), ("negative", "input.nights - 3.0")):
        step = hold_room(f"HoldRoomRequest{{nights: uint({nights})}}")
        saga = await stage.run(only(step, ""), as_json(), saga_id)
        assert (saga.state, saga.turn_back.reason) == (State.COMPENSATED, "BINDING_FAILED")
        assert states(saga) == {"hold-room": "REJECTED"}
        assert stage.calls("HoldRoom", saga_id) == []
