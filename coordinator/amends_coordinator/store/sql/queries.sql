-- The statements of the SQLite store, each with its name and a line of purpose. Those of the hot path are
-- in the schema: see the view `batches`.
--
-- INDEXED BY pins a plan, which would otherwise be a guess of SQLite's that a new version may revise.
-- Times are microseconds since the epoch.

-- name: append_batch
-- Adds facts of many sagas, and renews the rows of those that changed.
INSERT INTO batches (sagas, events, payloads) VALUES (:sagas, :events, :payloads);

-- name: read_log
-- Reads the events of one saga after a sequence number.
SELECT sequence, data
FROM events
WHERE saga_key = (SELECT key FROM sagas WHERE id = :saga_id) AND sequence > :after_sequence
ORDER BY sequence;

-- name: read_logs
-- Reads all events of some sagas; those of one saga come in order.
SELECT saga_key, sequence, data
FROM events
WHERE saga_key IN (SELECT value FROM json_each(:saga_keys))
ORDER BY saga_key, sequence;

-- name: find_place
-- Tells where a saga stands among all in the order of their creation.
SELECT create_time, id FROM sagas WHERE id = :saga_id;

-- name: find_unfinished
-- Finds sagas in one unfinished state, the oldest first, unless they sleep beyond now.
SELECT create_time, id, key
FROM sagas INDEXED BY sagas_by_state
WHERE
    state = :state
    AND create_time >= :after_time
    AND (create_time, id) > (:after_time, :after_id)
    AND NOT EXISTS (SELECT 1 FROM sleepers WHERE saga_key = sagas.key AND wake_time > :now)
ORDER BY create_time, id
LIMIT :limit;

-- name: put_to_sleep
-- Remembers until when nothing is due for some unfinished sagas: a JSON object of times by saga id.
INSERT INTO sleepers (saga_key, wake_time)
SELECT sagas.key, wanted.value
FROM json_each(:wake_times) AS wanted
CROSS JOIN sagas ON sagas.id = wanted.key
WHERE sagas.end_time IS NULL
ON CONFLICT (saga_key) DO UPDATE SET wake_time = excluded.wake_time;

-- name: next_wake_time
-- Tells when the first sleeper has to be woken.
SELECT min(wake_time) FROM sleepers;

-- name: find_due
-- Finds sleepers whose time has come, the earliest first.
SELECT sleepers.saga_key, sagas.id
FROM sleepers INDEXED BY sleepers_by_wake_time
CROSS JOIN sagas ON sagas.key = sleepers.saga_key
WHERE sleepers.wake_time <= :now
ORDER BY sleepers.wake_time, sleepers.saga_key
LIMIT :limit;

-- name: wake
-- Ends the sleep of some sagas.
DELETE FROM sleepers WHERE saga_key IN (SELECT value FROM json_each(:saga_keys));

-- name: get_row
-- Reads the row of a saga.
SELECT id, definition_name, state, create_time, end_time, needs_attention, labels
FROM sagas
WHERE id = :saga_id;

-- name: list_by_state
-- Lists sagas in one state that meet all other conditions, the newest first.
SELECT id, definition_name, state, create_time, end_time, needs_attention, labels
FROM sagas INDEXED BY sagas_by_state
WHERE
    state = :state
    AND create_time BETWEEN :created_from AND :before_time
    AND (create_time, id) < (:before_time, :before_id)
    AND (:definition_name = '' OR definition_name = :definition_name)
    AND NOT EXISTS (
        SELECT 1 FROM json_each(:labels) AS wanted
        WHERE (wanted.key, wanted.value) NOT IN (
            SELECT label.key, label.value FROM json_each(sagas.labels) AS label
        )
    )
ORDER BY create_time DESC, id DESC
LIMIT :limit;

-- name: list_ended_by_definition
-- Lists sagas of one definition in one of the states that are final, the newest first.
SELECT id, definition_name, state, create_time, end_time, needs_attention, labels
FROM sagas INDEXED BY sagas_by_definition
WHERE
    definition_name = :definition_name
    AND state = :state
    AND end_time IS NOT NULL
    AND create_time BETWEEN :created_from AND :before_time
    AND (create_time, id) < (:before_time, :before_id)
ORDER BY create_time DESC, id DESC
LIMIT :limit;

-- name: list_by_attention
-- Lists sagas that an operator should look at and that meet all other conditions, the newest first.
SELECT id, definition_name, state, create_time, end_time, needs_attention, labels
FROM sagas INDEXED BY sagas_by_attention
WHERE
    needs_attention <> ''
    AND create_time BETWEEN :created_from AND :before_time
    AND (create_time, id) < (:before_time, :before_id)
    AND (:definition_name = '' OR definition_name = :definition_name)
    AND state IN (SELECT value FROM json_each(:states))
    AND NOT EXISTS (
        SELECT 1 FROM json_each(:labels) AS wanted
        WHERE (wanted.key, wanted.value) NOT IN (
            SELECT label.key, label.value FROM json_each(sagas.labels) AS label
        )
    )
ORDER BY create_time DESC, id DESC
LIMIT :limit;

-- name: list_by_label
-- Lists sagas that have a label and meet all other conditions, the newest first.
SELECT id, definition_name, state, sagas.create_time, end_time, needs_attention, labels
FROM saga_labels
CROSS JOIN sagas ON sagas.key = saga_labels.saga_key
WHERE
    saga_labels.name = :label_name
    AND saga_labels.value = :label_value
    AND saga_labels.create_time BETWEEN :created_from AND :before_time
    AND (saga_labels.create_time, id) < (:before_time, :before_id)
    AND (:definition_name = '' OR definition_name = :definition_name)
    AND state IN (SELECT value FROM json_each(:states))
    AND NOT EXISTS (
        SELECT 1 FROM json_each(:labels) AS wanted
        WHERE (wanted.key, wanted.value) NOT IN (
            SELECT label.key, label.value FROM json_each(sagas.labels) AS label
        )
    )
