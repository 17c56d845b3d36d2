"""Where the inventory writes what."""

from importlib import resources

from sample_services.book import Bookkeeping

SCHEMA = resources.files(__package__).joinpath("schema.sql").read_text("utf-8")
"""Makes the ledger where there is none."""

BOOKKEEPING = Bookkeeping(
    service="inventory",
    balances="SELECT sku, opening, in_stock FROM product ORDER BY sku",
    movements="SELECT saga, step, sku, pieces FROM stock_movement ORDER BY number",
    effect_sign=-1,
    unit="pieces",
)
"""The ledger in schema.sql."""
