"""Where the shipping writes what."""

from sample_services.book import Bookkeeping

BOOKKEEPING = Bookkeeping(
    service="shipping",
    balances="SELECT code, opening, parcels FROM country ORDER BY code",
    movements="SELECT saga, step, country, parcels FROM parcel_movement ORDER BY number",
    effect_sign=1,
    unit="parcels",
)
"""The ledger in schema.sql."""
