-- What a choreographed service keeps beside its fence, in its own database, so that events, effects and the
-- events that follow from them commit together.

-- Identifies this database to the bus, so that no other one is taken for the same service. One row a service.
CREATE TABLE IF NOT EXISTS amends_service (
    name TEXT PRIMARY KEY,
    id TEXT NOT NULL
) STRICT;

-- Remembers every event that was received. Rows are never deleted because of a duplicate; only retention
-- removes them.
CREATE TABLE IF NOT EXISTS amends_inbox (
    -- Invariant: an event has at most one row for each consumer, and its state only moves
    --   (none)  -> DONE | WAITING | PARKED | DEAD
    --   WAITING -> DONE | WAITING | DEAD
    --   PARKED  -> WAITING
    --   DEAD    -> DONE | WAITING
    number INTEGER PRIMARY KEY, -- in the order in which they came

    consumer TEXT NOT NULL, -- the service; never a process
    event_id TEXT NOT NULL, -- source and id, with a slash between
    saga_id TEXT NOT NULL,  -- empty where the event tells of none

    -- DONE     dealt with, or nothing to do
    -- WAITING  is tried again at next_at
    -- PARKED   waits for an earlier event of its saga that is WAITING or DEAD
    -- DEAD     cannot be dealt with; a dead letter says why; it is DONE once it was replayed or discarded
    state TEXT NOT NULL CHECK (state IN ('DONE', 'WAITING', 'PARKED', 'DEAD')),

    attempts INTEGER NOT NULL DEFAULT 0, -- that failed
    error TEXT NOT NULL DEFAULT '',      -- of the last of them; of one that was discarded, why
    next_at REAL,                        -- seconds since 1970; for WAITING only

    -- The event as it came, as long as it is not DONE.
    subject TEXT,
    headers TEXT,
    data BLOB,

    updated_at INTEGER NOT NULL, -- seconds since 1970; retention counts from here

    UNIQUE (consumer, event_id)
) STRICT;

CREATE INDEX IF NOT EXISTS amends_inbox_open ON amends_inbox (consumer, saga_id, number) WHERE state <> 'DONE';
CREATE INDEX IF NOT EXISTS amends_inbox_due ON amends_inbox (consumer, next_at) WHERE state = 'WAITING';
CREATE INDEX IF NOT EXISTS amends_inbox_by_age ON amends_inbox (updated_at) WHERE state = 'DONE';

-- Holds every event that is to be published.
CREATE TABLE IF NOT EXISTS amends_outbox (
    -- On SQLite there is one writer, so that this is the order of commits.
    number INTEGER PRIMARY KEY AUTOINCREMENT,

    event_id TEXT NOT NULL UNIQUE,  -- source and id, fixed here: what the bus calls the message, for ever
    saga_id TEXT NOT NULL,          -- what is kept in order
    partition INTEGER NOT NULL,     -- of the saga's id; relays lease whole partitions
    subject TEXT NOT NULL,
    headers TEXT NOT NULL,          -- CloudEvents attributes and trace context, as JSON
    data BLOB NOT NULL,
    created_at REAL NOT NULL,       -- seconds since 1970, like all times here

    not_before REAL NOT NULL DEFAULT 0, -- a refused one is not tried again before
    attempts INTEGER NOT NULL DEFAULT 0,
    last_error TEXT NOT NULL DEFAULT '',

    sent_at REAL,                   -- when the bus had it, durably
    bus_stream TEXT,                -- where
    bus_sequence INTEGER,
    dead_at REAL                    -- when it was given up: the saga's later events wait behind it
) STRICT;

CREATE INDEX IF NOT EXISTS amends_outbox_unsent
    ON amends_outbox (partition, number) WHERE sent_at IS NULL;
CREATE INDEX IF NOT EXISTS amends_outbox_stuck
    ON amends_outbox (saga_id, number) WHERE sent_at IS NULL AND attempts > 0;
CREATE INDEX IF NOT EXISTS amends_outbox_by_age ON amends_outbox (sent_at) WHERE sent_at IS NOT NULL;

-- Says which relay publishes which partition. The epoch grows with every change of owner: a relay that was
-- stopped past its lease can mark nothing any more.
CREATE TABLE IF NOT EXISTS amends_relay (
    partition INTEGER PRIMARY KEY,
    owner TEXT NOT NULL,
    epoch INTEGER NOT NULL,
    until REAL NOT NULL
) STRICT;
