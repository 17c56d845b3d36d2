"""Every bound of the core, with its reason."""

NAME_PATTERN = r"[A-Za-z0-9._:~-]{1,128}"
"""Ids and names: they travel in metadata, file names, labels of metrics and command lines, so they are kept
to characters that need no escaping anywhere."""

NAME_FORM = "1 to 128 characters of A-Z, a-z, 0-9, '.', '_', ':', '~' and '-'"
"""NAME_PATTERN for people."""

MAX_STEPS = 1_000
"""Steps of a definition: a saga is held in memory whole, and nobody reviews a longer list."""

MAX_FAULTS = 20
"""Faults of one thing that are told: more help nobody, and to list them all would let a small request keep
everybody else waiting."""

MAX_TIMEOUT_STEP = 3_600.0
"""Seconds one attempt may take; work that takes longer answers pending."""

MAX_TIMEOUT_SAGA = 366 * 86_400.0
"""Seconds a saga may go forward: a year, leap years included."""

MIN_DURATION = 0.001
"""Seconds; nothing shorter can be kept on a busy machine."""

MAX_ATTEMPTS = 1_000_000
"""Attempts of a step: more is 'for ever', which is what retriable steps are for."""

MAX_BACKOFF = 86_400.0
"""Seconds between two attempts."""

MAX_MULTIPLIER = 100.0
"""Growth of the wait between attempts."""

COMPENSATION_MAX_BACKOFF = 60.0
"""Seconds between two attempts of a compensation, which is repeated for ever: rare enough not to hurt a
participant that is down, often enough that nobody waits long once it is back."""

COMPENSATION_ATTENTION = 10
"""Failed attempts of a compensation after which an operator should know: with the default policy the tenth
fails within a minute of the first."""

DEFAULT_PENDING = 1.0
"""Seconds before a pending step is asked again if the participant does not say."""

METHOD_PATTERN = r"(?=.{1,512}$)[A-Za-z_][A-Za-z0-9_]*(\.[A-Za-z_][A-Za-z0-9_]*)*/[A-Za-z_][A-Za-z0-9_]*"
"""Methods of services: names of protobuf, in no more characters than a type may have."""

METHOD_FORM = "PACKAGE.SERVICE/METHOD, such as shop.v1.Shipping/ShipOrder, in at most 512 characters"
"""METHOD_PATTERN for people."""

TYPE_PATTERN = r"(?=.{1,512}$)[A-Za-z_][A-Za-z0-9_]*(\.[A-Za-z_][A-Za-z0-9_]*)*"
"""Types of messages, in no more characters than a payload's type may have."""

TYPE_FORM = "the full name of a protobuf message, such as shop.v1.Order, in at most 512 characters"
"""TYPE_PATTERN for people."""

REASON_PATTERN = r"[A-Z][A-Z0-9_]{0,61}[A-Z0-9]"
"""Reasons of rejections, as google.rpc.ErrorInfo has them."""

REASON_FORM = "2 to 63 characters of A-Z, 0-9 and '_', such as CARD_DECLINED"
"""REASON_PATTERN for people."""

MAX_EXPRESSION = 16 << 10
"""Bytes of an expression: longer ones hide a program that belongs in a service."""

MAX_EXPRESSIONS = 4_000
"""Expressions of a definition, four for each of a thousand steps: all are checked while somebody waits, which
takes a tenth of a millisecond for a short one, and 25 for the longest."""

MAX_RULES = 32
"""Rules of a step about how its attempts end in one direction: gRPC has 17 status codes."""

MAX_DESCRIPTORS = 256 << 10
"""Bytes of the descriptors that are kept with a definition and with each of its sagas. A message of ten
fields takes 300."""
