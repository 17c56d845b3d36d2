"""Bounds of requests, each with its reason. docs/settings.md lists them for users."""

MAX_PAYLOAD = 1 << 20
"""Bytes of an input: it is stored, and sent with every attempt. Larger things belong elsewhere."""

MAX_TYPE_URL = 512
"""Characters of a payload's type: a name with its packages, sent along with every attempt."""

MAX_STEP_INPUTS = 4 << 20
"""Bytes of all step inputs together: they are one row of the log."""

MAX_LABELS = 64
"""Labels of a saga: each is a row of an index."""

MAX_SHOWN_ID = 256
"""Characters of the id of a choreographed saga, which its services have chosen."""

MAX_STATES = 8
"""States that a list asks for: there are five, and a client may name one twice."""

MAX_LABEL_VALUE = 256
"""Characters of a label's value: it is for finding, not for keeping."""

MAX_WORDS = 1_024
"""Characters of a reason: a paragraph for the log."""

MAX_PAGE = 1_000
"""Entries of a page: a page is one message, held in memory on both sides."""

DEFAULT_PAGE = 50
"""Entries of a page if the request does not say: about a screenful."""

MAX_WAIT = 3_600.0
"""Seconds that a start waits for its end; whoever waits longer asks again. An hour is longer than
proxies keep an idle connection."""

MAX_MESSAGE = 16 << 20
"""Bytes of a message: a request with every input at its limit, or a batch of smaller ones."""

FIRST_MOMENT, LAST_MOMENT = -62_135_596_800, 253_402_300_799
"""The years 1 to 9999, which google.protobuf.Timestamp keeps to, in seconds since the epoch."""
