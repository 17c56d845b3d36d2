"""Where the orders are written down."""

from importlib import resources

from sample_services.book import Bookkeeping

SCHEMA = resources.files(__package__).joinpath("schema.sql").read_text("utf-8")
"""Makes the ledger where there is none."""

BOOKKEEPING = Bookkeeping(
    service="orders",
    balances="SELECT kind, opening, orders FROM tally ORDER BY kind",
    movements="SELECT saga, step, kind, orders FROM order_movement ORDER BY number",
    effect_sign=1,
    unit="orders",
)
"""The ledger in schema.sql."""
