"""The statements of the SQLite store: read from sql/queries.sql, where each has a name and its purpose."""

from importlib import resources

SQL = resources.files(__package__).joinpath("sql")


def _parse(script: str) -> dict[str, str]:
    """Splits a script at the lines ``-- name: ...``; a line of purpose follows each, and what stands before
    the first is about all of them."""
    found = {}
    for part in script.split("\n-- name: ")[1:]:
        name, _purpose, statement = part.split("\n", 2)
        found[name] = statement.strip()
    return found


NAMED = _parse(SQL.joinpath("queries.sql").read_text("utf-8"))
"""Every statement by its name."""

APPEND_BATCH = NAMED["append_batch"]
READ_LOG = NAMED["read_log"]
READ_LOGS = NAMED["read_logs"]
FIND_PLACE = NAMED["find_place"]
FIND_UNFINISHED = NAMED["find_unfinished"]
PUT_TO_SLEEP = NAMED["put_to_sleep"]
NEXT_WAKE_TIME = NAMED["next_wake_time"]
FIND_DUE = NAMED["find_due"]
WAKE = NAMED["wake"]
GET_ROW = NAMED["get_row"]
LIST_BY_STATE = NAMED["list_by_state"]
LIST_ENDED_BY_DEFINITION = NAMED["list_ended_by_definition"]
LIST_BY_ATTENTION = NAMED["list_by_attention"]
LIST_BY_LABEL = NAMED["list_by_label"]
CENSUS = NAMED["census"]
REMOVE_ENDED = NAMED["remove_ended"]
PUT_DEFINITION = NAMED["put_definition"]
GET_DEFINITION = NAMED["get_definition"]
GET_NEWEST_DEFINITION = NAMED["get_newest_definition"]
LIST_DEFINITIONS = NAMED["list_definitions"]
