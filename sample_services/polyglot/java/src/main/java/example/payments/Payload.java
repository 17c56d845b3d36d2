package example.payments;

import com.google.protobuf.Any;
import com.google.protobuf.InvalidProtocolBufferException;
import com.google.protobuf.Struct;
import com.google.protobuf.Value;
import io.grpc.Status;

/** Payloads here are JSON objects: a google.protobuf.Struct in a google.protobuf.Any. */
final class Payload {
    /** The greatest whole number up to which every one has a double of its own: JSON has no other numbers. */
    private static final double SAFE_MAX = 1L << 53;

    private Payload() {}

    static Value of(String text) {
        return Value.newBuilder().setStringValue(text).build();
    }

    static Value of(double number) {
        return Value.newBuilder().setNumberValue(number).build();
    }

    /** Reads a field of text. Fails with INVALID_ARGUMENT: no retry can help. */
    static String text(Any payload, String field) {
        Value value = field(payload, field);
        if (!value.hasStringValue()) {
            throw malformed(field, "text");
        }
        return value.getStringValue();
    }

    /** Reads a field of money. Fails with INVALID_ARGUMENT. */
    static long cents(Any payload, String field) {
        double number = field(payload, field).getNumberValue();
        if (number < 1 || number > SAFE_MAX || number != Math.rint(number)) {
            throw malformed(field, "a whole number above zero");
        }
        return (long) number;
    }

    private static Value field(Any payload, String field) {
        try {
            return payload.unpack(Struct.class).getFieldsOrDefault(field, Value.getDefaultInstance());
        } catch (InvalidProtocolBufferException notAnObject) {
            return Value.getDefaultInstance();
        }
    }

    private static RuntimeException malformed(String field, String expected) {
        String message = "the payload must be a JSON object with '%s', %s".formatted(field, expected);
        return Status.INVALID_ARGUMENT.withDescription(message).asRuntimeException();
    }
}
