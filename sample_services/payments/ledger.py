"""Where the payments write what."""

from sample_services.book import Bookkeeping

BOOKKEEPING = Bookkeeping(
    service="payments",
    balances="SELECT id, opening, balance FROM account ORDER BY id",
    movements="SELECT saga, step, account, cents FROM entry ORDER BY number",
    effect_sign=-1,
    unit="cents",
)
"""The ledger in schema.sql."""
