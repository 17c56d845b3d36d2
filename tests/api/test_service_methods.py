"""Definitions whose steps call methods: where their types come from, and what is refused at the door."""

import asyncio
import sys
from collections.abc import Iterable
from typing import Any

import grpc
import pytest
from google.protobuf import descriptor_pb2, struct_pb2

from amends.v1 import coordinator_pb2 as pb
from amends.v1 import participant_pb2, saga_pb2
from amends_coordinator.core.outcomes import Succeeded
from amends_coordinator.core.values import Payload
from amends_coordinator.runtime import admission, binder
from tests.api.service_world import Service, failure, offers, service, until
from tests.descriptors import acme

BOOK = saga_pb2.MethodCall(method=acme.BOOK.method, request=acme.BOOK.request)
CANCEL = saga_pb2.MethodCall(method=acme.CANCEL.method, request=acme.CANCEL.request)


def ship(name: str = "ship", participant: str = "shop", **fields: Any) -> saga_pb2.Step:
    return saga_pb2.Step(
        name=name, participant=participant, try_method=BOOK, compensate_method=CANCEL, **fields
    )


def shipping(*steps: saga_pb2.Step, **fields: Any) -> saga_pb2.Definition:
    return saga_pb2.Definition(
        name="order", steps=steps or [ship()], **{"input_type": "acme.v1.Order", **fields}
    )


def order(**fields: Any) -> Any:
    from google.protobuf import any_pb2

    made = struct_pb2.Struct()
    made.update(fields or {"id": "7"})
    packed = any_pb2.Any()
    packed.Pack(made)
    return packed


class RpcError(grpc.aio.AioRpcError):
    """An RPC that ended with a status."""

    def __init__(self, code: grpc.StatusCode) -> None:
        super().__init__(code, grpc.aio.Metadata(), grpc.aio.Metadata(), "words")


async def register(s: Service, definition: saga_pb2.Definition) -> saga_pb2.Definition:
    found: saga_pb2.Definition = await s.call(
        "RegisterDefinition", pb.RegisterDefinitionRequest(definition=definition)
    )
    return found


async def refused(s: Service, definition: saga_pb2.Definition) -> dict[str, str]:
    """Registers what cannot be, and tells the fields that are at fault; nothing is kept."""
    told = await failure(register(s, definition))
    assert told.code == "INVALID_ARGUMENT"
    assert not (await s.call("ListDefinitions", pb.ListDefinitionsRequest())).definitions
    return {each.field: each.description for each in told.bad_request.field_violations}


async def test_a_service_says_itself_what_it_offers_and_what_is_needed_is_kept() -> None:
    async with service() as s:
        s.shop.files = acme.files()
        stored = await register(s, shipping())
        assert s.shop.reflected == [{"acme.v1.Carrier", "acme.v1.Order"}]
        carrier = stored.descriptors.file[0]
        assert [each.name for each in carrier.message_type] == [
            "Order",
            "BookRequest",
            "Booking",
            "CancelRequest",
            "Cancelled",
        ]
        assert (await s.call("GetDefinition", pb.GetDefinitionRequest(name="order"))) == stored


async def test_a_service_is_not_asked_where_descriptors_are_sent() -> None:
    async with service() as s:
        stored = await register(s, shipping(descriptors=acme.files()))
        assert s.shop.reflected == []
        assert len(stored.descriptors.file) == 2
        assert "Unrelated" not in str(stored.descriptors)


async def test_a_definition_of_a_changed_service_is_the_next_version() -> None:
    async with service() as s:
        s.shop.files = acme.files()
        assert (await register(s, shipping())).version == 1
        assert (await register(s, shipping())).version == 1
        changed = acme.files()
        changed.file[0].message_type[2].field.add(name="note", number=9, type=9, label=1)
        s.shop.files = changed
        assert (await register(s, shipping())).version == 2


async def test_descriptors_that_nobody_needs_are_not_kept() -> None:
    async with service() as s:
        plain = saga_pb2.Definition(name="order", descriptors=acme.files())
        plain.steps.add(name="pay", participant="shop", action="pay")
        assert not (await register(s, plain)).HasField("descriptors")


