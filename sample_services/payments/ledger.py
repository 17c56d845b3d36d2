"""Where the payments write what."""

from importlib import resources

from sample_services.book import Bookkeeping

SCHEMA = resources.files(__package__).joinpath("schema.sql").read_text("utf-8")
"""Makes the ledger where there is none."""

BOOKKEEPING = Bookkeeping(
    service="payments",
    balances="SELECT id, opening, balance FROM account ORDER BY id",
    movements="SELECT saga, step, account, cents FROM entry ORDER BY number",
    effect_sign=-1,
    unit="cents",
)
"""The ledger in schema.sql."""
