"""What the test kit raises beside the errors of the SDK."""

from amends.errors import AmendsError


class StuckError(AmendsError):
    """No saga came to an end in a very long time of the coordinator's clock; the message says what they
    wait for. Usually a compensation fails each time, or a handler answers Pending for ever."""