async def test_an_enum_that_only_an_expression_names_is_kept() -> None:
    async with service() as s:
        files = acme.files()
        colour = files.file[0].enum_type.add(name="Colour")
        colour.value.add(name="RED", number=0)
        step = ship()
        step.try_method.request = "BookRequest{hint: input.grams == Colour.RED ? 'red' : ''}"
        stored = await register(s, shipping(step, descriptors=files))
        assert [each.name for each in stored.descriptors.file[0].enum_type] == ["Colour"]


async def test_faults_are_told_with_their_fields_and_places() -> None:
    async with service() as s:
        s.shop.files = acme.files()
        wrong = ship()
        wrong.try_method.request = "BookRequest{nosuch: 1}"
        told = await refused(s, shipping(wrong))
        assert told == {
            "definition.steps[0].try_method.request": (
                "line 1, column 19: undefined field 'nosuch' not found in struct 'acme.v1.BookRequest'"
            )
        }
        wrong.try_method.method = "acme.v1.Carrier/Track"
        assert list(await refused(s, shipping(wrong))) == ["definition.steps[0].try_method.method"]
        assert list(await refused(s, shipping(input_type="acme.v1.Nope"))) == ["definition.input_type"]


async def test_a_service_without_reflection_and_descriptors_is_refused() -> None:
    async with service() as s:
        told = await refused(s, shipping(ship(), ship("again"), ship("other", "bank")))
        assert list(told) == [f"definition.steps[{place}].participant" for place in range(3)]
        assert "it offers no server reflection; switch it on, or send descriptors" in told.popitem()[1]


async def test_a_service_that_must_not_be_asked_is_refused() -> None:
    async with service() as s:
        s.shop.files = RpcError(grpc.StatusCode.PERMISSION_DENIED)
        told = await refused(s, shipping())
        assert (
            "whose server reflection answers PERMISSION_DENIED: words"
            in told["definition.steps[0].participant"]
        )


@pytest.mark.parametrize("error", [RpcError(grpc.StatusCode.UNAVAILABLE), grpc.RpcError("words")])
async def test_a_service_that_is_away_is_unavailable(error: Exception) -> None:
    async with service() as s:
        s.shop.files = error
        told = await failure(register(s, shipping()))
        assert (told.code, told.reason) == ("UNAVAILABLE", "PARTICIPANT_UNAVAILABLE")
        assert "start it, or send descriptors with the definition. Nothing was changed" in told.message
        assert not (await s.call("ListDefinitions", pb.ListDefinitionsRequest())).definitions


async def test_services_that_contradict_each_other_are_refused() -> None:
    async with service() as s:
        s.shop.files, other = acme.files(), acme.files()
        other.file[0].message_type[0].field[0].number = 9
        s.bank.files = other
        told = await refused(s, shipping(ship(), ship("again", "bank")))
        why = "participants 'bank' and 'shop' describe acme.v1.Order differently"
        assert why in told["definition.descriptors"]


async def test_descriptors_with_a_text_that_is_no_utf_8_are_refused() -> None:
    """protobuf takes them, and gives bytes where text should be."""
    wrong = acme.files().SerializeToString().replace(b"acme/carrier.proto", b"acme/c\xffrrier.proto")
    files = descriptor_pb2.FileDescriptorSet.FromString(wrong)
    async with service() as s:
        told = await refused(s, shipping(descriptors=files))
        assert "has a text that is no UTF-8" in told["definition.descriptors"]
        s.shop.files = files
        told = await refused(s, shipping())
        assert "has a text that is no UTF-8" in told["definition.descriptors"]


async def test_a_service_whose_files_make_no_whole_is_refused() -> None:
    async with service() as s:
        s.shop.files = descriptor_pb2.FileDescriptorSet(file=[acme.carrier_file()])
        told = await refused(s, shipping())
        assert "imports acme/money.proto, which is missing" in told["definition.descriptors"]


async def test_more_descriptors_than_are_kept_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(binder, "MAX_DESCRIPTORS", 100)
    async with service() as s:
        told = await refused(s, shipping(descriptors=acme.files()))
        assert "of what the steps need alone, but may take 100" in told["definition.descriptors"]


async def test_without_cel_the_way_to_get_it_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "cel_expr_python", None)
    async with service() as s:
        told = await refused(s, shipping(descriptors=acme.files()))
        assert "pip install 'amends[bindings]'" in told["definition.steps"]


