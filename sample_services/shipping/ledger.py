"""Where the shipping writes what."""

from importlib import resources

from sample_services.book import Bookkeeping

SCHEMA = resources.files(__package__).joinpath("schema.sql").read_text("utf-8")
"""Makes the ledger where there is none."""

BOOKKEEPING = Bookkeeping(
    service="shipping",
    balances="SELECT code, opening, parcels FROM country ORDER BY code",
    movements="SELECT saga, step, country, parcels FROM parcel_movement ORDER BY number",
    effect_sign=1,
    unit="parcels",
)
"""The ledger in schema.sql."""
