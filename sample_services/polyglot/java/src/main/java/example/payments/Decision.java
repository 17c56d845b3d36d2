package example.payments;

import java.util.Arrays;

/**
 * What a call means, given what its step has done already: the table that every promise rests on.
 *
 * <pre>
 * call        row                               deed
 * Try         none                              RUN
 * Try         TRIED or REJECTED, same input     REPEAT
 * Try         TRIED or REJECTED, other input    REFUSE_REUSE
 * Try         COMPENSATED or TOMBSTONE          REFUSE_LATE
 * Compensate  none                              BURY; with a result of the Try: REFUSE_LOST
 * Compensate  TRIED                             UNDO; another action than was tried: REFUSE_REUSE
 * Compensate  REJECTED, COMPENSATED, TOMBSTONE  CONFIRM
 * </pre>
 *
 * A Compensate that brings a result without a row to it says that the Try took effect here, and that the fence has
 * forgotten: an older copy of the database was restored. Nobody may then take the effect for gone.
 */
final class Decision {
    private Decision() {}

    enum State {
        TRIED,
        REJECTED,
        COMPENSATED,
        TOMBSTONE
    }

    enum Deed {
        /** Do it, and remember the answer. */
        RUN,
        /** Give the answer that was given. */
        REPEAT,
        /** Fail: the key was used for something else. */
        REFUSE_REUSE,
        /** Reject: the step is compensated. */
        REFUSE_LATE,
        /** Remember that the Compensate came first. */
        BURY,
        /** Undo it, and remember that. */
        UNDO,
        /** Refuse: there was an effect, and the fence has forgotten it. */
        REFUSE_LOST,
        /** There is no effect, or none any more. */
        CONFIRM
    }

    /** What the fence knows of one step of one saga: the hash of its input, and the TryResponse as bytes. */
    record Row(State state, String action, byte[] inputHash, byte[] answer) {}

    /** Says what to do about a Try. The same input means the same action too: a key names one deed for ever. */
    static Deed onTry(Row row, String action, byte[] inputHash) {
        if (row == null) {
            return Deed.RUN;
        }
        boolean same = row.action.equals(action) && Arrays.equals(row.inputHash, inputHash);
        return switch (row.state) {
            case TRIED, REJECTED -> same ? Deed.REPEAT : Deed.REFUSE_REUSE;
            case COMPENSATED, TOMBSTONE -> Deed.REFUSE_LATE;
        };
    }

    /** Says what to do about a Compensate. Its input is not compared: the Try has settled that. */
    static Deed onCompensate(Row row, String action, boolean hasResult) {
        if (row == null) {
            return hasResult ? Deed.REFUSE_LOST : Deed.BURY;
        }
        return switch (row.state) {
            case TRIED -> row.action.equals(action) ? Deed.UNDO : Deed.REFUSE_REUSE;
            case REJECTED, COMPENSATED, TOMBSTONE -> Deed.CONFIRM;
        };
    }
}
