-- The ledger of the shipping.

-- The countries served. Invariant: parcels = opening + the sum of the country's movements, never below zero.
CREATE TABLE IF NOT EXISTS country (
    code TEXT PRIMARY KEY,
    opening INTEGER NOT NULL DEFAULT 0, -- parcels before the first movement
    parcels INTEGER NOT NULL DEFAULT 0 CHECK (parcels >= 0)
) STRICT;

-- Every parcel handed to the carrier or called back, on behalf of which step of which saga. Nothing here
-- forbids a second one for the same step: only the fence does, so an effect that happened twice would show.
CREATE TABLE IF NOT EXISTS parcel_movement (
    number INTEGER PRIMARY KEY,
    saga TEXT NOT NULL,
    step TEXT NOT NULL,
    country TEXT NOT NULL REFERENCES country (code),
    parcels INTEGER NOT NULL CHECK (parcels IN (1, -1)) -- above zero: handed over; below: called back
) STRICT;

-- The countries served, on the first start only.
INSERT INTO country (code) VALUES ('NL'), ('BE'), ('DE'), ('FR')
ON CONFLICT (code) DO NOTHING;
