-- The ledger of the inventory.

-- What is on the shelf. Invariant: in_stock = opening + the sum of the product's movements, never below zero.
CREATE TABLE IF NOT EXISTS product (
    sku TEXT PRIMARY KEY,
    name TEXT NOT NULL,
    price INTEGER NOT NULL CHECK (price > 0), -- cents
    opening INTEGER NOT NULL,                 -- pieces before the first movement
    in_stock INTEGER NOT NULL CHECK (in_stock >= 0)
) STRICT;

-- Every change of the stock, on behalf of which step of which saga. Nothing here forbids a second entry for
-- the same step: only the fence does, so an effect that happened twice would show.
CREATE TABLE IF NOT EXISTS stock_movement (
    number INTEGER PRIMARY KEY,
    saga TEXT NOT NULL,
    step TEXT NOT NULL,
    sku TEXT NOT NULL REFERENCES product (sku),
    pieces INTEGER NOT NULL CHECK (pieces <> 0) -- below zero: reserved; above: released
) STRICT;

-- The opening stock, on the first start only.
INSERT INTO product (sku, name, price, opening, in_stock) VALUES
    ('tea-green', 'Green tea, 100 g', 650, 400, 400),
    ('tea-black', 'Black tea, 100 g', 590, 400, 400),
    ('pot-iron', 'Iron teapot', 4900, 3, 3)
ON CONFLICT (sku) DO NOTHING;
