"""Good messages, out of which `hostile` makes bad ones."""

from google.protobuf import any_pb2
from google.protobuf.message import Message
from google.rpc import error_details_pb2, status_pb2
from google.rpc.code_pb2 import Code

from amends._payload import pack
from amends.v1 import participant_pb2 as pb

PAYLOAD = pack({"order": 7, "items": ["pen", "ink"], "nested": {"deep": [None, True, 1.5]}})

_TRIES = [
    pb.TryResponse(succeeded=pb.TryResponse.Succeeded(result=PAYLOAD)),
    pb.TryResponse(rejected=pb.Rejected(reason="NO", message="words", metadata={"key": "value"})),
    pb.TryResponse(pending=pb.Pending(retry_after={"seconds": 1})),
]
_COMPENSATIONS = [
    pb.CompensateResponse(compensated=pb.CompensateResponse.Compensated()),
    pb.CompensateResponse(refused=pb.CompensateResponse.Refused(reason="NO", message="words")),
    pb.CompensateResponse(pending=pb.Pending(retry_after={"seconds": 1})),
]


def _packed(message: Message) -> any_pb2.Any:
    packed = any_pb2.Any()
    packed.Pack(message)
    return packed


STATUSES = [
    status_pb2.Status(
        code=code,
        message="words",
        details=[
            _packed(error_details_pb2.ErrorInfo(reason="NO", domain="shop", metadata={"key": "value"})),
            _packed(error_details_pb2.RetryInfo(retry_delay={"seconds": 1})),
        ],
    )
    for code in (Code.UNAVAILABLE, Code.ABORTED)
]

REPLIES = [
    *(pb.ExchangeResponse.Reply(number=1, try_response=response) for response in _TRIES),
    *(pb.ExchangeResponse.Reply(number=1, compensate_response=response) for response in _COMPENSATIONS),
    *(pb.ExchangeResponse.Reply(number=1, error=status) for status in STATUSES),
    *_TRIES,
    *_COMPENSATIONS,
]
