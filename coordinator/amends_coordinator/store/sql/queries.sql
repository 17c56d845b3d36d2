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
