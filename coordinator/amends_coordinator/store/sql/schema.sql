-- The durable log of a coordinator: what has happened to every saga, in order, and what can be looked up
-- without reading it. Times are microseconds since the epoch.
--
-- Only `batches` is written on the hot path. The rules that must hold whoever writes are here, as
-- constraints and triggers, not in the program.

-- What can be known of a saga without reading its log.
CREATE TABLE sagas (
    key             INTEGER PRIMARY KEY,       -- short, because every event and every index entry repeats it
    id              TEXT    NOT NULL UNIQUE,
    definition_name TEXT    NOT NULL,
    state           INTEGER NOT NULL           -- 1 RUNNING, 2 COMPLETED, 3 COMPENSATING, 4 COMPENSATED, 5 PARKED
                            CHECK (state BETWEEN 1 AND 5),
    create_time     INTEGER NOT NULL,
    end_time        INTEGER,                   -- null while unfinished
    needs_attention TEXT    NOT NULL,          -- why an operator should look; empty where nobody is needed
    labels          TEXT    NOT NULL           -- a JSON object of strings
                            CHECK (json_valid(labels)),
    CHECK ((end_time IS NOT NULL) = (state IN (2, 4)))
) STRICT;

-- Lists by state, newest first; finds the unfinished, oldest first; counts them.
CREATE INDEX sagas_by_state ON sagas (state, create_time);

-- Lists by definition. Only what ended is here, so that a saga enters once, near the newest entries, and
-- never moves: of the unfinished there are few enough to look through.
CREATE INDEX sagas_by_definition ON sagas (definition_name, state, create_time) WHERE end_time IS NOT NULL;

-- Lists what an operator should look at.
CREATE INDEX sagas_by_attention ON sagas (create_time) WHERE needs_attention <> '';

-- Finds what is past its retention. An unfinished saga is not here, and so cannot be removed.
CREATE INDEX sagas_by_end_time ON sagas (end_time) WHERE end_time IS NOT NULL;

-- The labels of every saga, for finding it by them; kept by the triggers below.
CREATE TABLE saga_labels (
    name        TEXT    NOT NULL,
    value       TEXT    NOT NULL,
    create_time INTEGER NOT NULL, -- the saga's, so that a list by label comes out in order
    saga_key    INTEGER NOT NULL,
    PRIMARY KEY (name, value, create_time, saga_key)
) STRICT, WITHOUT ROWID;

CREATE TRIGGER saga_labelled AFTER INSERT ON sagas WHEN NEW.labels <> '{}' BEGIN
    INSERT INTO saga_labels (name, value, create_time, saga_key)
    SELECT label.key, label.value, NEW.create_time, NEW.key FROM json_each(NEW.labels) AS label;
END;

CREATE TRIGGER saga_unlabelled BEFORE DELETE ON sagas WHEN OLD.labels <> '{}' BEGIN
    DELETE FROM saga_labels
    WHERE (name, value, create_time, saga_key) IN (
        SELECT label.key, label.value, OLD.create_time, OLD.key FROM json_each(OLD.labels) AS label
    );
END;

-- The log: each row records one fact (amends.v1.Event; its saga and sequence are the key).
--
-- Rows lie in the order in which they were written, and a commit of many sagas touches few pages. Kept
-- together by saga they would be read faster, once, after a crash, and written slower, always.
CREATE TABLE events (
    saga_key INTEGER NOT NULL REFERENCES sagas (key) ON DELETE CASCADE,
    sequence INTEGER NOT NULL CHECK (sequence > 0),
    data     BLOB    NOT NULL,
    UNIQUE (saga_key, sequence) -- the fence between coordinators: who comes second cannot write
) STRICT;

-- Invariant: a log has no gaps. Without this, a writer that lost a saga and was refused one event could
-- write the next one.
CREATE TRIGGER event_follows BEFORE INSERT ON events
WHEN NEW.sequence > 1 AND NOT EXISTS (
    SELECT 1 FROM events WHERE saga_key = NEW.saga_key AND sequence = NEW.sequence - 1
) BEGIN
    SELECT RAISE(ABORT, 'the log does not end right before this event');
END;

-- Unfinished sagas for which nothing is due before a moment.
CREATE TABLE sleepers (
    saga_key  INTEGER PRIMARY KEY REFERENCES sagas (key) ON DELETE CASCADE,
    wake_time INTEGER NOT NULL
) STRICT;

CREATE INDEX sleepers_by_wake_time ON sleepers (wake_time);

-- Whatever happens to a saga wakes it.
CREATE TRIGGER event_wakes AFTER INSERT ON events BEGIN
    DELETE FROM sleepers WHERE saga_key = NEW.saga_key;
END;

-- Takes facts of many sagas in one statement, so that a batch is one transaction by itself and the program
-- waits for its interpreter lock once, not once per row.
--
--   sagas     JSON [[id, definition_name, state, create_time, end_time, needs_attention, {label: value}], ...]
--   events    JSON [[saga id, sequence, place in payloads from 1, bytes], ...]
--   payloads  the data of all events, one after the other
CREATE VIEW batches AS SELECT NULL AS sagas, NULL AS events, NULL AS payloads;

CREATE TRIGGER batch_written INSTEAD OF INSERT ON batches BEGIN
    INSERT INTO sagas (id, definition_name, state, create_time, end_time, needs_attention, labels)
    SELECT
        json_extract(value, '$[0]'), json_extract(value, '$[1]'), json_extract(value, '$[2]'),
        json_extract(value, '$[3]'), json_extract(value, '$[4]'), json_extract(value, '$[5]'),
        json_extract(value, '$[6]')
    FROM json_each(NEW.sagas)
    WHERE true -- without it, ON would be read as part of a join
    ON CONFLICT (id) DO UPDATE SET
        state = excluded.state, end_time = excluded.end_time, needs_attention = excluded.needs_attention;

    INSERT INTO events (saga_key, sequence, data)
    SELECT
        (SELECT key FROM sagas WHERE id = json_extract(value, '$[0]')),
        json_extract(value, '$[1]'),
        substr(NEW.payloads, json_extract(value, '$[2]'), json_extract(value, '$[3]'))
    FROM json_each(NEW.events);
END;

-- Registered definitions (amends.v1.Definition), every version of each.
CREATE TABLE definitions (
    name        TEXT    NOT NULL,
    version     INTEGER NOT NULL CHECK (version > 0),
    create_time INTEGER NOT NULL,
    data        BLOB    NOT NULL,
    PRIMARY KEY (name, version)
) STRICT, WITHOUT ROWID;

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
