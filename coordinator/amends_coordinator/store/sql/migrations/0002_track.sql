-- Adds choreographed sagas, which are followed and not driven.

-- Choreographed sagas: what can be known of each without reading its log. They are followed, never driven,
-- so nothing of them stands in the tables above.
CREATE TABLE tracked_sagas (
    key             INTEGER PRIMARY KEY,
    id              TEXT    NOT NULL UNIQUE,
    definition_name TEXT    NOT NULL,          -- the step, or the event from elsewhere, that began it
    state           INTEGER NOT NULL           -- 1 RUNNING, 2 COMPLETED, 3 COMPENSATING, 4 COMPENSATED, 6 STALLED
                            CHECK (state IN (1, 2, 3, 4, 6)),
    create_time     INTEGER NOT NULL,
    heard_time      INTEGER NOT NULL,          -- when its last event was heard, by the coordinator's clock
    end_time        INTEGER,                   -- null while unfinished
    needs_attention TEXT    NOT NULL,          -- why it stalled; else empty
    CHECK ((end_time IS NOT NULL) = (state IN (2, 4))),
    CHECK ((needs_attention <> '') = (state = 6))
) STRICT;

-- Lists by state, newest first; counts the unfinished.
CREATE INDEX tracked_by_state ON tracked_sagas (state, create_time);

-- Lists by how they began.
CREATE INDEX tracked_by_definition ON tracked_sagas (definition_name, state, create_time);

-- Finds those that should have been heard of.
CREATE INDEX tracked_by_heard_time ON tracked_sagas (heard_time) WHERE state IN (1, 3);

-- Finds those to judge anew when services announce something else.
CREATE INDEX tracked_unfinished ON tracked_sagas (key) WHERE end_time IS NULL;

-- Finds what is past its retention.
CREATE INDEX tracked_by_end_time ON tracked_sagas (end_time) WHERE end_time IS NOT NULL;

-- The log of each choreographed saga (amends.v1.Event; its saga and sequence are the key).
CREATE TABLE tracked_events (
    saga_key INTEGER NOT NULL REFERENCES tracked_sagas (key) ON DELETE CASCADE,
    sequence INTEGER NOT NULL CHECK (sequence > 0),
    data     BLOB    NOT NULL,
    UNIQUE (saga_key, sequence)
) STRICT;

-- How far each bus was read, written together with what was read.
CREATE TABLE tracker (
    bus        TEXT    PRIMARY KEY,            -- its URL, without a password
    position   INTEGER NOT NULL,               -- the sequence number of the last message that was read
    message_id TEXT    NOT NULL                -- of that message, to notice a bus that was begun anew
) STRICT, WITHOUT ROWID;