ORDER BY saga_labels.create_time DESC, id DESC
LIMIT :limit;

-- name: census
-- Counts the unfinished sagas by state, with the creation of the oldest.
SELECT state, count(*), min(create_time)
FROM sagas INDEXED BY sagas_by_state
WHERE state IN (1, 3, 5)
GROUP BY state;

-- name: remove_ended
-- Removes sagas that ended before a moment, the earliest end first; their events go with them.
DELETE FROM sagas
WHERE key IN (
    SELECT key FROM sagas INDEXED BY sagas_by_end_time
    WHERE end_time IS NOT NULL AND end_time < :before
    ORDER BY end_time
    LIMIT :limit
);

-- name: get_position
-- Tells how far a bus was read.
SELECT position, message_id FROM tracker WHERE bus = :bus;

-- name: put_position
-- Remembers how far a bus was read.
INSERT INTO tracker (bus, position, message_id) VALUES (:bus, :position, :message_id)
ON CONFLICT (bus) DO UPDATE SET position = excluded.position, message_id = excluded.message_id;

-- name: put_tracked
-- Adds a choreographed saga, or renews what is known of it.
INSERT INTO tracked_sagas (id, definition_name, state, create_time, heard_time, end_time, needs_attention)
VALUES (:id, :definition_name, :state, :create_time, :heard_time, :end_time, :needs_attention)
ON CONFLICT (id) DO UPDATE SET
    state = excluded.state,
    heard_time = excluded.heard_time,
    end_time = excluded.end_time,
    needs_attention = excluded.needs_attention;

-- name: add_tracked_event
-- Adds a fact to the log of a choreographed saga.
INSERT INTO tracked_events (saga_key, sequence, data)
VALUES ((SELECT key FROM tracked_sagas WHERE id = :id), :sequence, :data);

-- name: get_tracked
-- Reads what is known of some choreographed sagas: a JSON list of ids.
SELECT id, definition_name, state, create_time, heard_time, end_time, needs_attention, key
FROM tracked_sagas
WHERE id IN (SELECT value FROM json_each(:ids));

-- name: read_tracked_logs
-- Reads all facts of some choreographed sagas; those of one saga come in order.
SELECT saga_key, sequence, data
FROM tracked_events
WHERE saga_key IN (SELECT value FROM json_each(:saga_keys))
ORDER BY saga_key, sequence;

-- name: read_tracked_log
-- Reads the facts of one choreographed saga after a sequence number.
SELECT sequence, data
FROM tracked_events
WHERE saga_key = (SELECT key FROM tracked_sagas WHERE id = :id) AND sequence > :after_sequence
ORDER BY sequence;

-- name: list_tracked_by_state
-- Lists choreographed sagas in one state that meet all other conditions, the newest first.
SELECT id, definition_name, state, create_time, heard_time, end_time, needs_attention
FROM tracked_sagas INDEXED BY tracked_by_state
WHERE
    state = :state
    AND create_time BETWEEN :created_from AND :before_time
    AND (create_time, id) < (:before_time, :before_id)
ORDER BY create_time DESC, id DESC
LIMIT :limit;

-- name: list_tracked_by_definition
-- Lists choreographed sagas that begin alike, in one state, the newest first.
SELECT id, definition_name, state, create_time, heard_time, end_time, needs_attention
FROM tracked_sagas INDEXED BY tracked_by_definition
WHERE
    definition_name = :definition_name
    AND state = :state
    AND create_time BETWEEN :created_from AND :before_time
    AND (create_time, id) < (:before_time, :before_id)
ORDER BY create_time DESC, id DESC
LIMIT :limit;

-- name: find_silent
-- Finds choreographed sagas that go on and were not heard of since a moment, the longest silent first.
SELECT id
FROM tracked_sagas INDEXED BY tracked_by_heard_time
WHERE state IN (1, 3) AND heard_time <= :before
ORDER BY heard_time
LIMIT :limit;

-- name: find_tracked_unfinished
-- Finds choreographed sagas that have not ended, in the order in which they were first heard of.
SELECT key, id
FROM tracked_sagas INDEXED BY tracked_unfinished
WHERE end_time IS NULL AND key > :after_key
ORDER BY key
LIMIT :limit;

-- name: tracked_census
-- Counts the choreographed sagas that have not ended, by state.
SELECT state, count(*)
FROM tracked_sagas INDEXED BY tracked_by_state
WHERE state IN (1, 3, 6)
GROUP BY state;

-- name: remove_tracked
-- Removes choreographed sagas that ended before a moment, the earliest end first; their log goes with them.
DELETE FROM tracked_sagas
WHERE key IN (
    SELECT key FROM tracked_sagas INDEXED BY tracked_by_end_time
    WHERE end_time IS NOT NULL AND end_time < :before
    ORDER BY end_time
    LIMIT :limit
);

-- name: put_definition
-- Stores one version of a definition.
INSERT INTO definitions (name, version, create_time, data) VALUES (:name, :version, :create_time, :data);

-- name: get_definition
-- Reads one version of a definition.
SELECT version, create_time, data FROM definitions WHERE name = :name AND version = :version;

-- name: get_newest_definition
-- Reads the newest version of a definition.
SELECT version, create_time, data FROM definitions WHERE name = :name ORDER BY version DESC LIMIT 1;

-- name: list_definitions
-- Lists the newest version of every definition after a name.
SELECT max(version), create_time, data -- the other columns are those of the row with the maximum
FROM definitions
WHERE name > :after_name
GROUP BY name
ORDER BY name
LIMIT :limit;
