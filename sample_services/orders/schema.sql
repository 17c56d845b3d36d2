-- The ledger of the orders.

-- How many orders there are of each kind. Invariant: orders = opening + the sum of the kind's movements, never
-- below zero.
CREATE TABLE IF NOT EXISTS tally (
    kind TEXT PRIMARY KEY,
    opening INTEGER NOT NULL DEFAULT 0, -- orders before the first movement
    orders INTEGER NOT NULL DEFAULT 0 CHECK (orders >= 0)
) STRICT;

-- Every order placed, cancelled or completed, on behalf of which step of which saga. Nothing here forbids a
-- second entry for the same step: only the fence does, so an effect that happened twice would show.
CREATE TABLE IF NOT EXISTS order_movement (
    number INTEGER PRIMARY KEY,
    saga TEXT NOT NULL,
    step TEXT NOT NULL,
    kind TEXT NOT NULL REFERENCES tally (kind),
    orders INTEGER NOT NULL CHECK (orders IN (1, -1)), -- above zero: placed or completed; below: cancelled
    why TEXT NOT NULL DEFAULT ''                       -- of a cancelled one, for the customer
) STRICT;

-- The kinds, on the first start only.
INSERT INTO tally (kind) VALUES ('placed'), ('completed')
ON CONFLICT (kind) DO NOTHING;
