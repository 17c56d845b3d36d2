"""The order saga in Python: the same as order.yaml, for those who like their steps type-checked."""

from amends import Definition, Retry, Step

ORDER = Definition(
    "order",
    [
        Step("reserve", "inventory", "reserve"),
        Step("charge", "payments", "charge"),
        Step("ship", "shipping", "ship", timeout=5, retry=Retry(max_attempts=10)),
    ],
    timeout=120,
)
"""Reserves stock, charges the account and ships; what is refused later undoes what was done before."""
