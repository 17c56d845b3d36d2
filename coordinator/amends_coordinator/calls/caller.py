"""What the runtime asks of whoever calls a participant."""

from collections.abc import Iterable
from typing import Protocol

from google.protobuf.descriptor_pb2 import FileDescriptorSet

from amends.v1 import participant_pb2 as pb
from amends_coordinator.calls.attempt import Attempt


class Caller(Protocol):
    """Takes attempts for one participant, and tells of each exactly once what it came to.

    Over the network that is :class:`~amends_coordinator.calls.participant.Participant`; the test kit has one
    that calls a participant of its own process.
    """

    @property
    def in_flight(self) -> int:
        """Attempts that were sent and not answered."""

    @property
    def waiting(self) -> int:
        """Attempts that were not sent yet."""

    def submit(self, attempt: Attempt) -> None:
        """Sends an attempt as soon as there is room."""

    def withdraw(self, attempt: Attempt) -> None:
        """Ends an attempt that is still waiting; one that was sent is awaited as ever."""

    async def describe(self) -> pb.DescribeResponse:
        """Asks which actions the participant offers.

        Raises:
            grpc.RpcError: it did not say.
        """
        ...

    async def reflect(self, symbols: Iterable[str]) -> FileDescriptorSet:
        """Asks for the files that describe services and messages. Those that are not known are left out.

        Raises:
            NoReflectionError: the participant cannot be asked such a thing.
            grpc.RpcError: it did not say.
        """
        ...

    def hold(self) -> None:
        """Sends nothing more: the coordinator is stopping."""

    async def until_quiet(self) -> None:
        """Waits until nothing is in flight."""
