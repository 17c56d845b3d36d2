-- The fence's tables, in the participant's own database, so that an effect and the memory of it commit together.

-- Says which shape the tables have. Holds one row.
CREATE TABLE IF NOT EXISTS amends_fence_version (
    version INTEGER NOT NULL
) STRICT;

-- Remembers what each step of each saga has done here. Rows are never deleted because of a duplicate; only
-- retention removes them.
CREATE TABLE IF NOT EXISTS amends_fence (
    -- Invariant: a step has at most one row, and its state only moves
    --   (none)   -> INTENDED | TRIED | REJECTED | TOMBSTONE
    --   INTENDED -> TRIED | REJECTED | COMPENSATED
    --   TRIED    -> COMPENSATED
    saga_id TEXT NOT NULL,
    step TEXT NOT NULL,

    -- INTENDED     a Try with an effect outside the database was begun; the effect may exist, even if a
    --              later attempt was rejected, which the answer then says
    -- TRIED        the effect exists
    -- REJECTED     the Try was turned down; there is no effect
    -- COMPENSATED  there was an effect, and it is undone
    -- TOMBSTONE    the Compensate came first; there is no effect, and a Try that comes later has none
    state TEXT NOT NULL CHECK (state IN ('INTENDED', 'TRIED', 'REJECTED', 'COMPENSATED', 'TOMBSTONE')),

    -- The action that was tried; of a TOMBSTONE, the one that was to be compensated.
    action TEXT NOT NULL,

    -- The SHA-256 of the input's type and bytes, which tells a repetition from another use of the key. Empty in a TOMBSTONE.
    input_hash BLOB NOT NULL,

    -- The TryResponse that was given, as protobuf bytes. Empty where there was none.
    answer BLOB NOT NULL,

    -- When the row was last written, in seconds since 1970. Retention counts from here.
    updated_at INTEGER NOT NULL,

    PRIMARY KEY (saga_id, step)
) STRICT;

-- Finds what retention may remove without reading the rest.
CREATE INDEX IF NOT EXISTS amends_fence_by_age ON amends_fence (updated_at);
