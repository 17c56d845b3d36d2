"""A small shop to try the kit on: three participants whose handlers write down what they do."""

from dataclasses import dataclass, field

from amends import Context, Definition, Kind, Participant, Pending, Refused, Rejected, Retry, Step

ORDER = Definition(
    "order",
    [
        Step("reserve", "inventory", "reserve"),
        Step("charge", "payments", "charge"),
        Step("ship", "shipping", "ship"),
    ],
)
EAGER = Definition("eager", [Step("charge", "payments", "charge", timeout=1.0, retry=Retry(max_attempts=1))])
HURRIED = Definition("hurried", ORDER.steps, timeout=60.0)
DECIDED = Definition(
    "decided",
    [
        Step("reserve", "inventory", "reserve"),
        Step("charge", "payments", "charge", kind=Kind.PIVOT),
        Step("ship", "shipping", "ship", kind=Kind.RETRIABLE),
    ],
)


@dataclass
class Shop:
    """What is true of the shop, and what was done in it, in order."""

    done: list[str] = field(default_factory=list)
    funds: bool = True
    refundable: bool = True
    refund_fails: bool = False
    address_known: bool = True
    pendings: int = 0  # how often a shipment is not decided yet
    pending_for: float = 3_600.0  # seconds

    def participants(self, store: str = "memory:") -> tuple[Participant, Participant, Participant]:
        return self._inventory(), self.payments(store), self._shipping()

    def _inventory(self) -> Participant:
        inventory = Participant("inventory", store="memory:")

        @inventory.action
        async def reserve(order: dict[str, str], ctx: Context) -> str:
            self.done.append("reserve")
            return f"reservation of {order['sku']}"

        @reserve.compensate
        async def release(order: dict[str, str], reservation: str | None, ctx: Context) -> None:
            self.done.append("release")

        return inventory

    def payments(self, store: str = "memory:") -> Participant:
        schema = "" if store == "memory:" else "CREATE TABLE IF NOT EXISTS charge (id TEXT)"
        payments = Participant("payments", store=store, schema=schema)

        @payments.action
        def charge(order: dict[str, str], ctx: Context) -> str:
            if not self.funds:
                raise Rejected("INSUFFICIENT_FUNDS", "the account is short")
            if schema:
                ctx.db.execute("INSERT INTO charge VALUES (?)", (ctx.idempotency_key,))
            self.done.append("charge")
            return "receipt"

        @charge.compensate
        def refund(order: dict[str, str], receipt: str | None, ctx: Context) -> None:
            if not self.refundable:
                raise Refused("BOOKS_CLOSED", "the month is closed")
            if self.refund_fails:
                raise RuntimeError("a bug")
            self.done.append("refund")

        return payments

    def _shipping(self) -> Participant:
        shipping = Participant("shipping", store="memory:")

        @shipping.action
        def ship(order: dict[str, str], ctx: Context) -> str:
            if not self.address_known:
                raise Rejected("ADDRESS_UNKNOWN", "nobody lives there")
            if self.pendings:
                self.pendings -= 1
                raise Pending(self.pending_for)
            self.done.append("ship")
            return "parcel"

        @ship.compensate
        def recall(order: dict[str, str], parcel: str | None, ctx: Context) -> None:
            self.done.append("recall")

        return shipping


INPUT = {"sku": "tea"}
