"""What the code generated from sample_services/protos accepts and refuses. `test_typing.py` has it read.

An ignored error that is no error any more is an error itself, so each `type: ignore` shows a refusal. Both
mypy and pyright heed them, and the codes in brackets are mypy's.
"""

from dataclasses import dataclass
from typing import assert_type

from shop.v1.payments_amends import PaymentsActions, PaymentsSteps
from shop.v1.payments_pb2 import ChargeRequest, ChargeResponse, CheckAccountRequest, CheckAccountResponse

from amends import BlockingClient, Client, Context, Definition, Participant, Step


@dataclass
class Order:
    """The input of a saga."""

    account: str
    cents: int


def to_check(order: Order) -> CheckAccountRequest:
    """Makes the input of a step from that of the saga."""
    return CheckAccountRequest(account=order.account)


# Definitions

assert_type(PaymentsSteps.charge(), Step[ChargeRequest, ChargeResponse])
assert_type(PaymentsSteps.check_account(input=to_check), Step[Order, CheckAccountResponse])

ORDER = Definition[Order](
    "order",
    [
        PaymentsSteps.check_account(input=to_check),
        PaymentsSteps.charge(
            "pay", timeout=3, input=lambda order: ChargeRequest(account=order.account, cents=order.cents)
        ),
        Step("ship", "shipping", "ship"),
    ],
)
CHARGES = Definition("charges", [PaymentsSteps.charge("one"), PaymentsSteps.charge("two")])
assert_type(CHARGES, Definition[ChargeRequest])

BY_HAND = Step("ship", "shipping", "ship", input_from=to_check, result_type=ChargeResponse)
assert_type(BY_HAND, Step[Order, ChargeResponse])
Definition[Order]("order", [BY_HAND])
Definition[str]("order", [BY_HAND])  # type: ignore[list-item]

Definition[Order]("order", [PaymentsSteps.charge()])  # type: ignore[list-item]
Definition[Order]("order", [PaymentsSteps.charge(input=to_check)])  # type: ignore[arg-type]
Definition[ChargeRequest]("charge", [PaymentsSteps.check_account(input=to_check)])  # type: ignore[arg-type]
Definition[Order](
    "order",
    [PaymentsSteps.charge(input=lambda order: ChargeRequest(account=order.acount))],  # type: ignore[attr-defined]
)
PaymentsSteps.charge(timeout="5s")  # type: ignore[call-overload]
PaymentsSteps.charg()  # type: ignore[attr-defined]


# Clients


async def client(client: Client) -> None:
    """The saga's input is of the definition's type, and a step tells the type of its result."""
    pay = PaymentsSteps.charge("pay")
    saga = await client.run(ORDER, Order("ada", 1300), saga_id="order-1")
    assert_type(saga.result(pay), ChargeResponse)
    assert_type(saga.result("pay", ChargeResponse), ChargeResponse)
    await client.start(CHARGES, ChargeRequest(account="ada", cents=1300))
    await client.run(ORDER, ChargeRequest(account="ada"))  # type: ignore[misc]
    await client.start(CHARGES, Order("ada", 1300))  # type: ignore[misc]
    async with client.starter() as starter:
        await starter.start(ORDER, Order("ada", 1300))
        await starter.start(ORDER, {"account": "ada"})  # type: ignore[misc]


def blocking(client: BlockingClient) -> None:
    """The blocking client sees the same."""
    client.run(ORDER, Order("ada", 1300))
    client.run(ORDER, {"account": "ada"})  # type: ignore[misc]


# Participants


class Plain(PaymentsActions):
    """Handlers may be plain."""

    def check_account(self, request: CheckAccountRequest, ctx: Context) -> CheckAccountResponse:
        return CheckAccountResponse(owner=request.account)

    def charge(self, request: ChargeRequest, ctx: Context) -> ChargeResponse:
        assert_type(ctx.result(PaymentsSteps.check_account()), CheckAccountResponse)
        return ChargeResponse(receipt=ctx.idempotency_key)

    def refund(self, request: ChargeRequest, result: ChargeResponse | None, ctx: Context) -> None:
        return None


class Coroutines(PaymentsActions):
    """Handlers may be coroutines."""

    async def check_account(self, request: CheckAccountRequest, ctx: Context) -> CheckAccountResponse:
        return CheckAccountResponse(owner=request.account)

    async def charge(self, request: ChargeRequest, ctx: Context) -> ChargeResponse:
        return ChargeResponse(receipt=ctx.idempotency_key)

    async def refund(self, request: ChargeRequest, result: ChargeResponse | None, ctx: Context) -> None:
        return None


class Wrong(Plain):
    """Handlers take and give what their .proto file says."""

    def check_account(self, request: ChargeRequest, ctx: Context) -> CheckAccountResponse:  # type: ignore[override]
        return CheckAccountResponse(owner=request.account)

    def charge(self, request: ChargeRequest, ctx: Context) -> CheckAccountResponse:  # type: ignore[override]
        return CheckAccountResponse()

    def refund(self, request: ChargeRequest, result: str, ctx: Context) -> None:  # type: ignore[override]
        return None


class Incomplete(PaymentsActions):
    """Every handler is written."""


payments = Participant("payments", store="memory:")
payments.offer(Plain(), external=["charge"])
payments.offer(Coroutines())
payments.offer(Incomplete())  # type: ignore[abstract]
payments.offer(Order("ada", 1))  # type: ignore[arg-type]
