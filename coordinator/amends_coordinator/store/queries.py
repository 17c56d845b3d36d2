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
GET_POSITION = NAMED["get_position"]
PUT_POSITION = NAMED["put_position"]
PUT_TRACKED = NAMED["put_tracked"]
ADD_TRACKED_EVENT = NAMED["add_tracked_event"]
GET_TRACKED = NAMED["get_tracked"]
READ_TRACKED_LOGS = NAMED["read_tracked_logs"]
READ_TRACKED_LOG = NAMED["read_tracked_log"]
LIST_TRACKED_BY_STATE = NAMED["list_tracked_by_state"]
LIST_TRACKED_BY_DEFINITION = NAMED["list_tracked_by_definition"]
FIND_SILENT = NAMED["find_silent"]
FIND_TRACKED_UNFINISHED = NAMED["find_tracked_unfinished"]
TRACKED_CENSUS = NAMED["tracked_census"]
REMOVE_TRACKED = NAMED["remove_tracked"]
PUT_DEFINITION = NAMED["put_definition"]
GET_DEFINITION = NAMED["get_definition"]
GET_NEWEST_DEFINITION = NAMED["get_newest_definition"]
LIST_DEFINITIONS = NAMED["list_definitions"]
