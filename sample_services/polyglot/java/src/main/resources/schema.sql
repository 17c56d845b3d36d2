-- The ledger of the payments.

-- Who has how much. Invariant: balance = opening + the sum of the account's entries, never below zero.
CREATE TABLE IF NOT EXISTS account (
    id TEXT PRIMARY KEY,
    opening INTEGER NOT NULL, -- cents before the first entry
    balance INTEGER NOT NULL CHECK (balance >= 0)
) STRICT;

-- Every change of a balance, on behalf of which step of which saga. Nothing here forbids a second entry for
-- the same step: only the fence does, so an effect that happened twice would show.
CREATE TABLE IF NOT EXISTS entry (
    number INTEGER PRIMARY KEY,
    saga TEXT NOT NULL,
    step TEXT NOT NULL,
    account TEXT NOT NULL REFERENCES account (id),
    cents INTEGER NOT NULL CHECK (cents <> 0) -- below zero: charged; above: refunded
) STRICT;

-- The opening balances, on the first start only.
INSERT INTO account (id, opening, balance) VALUES
    ('ada', 500000, 500000),
    ('grace', 500000, 500000),
    ('linus', 1000, 1000)
ON CONFLICT (id) DO NOTHING;
