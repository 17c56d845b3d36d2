package example.payments;

import java.util.Map;

/** Says that an action will not be done, for a reason of its domain. It is an answer, and remembered. */
final class Rejection extends Exception {
    private static final long serialVersionUID = 1L;

    /** For programs, such as INSUFFICIENT_FUNDS. */
    final String reason;

    /** Further facts, for programs. */
    final transient Map<String, String> metadata;

    Rejection(String reason, String message, Map<String, String> metadata) {
        super(message);
        this.reason = reason;
        this.metadata = metadata;
    }
}
