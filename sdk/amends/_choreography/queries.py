"""The statements of inbox and outbox on SQLite; see schema.sql for what the tables mean."""

from typing import Final

# Service

ADD_SERVICE: Final = "INSERT INTO amends_service (name, id) VALUES (?, ?) ON CONFLICT (name) DO NOTHING"
GET_SERVICE: Final = "SELECT id FROM amends_service WHERE name = ?"
HAS_SERVICES: Final = "SELECT count(*) FROM sqlite_master WHERE type = 'table' AND name = 'amends_service'"
ANY_SERVICE: Final = "SELECT 1 FROM amends_service LIMIT 1"

# Inbox

RECEIVE: Final = """
INSERT INTO amends_inbox (consumer, event_id, saga_id, state, updated_at) VALUES (?, ?, ?, 'DONE', ?)
ON CONFLICT (consumer, event_id) DO NOTHING
"""

IS_BLOCKED: Final = """
SELECT 1 FROM amends_inbox
WHERE consumer = ? AND saga_id = ? AND number <> ? AND state <> 'DONE' LIMIT 1
"""

PUT_ASIDE: Final = """
UPDATE amends_inbox
SET state = ?, attempts = ?, error = ?, next_at = ?, subject = ?, headers = ?, data = ?, updated_at = ?
WHERE number = ?
"""

FINISH: Final = """
UPDATE amends_inbox
SET state = 'DONE', next_at = NULL, subject = NULL, headers = NULL, data = NULL, updated_at = ?
WHERE number = ?
"""

FINISH_DEAD: Final = """
UPDATE amends_inbox
SET state = 'DONE', error = coalesce(?4, error), subject = NULL, headers = NULL, data = NULL, updated_at = ?3
WHERE consumer = ?1 AND event_id = ?2 AND state = 'DEAD'
RETURNING saga_id
"""

RESUME_DEAD: Final = """
UPDATE amends_inbox SET state = 'WAITING', attempts = 0, next_at = ?3
WHERE consumer = ?1 AND event_id = ?2 AND state = 'DEAD'
"""

# The oldest event that waits behind others of its saga, unless one of these is still in its way.
UNPARK: Final = """
UPDATE amends_inbox SET state = 'WAITING', next_at = ?2
WHERE number = (
    SELECT min(number) FROM amends_inbox WHERE consumer = ?1 AND saga_id = ?3 AND state = 'PARKED'
) AND NOT EXISTS (
    SELECT 1 FROM amends_inbox WHERE consumer = ?1 AND saga_id = ?3 AND state IN ('WAITING', 'DEAD')
)
"""

GET_WAITING: Final = """
SELECT event_id, saga_id, attempts, subject, headers, data FROM amends_inbox
WHERE number = ? AND state = 'WAITING' AND next_at = ?
"""

DUE: Final = """
SELECT number, next_at, saga_id, subject, headers FROM amends_inbox
WHERE consumer = ? AND state = 'WAITING' AND next_at <= ? ORDER BY next_at LIMIT ?
"""

WAITING: Final = """
SELECT number, next_at, saga_id, subject, headers FROM amends_inbox
WHERE consumer = ? AND state = 'WAITING' ORDER BY number
"""

NEXT_DUE: Final = "SELECT min(next_at) FROM amends_inbox WHERE consumer = ? AND state = 'WAITING'"

COUNT_OPEN: Final = (
    "SELECT state, count(*) FROM amends_inbox WHERE consumer = ? AND state <> 'DONE' GROUP BY state"
)

# What is still open of a saga may ask for all that was remembered of it, however long that takes.
EXPIRE_INBOX: Final = """
DELETE FROM amends_inbox WHERE number IN (
    SELECT number FROM amends_inbox WHERE state = 'DONE' AND updated_at < ?
    AND saga_id NOT IN (SELECT saga_id FROM amends_inbox WHERE state <> 'DONE' AND saga_id <> '')
    ORDER BY updated_at LIMIT ?
)
"""

EXPIRE_FENCE: Final = """
DELETE FROM amends_fence WHERE rowid IN (
    SELECT rowid FROM amends_fence WHERE updated_at < ?
    AND saga_id NOT IN (SELECT saga_id FROM amends_inbox WHERE state <> 'DONE')
    ORDER BY updated_at LIMIT ?
)
"""

# Outbox

ENQUEUE: Final = """
INSERT INTO amends_outbox (event_id, saga_id, partition, subject, headers, data, created_at)
VALUES (?, ?, ?, ?, ?, ?, ?)
"""

# Unsent rows in order, but for those behind one of the same saga that waits or is dead.
UNSENT: Final = """
SELECT number, event_id, saga_id, subject, headers, data, attempts FROM amends_outbox AS row
WHERE partition IN (SELECT value FROM json_each(?1)) AND sent_at IS NULL AND NOT EXISTS (
    SELECT 1 FROM amends_outbox AS stuck
    WHERE stuck.saga_id = row.saga_id AND stuck.sent_at IS NULL AND stuck.attempts > 0
    AND stuck.number <= row.number AND (stuck.not_before > ?2 OR stuck.dead_at IS NOT NULL)
)
ORDER BY number LIMIT ?3
"""

LAST: Final = "SELECT coalesce(max(number), 0) FROM amends_outbox"

SINCE: Final = """
SELECT event_id, saga_id, subject, headers, data FROM amends_outbox WHERE number > ? ORDER BY number
"""

MARK_SENT: Final = "UPDATE amends_outbox SET sent_at = ?, bus_stream = ?, bus_sequence = ? WHERE number = ?"

MARK_REFUSED: Final = """
UPDATE amends_outbox SET attempts = attempts + 1, last_error = ?, not_before = ?, dead_at = ? WHERE number = ?
"""

REVIVE: Final = """
UPDATE amends_outbox SET attempts = 0, not_before = 0, dead_at = NULL
WHERE sent_at IS NULL AND dead_at IS NOT NULL
"""

BACKLOG: Final = "SELECT count(*), min(created_at), count(dead_at) FROM amends_outbox WHERE sent_at IS NULL"

EXPIRE_OUTBOX: Final = """
DELETE FROM amends_outbox WHERE number IN (
    SELECT number FROM amends_outbox WHERE sent_at IS NOT NULL AND sent_at < ? ORDER BY sent_at LIMIT ?
)
"""

# Leases

LEASES: Final = "SELECT partition, owner, epoch, until FROM amends_relay"

TAKE_LEASE: Final = """
INSERT INTO amends_relay (partition, owner, epoch, until) VALUES (?1, ?2, 1, ?3)
ON CONFLICT (partition) DO UPDATE SET
    epoch = epoch + (owner <> ?2),
    owner = ?2,
    until = ?3
RETURNING epoch
"""

GIVE_UP_LEASES: Final = "UPDATE amends_relay SET until = 0 WHERE owner = ?"