# Results of actions


RESERVE = saga_pb2.Step(name="reserve", participant="bank", action="reserve")


def after_reserve(expression: str, **fields: Any) -> saga_pb2.Definition:
    step = ship()
    step.try_method.request = f"BookRequest{{reference: {expression}}}"
    return shipping(RESERVE, step, **fields)


def giving(kind: str) -> participant_pb2.DescribeResponse:
    described = offers("reserve")
    described.actions[0].result_type = kind
    return described


async def test_the_result_of_an_action_is_of_the_type_that_its_participant_says() -> None:
    async with service() as s:
        s.shop.files = s.bank.files = acme.files()
        s.bank.description = giving("acme.v1.Unrelated")
        assert (await register(s, after_reserve("results.reserve.name"))).version == 1
        assert s.bank.reflected == [{"acme.v1.Unrelated", "acme.v1.Order"}]
        told = await failure(register(s, after_reserve("results.reserve.nosuch")))
        assert told.fields == ["definition.steps[1].try_method.request"]


async def test_a_result_of_which_nothing_is_known_is_refused_where_it_is_used() -> None:
    async with service() as s:
        s.shop.files = acme.files()
        s.bank.description = giving("other.v1.Thing")
        told = await refused(s, after_reserve("results.reserve.name"))
        assert "gives a other.v1.Thing, of which expressions speak" in told["definition.steps[0].action"]
        assert (await register(s, after_reserve("'words'"))).version == 1


async def test_a_participant_that_does_not_say_what_it_gives_is_waited_for_where_it_is_used() -> None:
    async with service() as s:
        s.shop.files = acme.files()
        s.bank.description = None
        told = await failure(register(s, after_reserve("results.reserve.name")))
        assert (told.code, told.reason) == ("UNAVAILABLE", "PARTICIPANT_UNAVAILABLE")
        assert "participant 'bank' does not say what 'reserve' gives" in told.message
        assert (await register(s, after_reserve("'words'"))).version == 1


@pytest.mark.parametrize("description", [None, RpcError(grpc.StatusCode.UNIMPLEMENTED)])
async def test_with_descriptors_nobody_has_to_say_what_a_participant_gives(
    description: Exception | None,
) -> None:
    """Its result may be of any type, and any that was sent is known when it comes."""
    async with service() as s:
        s.bank.description = description
        told = await register(s, after_reserve("results.reserve.name", descriptors=acme.files()))
        assert "Unrelated" in str(told.descriptors)
        described = after_reserve("'words'", descriptors=acme.files())
        assert "Unrelated" not in str((await register(s, described)).descriptors)


async def test_more_descriptors_than_are_kept_for_a_result_of_any_type_are_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(binder, "MAX_DESCRIPTORS", 100)
    async with service() as s:
        s.bank.description = None
        told = await refused(s, after_reserve("results.reserve.name", descriptors=acme.files()))
        words = "since nobody says of which of these types the result of 'reserve' is, but may take 100"
        assert words in told["definition.descriptors"]


async def test_a_participant_that_has_no_describe_is_not_waited_for() -> None:
    """That is an answer: what it gives may be anything."""
    async with service() as s:
        s.shop.files = acme.files()
        s.bank.description = RpcError(grpc.StatusCode.UNIMPLEMENTED)
        assert (await register(s, after_reserve("results.reserve.name"))).version == 1


async def test_a_participant_that_was_replaced_is_asked_anew_before_a_definition_is_refused() -> None:
    """What it said long ago describes no result that the other version gives."""
    async with service() as s:
        s.shop.files = acme.files()
        s.bank.description = giving("other.v1.Thing")
        assert (await register(s, after_reserve("'words'"))).version == 1
        s.bank.description = giving("google.protobuf.Struct")
        assert (await register(s, after_reserve("results.reserve.shelf"))).version == 2


# Starts


async def begin(s: Service, saga_id: str, **fields: Any) -> saga_pb2.Saga:
    return await s.begin(saga_id, **{"definition": shipping(), "input": order(), **fields})


