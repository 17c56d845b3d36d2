-- What each step of each saga has done here, in the same database as its effect, so that both commit together.
-- Rows are never deleted because of a duplicate. Whoever deletes old ones must be sure that nobody repeats a
-- call of theirs.
CREATE TABLE IF NOT EXISTS amends_fence (
    saga_id TEXT NOT NULL,
    step TEXT NOT NULL,

    -- TRIED        the effect exists
    -- REJECTED     the Try was turned down; there is no effect
    -- COMPENSATED  there was an effect, and it is undone
    -- TOMBSTONE    the Compensate came first; there is no effect, and a Try that comes later has none
    state TEXT NOT NULL CHECK (state IN ('TRIED', 'REJECTED', 'COMPENSATED', 'TOMBSTONE')),

    action TEXT NOT NULL, -- the one that was tried; of a TOMBSTONE, the one that was to be compensated
    input_hash BLOB NOT NULL, -- SHA-256 of the input's type and bytes; empty in a TOMBSTONE
    answer BLOB NOT NULL, -- the TryResponse that was given, as protobuf bytes; empty in a TOMBSTONE

    PRIMARY KEY (saga_id, step)
) STRICT;
