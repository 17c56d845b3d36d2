"""What `amends conformance` does: reads what it was given, connects, and has the kit do its work."""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any, Final

import grpc

from amends import new_saga_id
from amends._payload import pack
from amends.v1 import coordinator_pb2, coordinator_pb2_grpc, participant_pb2, participant_pb2_grpc
from amends_coordinator.cli._coordinator import CALL_TIMEOUT, channel_to, read_credentials
from amends_coordinator.cli._exits import CommandError, ExitStatus
from amends_coordinator.cli._inputs import read_json, read_pairs
from amends_coordinator.cli._options import Options
from amends_coordinator.cli._words import clean
from amends_coordinator.conformance import (
    CommandFailedError,
    EffectsCommand,
    Inputs,
    RestartCommand,
    Result,
    Subject,
    certify_coordinator,
    certify_participant,
    find_type,
    to_payload,
)
from amends_coordinator.settings import read_address

MESSAGE_BYTES_MAX: Final = 16 << 20
"""Bytes of an answer: as much as any side of the contracts sends in one message."""

_INPUTS: Final = {
    "input": "succeeding",
    "rejected_input": "rejected",
    "other_input": "other",
    "failing_input": "failing",
    "pending_input": "pending",
}


async def participant(
    options: Options, target: str, given: Mapping[str, str | None], results: Sequence[str]
) -> list[Result]:
    """Certifies a participant with what was given of it. Raises CommandError."""
    needed = read_pairs(results, option="--result", form="STEP=JSON")
    read = _read_inputs(given)
    effects, restart = given["effects"], given["restart"]
    async with _channel(options, target, "HOST:PORT") as channel:
        described = await _describe(channel, target)
        action = _choose(described, given["action"])
        subject = Subject(
            action=action.name,
            results={
                step: pack(read_json(source, option=f"--result {step}")) for step, source in needed.items()
            },
            inputs=await _pack(options, target, read, action.input_type),
            count_effects=EffectsCommand(effects) if effects is not None else None,
            restart=RestartCommand(restart) if restart is not None else None,
        )
        await _try_out(subject)
        return await certify_participant(channel, described, subject)


async def coordinator(options: Options, target: str, named: str) -> list[Result]:
    """Certifies a coordinator that is configured with the kit's participant as named. Raises CommandError."""
    name, _, address = named.partition("=")
    try:
        read_address(address)
    except ValueError as error:
        raise CommandError(
            f"--participant {named}: must be NAME=HOST:PORT: {error}", ExitStatus.USAGE
        ) from None
    async with _channel(options, target, "--coordinator") as channel:
        stub = coordinator_pb2_grpc.CoordinatorStub(channel)
        try:
            await stub.ListSagas(coordinator_pb2.ListSagasRequest(page_size=1), timeout=CALL_TIMEOUT)
        except grpc.aio.AioRpcError as error:
            raise _silence(error, "coordinator", target) from error
        return await certify_coordinator(channel, participant=name, address=address)


def _read_inputs(given: Mapping[str, str | None]) -> dict[str, Any]:
    """Reads the JSON of each input that was given, by the name of its option."""
    sources = {name: source for name in _INPUTS if (source := given[name]) is not None}
    if list(sources.values()).count("-") > 1:
        raise CommandError("only one input can come from standard input", ExitStatus.USAGE)
    read = {name: read_json(source, option=_option(name)) for name, source in sources.items()}
    read.setdefault("input", {})
    for name in ("other_input", "rejected_input"):
        if name in read and read[name] == read["input"]:
            raise CommandError(f"{_option(name)} must not be what --input is", ExitStatus.USAGE)
    if "rejected_input" in read:
        read.setdefault("other_input", read["rejected_input"])
    return read


async def _pack(options: Options, target: str, read: Mapping[str, Any], type_name: str) -> Inputs:
    """Makes payloads of the inputs, of the type that the action takes."""
    packed = {}
    with channel_to(options, target, "HOST:PORT") as channel:
        type_ = await asyncio.to_thread(find_type, channel, type_name)
    for name, value in read.items():
        try:
            packed[_INPUTS[name]] = to_payload(value, type_)
        except ValueError as error:
            raise CommandError(f"{_option(name)}: {error}", ExitStatus.USAGE) from error
    return Inputs(**packed)


def _option(name: str) -> str:
    return "--" + name.replace("_", "-")


def _channel(options: Options, target: str, option: str) -> grpc.aio.Channel:
    try:
        address = read_address(target)
    except ValueError as error:
        raise CommandError(f"{option} {target}: {error}", ExitStatus.USAGE) from None
    channel_options = [
        ("grpc.max_receive_message_length", MESSAGE_BYTES_MAX),
        # What is restarted should be found again at once.
        ("grpc.initial_reconnect_backoff_ms", 100),
        ("grpc.max_reconnect_backoff_ms", 1_000),
    ]
    credentials = read_credentials(options)
    if credentials is None:
        return grpc.aio.insecure_channel(address, options=channel_options)
    return grpc.aio.secure_channel(address, credentials, options=channel_options)


async def _describe(channel: grpc.aio.Channel, target: str) -> participant_pb2.DescribeResponse:
    stub = participant_pb2_grpc.ParticipantStub(channel)
    try:
        return await stub.Describe(participant_pb2.DescribeRequest(), timeout=CALL_TIMEOUT)
    except grpc.aio.AioRpcError as error:
        raise _silence(error, "participant", target) from error


def _silence(error: grpc.aio.AioRpcError, what: str, target: str) -> CommandError:
    """Says in one line why the first call failed."""
    code, words = error.code(), clean(error.details() or "")
    if code is grpc.StatusCode.UNIMPLEMENTED:
        return CommandError(f"what listens at {target} is no {what}: it does not know the service")
    if "Connection refused" in words:
        return CommandError(f"nobody listens at {target}", ExitStatus.UNREACHABLE)
    if code in (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED):
        message = f"the {what} at {target} does not answer ({code.name}: {words})"
        return CommandError(message, ExitStatus.UNREACHABLE)
    return CommandError(f"the {what} at {target} fails with {code.name}: {words}")


def _choose(
    described: participant_pb2.DescribeResponse, name: str | None
) -> participant_pb2.ActionDescription:
    fit = {action.name: action for action in described.actions if action.compensatable}
    if name is None and len(fit) == 1:
        return fit.popitem()[1]
    if name is not None and name in fit:
        return fit[name]
    known = clean(", ".join(fit)) or "none"
    wrong = "--action is missing" if name is None else f"--action {name}: there is no such action"
    raise CommandError(f"{wrong}; those that can be compensated are: {known}", ExitStatus.USAGE)


async def _try_out(subject: Subject) -> None:
    """Counts the effects of a saga that does not exist: a wrong command is no fault of the participant."""
    if subject.count_effects is None:
        return
    try:
        found = await subject.count_effects(f"conformance-{new_saga_id()}")
    except CommandFailedError as error:
        raise CommandError(f"--effects: {error}", ExitStatus.USAGE) from error
    if found != 0:
        message = f"--effects: the command counts {found} effects of a saga that does not exist; must be 0"
        raise CommandError(message, ExitStatus.USAGE)