async def test_a_saga_keeps_the_descriptors_it_was_started_with_and_is_the_same_with_others(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """P10: what a service says of itself is no content of a start."""
    monkeypatch.setattr(admission, "REFLECTED_FOR", -1.0)
    async with service() as s:
        s.shop.files = acme.files()
        first = await begin(s, "a")
        changed = acme.files()
        changed.file[0].message_type[2].field.add(name="note", number=9, type=9, label=1)
        s.shop.files = changed
        again = await begin(s, "a")
        await until(lambda: not s.admission.renewing)
        other = await begin(s, "b")
        assert first.definition.descriptors == again.definition.descriptors != other.definition.descriptors


async def test_a_definition_is_bound_once_for_all_who_bring_it_at_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Also where the first of them goes away meanwhile."""
    async with service() as s:
        s.shop.files = acme.files()
        go = asyncio.Event()
        answer = s.shop.reflect

        async def held(symbols: Iterable[str]) -> descriptor_pb2.FileDescriptorSet:
            found = await answer(symbols)
            await go.wait()
            return found

        monkeypatch.setattr(s.shop, "reflect", held)
        leaving = asyncio.ensure_future(register(s, shipping()))
        await until(lambda: len(s.shop.reflected) == 1)
        starts = [asyncio.ensure_future(begin(s, f"a{number}")) for number in range(20)]
        await until(lambda: s.starter.admitting == 20)
        leaving.cancel()
        await until(lambda: len(s.shop.reflected) == 2)
        go.set()
        await asyncio.gather(*starts)
        assert len(s.shop.reflected) == 2


async def test_all_who_bring_a_wrong_definition_at_once_are_told() -> None:
    async with service() as s:
        s.shop.files = RpcError(grpc.StatusCode.UNAVAILABLE)
        starts = [failure(begin(s, f"a{number}")) for number in range(5)]
        assert {each.reason for each in await asyncio.gather(*starts)} == {"PARTICIPANT_UNAVAILABLE"}


async def test_what_was_said_within_a_minute_is_good_enough() -> None:
    async with service() as s:
        s.shop.files = acme.files()
        for saga_id in ("a", "b", "c"):
            await begin(s, saga_id)
        assert len(s.shop.reflected) == 1


async def test_a_service_that_went_away_keeps_no_saga_from_starting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(admission, "REFLECTED_FOR", -1.0)
    async with service() as s:
        s.shop.files = acme.files()
        await begin(s, "a")
        s.shop.files = RpcError(grpc.StatusCode.UNAVAILABLE)
        assert (await begin(s, "b")).definition.HasField("descriptors")
        await until(lambda: len(s.shop.reflected) == 2 and not s.admission.renewing)
        assert (await begin(s, "c")).definition.HasField("descriptors")
        assert len(s.shop.reflected) == 2, "it was asked a moment ago"


async def test_nobody_waits_for_a_service_that_has_answered_before(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is asked again, once for all, and until it answers what it said is good."""
    monkeypatch.setattr(admission, "REFLECTED_FOR", -1.0)
    async with service() as s:
        s.shop.files = acme.files()
        await begin(s, "a")
        s.shop.hold_reflection()
        for saga_id in ("b", "c", "d"):
            await begin(s, saga_id)
        assert (len(s.shop.reflected), s.admission.renewing) == (2, 1)
        await s.starter.close()
        assert (s.shop.given_up, s.admission.renewing) == (1, 0)


async def test_few_definitions_are_renewed_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(admission, "REFLECTED_FOR", -1.0)
    monkeypatch.setattr(admission, "MAX_RENEWED", 2)
    async with service() as s:
        s.shop.files = acme.files()
        for round_ in ("first", "second"):
            for name in ("a", "b", "c"):
                await begin(s, f"{round_}-{name}", definition=shipping(ship(name)))
            s.shop.hold_reflection()
        assert s.admission.renewing == 2


async def test_a_service_that_takes_a_definition_no_more_is_believed(monkeypatch: pytest.MonkeyPatch) -> None:
    """From the start after the one that had it asked."""
    monkeypatch.setattr(admission, "REFLECTED_FOR", -1.0)
    async with service() as s:
        s.shop.files = acme.files()
        await begin(s, "a")
        changed = acme.files()
        changed.file[0].service[0].ClearField("method")
        s.shop.files = changed
        await begin(s, "b")
        await until(lambda: not s.admission.renewing)
        told = await failure(begin(s, "c"))
        assert "definition.steps[0].try_method.method" in told.fields


async def test_a_service_that_hangs_is_not_waited_for_again() -> None:
    """Until it may be another one."""
    async with service() as s:
        s.shop.files = RpcError(grpc.StatusCode.DEADLINE_EXCEEDED)
        for saga_id in ("a", "b"):
            told = await failure(begin(s, saga_id))
            assert told.reason == "PARTICIPANT_UNAVAILABLE"
            assert "participant 'shop' does not say what it offers (DEADLINE_EXCEEDED: words)" in told.message
        assert len(s.shop.reflected) == 1
        s.shop.files = acme.files()
        s.admission.participant_changed("shop")
        assert (await begin(s, "c")).definition.HasField("descriptors")


async def test_when_one_service_is_away_the_others_need_not_answer() -> None:
    async with service() as s:
        s.bank.files = RpcError(grpc.StatusCode.UNAVAILABLE)
        s.shop.hold_reflection()
        told = await failure(begin(s, "a", definition=shipping(ship(), ship("again", "bank"))))
        assert "participant 'bank'" in told.message
        assert s.shop.given_up == 1


async def test_nobody_is_asked_for_the_types_of_protobuf_itself() -> None:
    async with service() as s:
        s.shop.hold_reflection()
        s.bank.description = giving("google.protobuf.Struct")
        stored = await register(s, shipping(RESERVE, input_type="google.protobuf.Struct"))
        assert not stored.descriptors.file
        assert s.shop.reflected == s.bank.reflected == []


async def test_what_a_service_said_is_kept_for_bad_times_when_another_one_changes() -> None:
    async with service() as s:
        s.shop.files = acme.files()
        await begin(s, "a", definition=shipping(RESERVE, ship()))
        s.admission.participant_changed("bank")
        s.shop.files = RpcError(grpc.StatusCode.UNAVAILABLE)
        assert (await begin(s, "b", definition=shipping(RESERVE, ship()))).definition.HasField("descriptors")


async def test_a_start_is_the_same_though_its_service_is_away_by_now() -> None:
    """P10, also for a coordinator that has just been started and knows no descriptors."""
    async with service() as s:
        s.shop.files = acme.files()
        await begin(s, "a")
        await s.crash()
        await s.open()
        s.shop.files = RpcError(grpc.StatusCode.UNAVAILABLE)
        assert (await begin(s, "a")).id == "a"
        assert (await failure(begin(s, "b"))).reason == "PARTICIPANT_UNAVAILABLE"
        assert (await failure(begin(s, "a", input=order(id="8")))).reason == "PARTICIPANT_UNAVAILABLE"


async def test_a_registered_definition_needs_its_services_no_more() -> None:
    async with service() as s:
        s.shop.files = acme.files()
        await register(s, shipping())
        s.shop.files = RpcError(grpc.StatusCode.UNAVAILABLE)
        found = await s.begin("a", definition_name="order", input=order())
        assert found.definition.HasField("descriptors")


async def test_an_input_of_another_type_starts_nothing() -> None:
    async with service() as s:
        s.shop.files = acme.files()
        for wrong, words in ((order(nosuch=1), "is no JSON form of acme.v1.Order"), (None, "is missing")):
            told = await failure(begin(s, "a", input=wrong))
            assert (told.code, told.fields) == ("INVALID_ARGUMENT", ["input"])
            assert words in told.message
        told = await failure(begin(s, "a", step_inputs={"ship": order()}))
        assert told.fields == ["step_inputs['ship']"]
        assert (await failure(s.call("GetSaga", pb.GetSagaRequest(saga_id="a")))).code == "NOT_FOUND"


async def test_a_saga_runs_across_actions_and_methods() -> None:
    async with service() as s:
        s.shop.files = acme.files()
        booked = acme.message("acme.v1.Booking", id="b-1").SerializeToString()
        s.shop.script[""] = Succeeded(Payload("type.googleapis.com/acme.v1.Booking", booked))
        await begin(s, "a", definition=shipping(RESERVE, ship()))
        saga = await s.eventually("a", "COMPLETED")
        assert saga.steps[1].result.type_url == "type.googleapis.com/acme.v1.Booking"
        assert s.shop.calls == ["a/ship Try 1"]
