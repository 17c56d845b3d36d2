-- The ledger of the carrier.

-- Every parcel that was booked.
CREATE TABLE IF NOT EXISTS booking (
    number INTEGER PRIMARY KEY,
    booking_id TEXT GENERATED ALWAYS AS ('B-' || number) UNIQUE,
    tracking_code TEXT GENERATED ALWAYS AS ('ACME' || number),
    order_ref TEXT NOT NULL, -- what the sender calls the order
    address TEXT NOT NULL,
    weight_grams INTEGER NOT NULL CHECK (weight_grams > 0),
    price_cents INTEGER NOT NULL CHECK (price_cents > 0), -- charged, and refunded if it is cancelled
    cancelled INTEGER NOT NULL DEFAULT 0 CHECK (cancelled IN (0, 1))
) STRICT;

-- What was answered to calls that came with an idempotency key, for whoever asks again.
CREATE TABLE IF NOT EXISTS answer (
    idempotency_key TEXT PRIMARY KEY,
    method TEXT NOT NULL,
    request BLOB NOT NULL,
    response BLOB NOT NULL
) STRICT;
