"""The statements of the fence on SQLite.

Each transaction statement carries a comment: the connection keeps prepared statements by their text, and
only ours may begin or end a transaction (see `SqliteLedger`).
"""

from typing import Final

BEGIN: Final = "BEGIN IMMEDIATE /* amends */"
COMMIT: Final = "COMMIT /* amends */"
ROLLBACK: Final = "ROLLBACK /* amends */"
SAVEPOINT: Final = "SAVEPOINT amends_call"
RELEASE: Final = "RELEASE amends_call"
UNDO: Final = "ROLLBACK TO amends_call"

GET: Final = "SELECT state, action, input_hash, answer FROM amends_fence WHERE saga_id = ? AND step = ?"

PUT: Final = """
INSERT INTO amends_fence (saga_id, step, state, action, input_hash, answer, updated_at)
VALUES (?, ?, ?, ?, ?, ?, ?)
ON CONFLICT (saga_id, step) DO UPDATE SET
    state = excluded.state,
    action = excluded.action,
    input_hash = excluded.input_hash,
    answer = excluded.answer,
    updated_at = excluded.updated_at
"""

EXPIRE: Final = """
DELETE FROM amends_fence WHERE rowid IN (
    SELECT rowid FROM amends_fence WHERE updated_at < ? ORDER BY updated_at LIMIT ?
)
"""

CHECK_SHAPE: Final = (
    "SELECT saga_id, step, state, action, input_hash, answer, updated_at FROM amends_fence LIMIT 0"
)
READ_VERSION: Final = "SELECT version FROM amends_fence_version"
WRITE_VERSION: Final = "INSERT INTO amends_fence_version (version) VALUES (?)"
