package example.payments;

import amends.v1.CompensateRequest;
import amends.v1.CompensateResponse;
import amends.v1.Rejected;
import amends.v1.TryRequest;
import amends.v1.TryResponse;
import com.google.protobuf.Any;
import example.payments.Decision.Row;
import example.payments.Decision.State;
import io.grpc.Status;
import java.io.IOException;
import java.io.InputStream;
import java.nio.charset.StandardCharsets;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.sql.Connection;
import java.sql.SQLException;
import java.util.Map;
import org.sqlite.SQLiteConfig;
import org.sqlite.SQLiteConfig.JournalMode;
import org.sqlite.SQLiteConfig.SynchronousMode;

/**
 * Has every effect happen at most once and be undone at most once, whatever is delivered twice, late, or in the wrong
 * order. It remembers what each step has done, in the same transaction as the effect.
 */
final class Fence implements AutoCloseable {
    /** Milliseconds to wait for another process that writes to the file. */
    private static final int BUSY_TIMEOUT_MS = 5_000;

    private static final CompensateResponse COMPENSATED = CompensateResponse.newBuilder()
            .setCompensated(CompensateResponse.Compensated.getDefaultInstance())
            .build();

    private final Connection db;
    private final FenceRows rows;

    /**
     * Applies the effect of a Try, and returns its result. A Rejection turns the Try down; any other exception fails
     * the call. Either way what it wrote is taken back.
     */
    @FunctionalInterface
    interface Do {
        Any apply(Connection db) throws Rejection, SQLException;
    }

    /** Takes back what a Do has done, given its result. */
    @FunctionalInterface
    interface Undo {
        void apply(Connection db, Any result) throws SQLException;
    }

    @FunctionalInterface
    private interface Work<T> {
        T run() throws SQLException, IOException;
    }

    /** Opens a SQLite file, and makes the tables of the fence and of the participant where there are none. */
    Fence(String path, String participantSchema) throws SQLException, IOException {
        SQLiteConfig config = new SQLiteConfig();
        config.setJournalMode(JournalMode.WAL);
        config.setSynchronous(SynchronousMode.FULL); // a reply leaves when its effect is on disk
        config.enforceForeignKeys(true);
        config.setBusyTimeout(BUSY_TIMEOUT_MS);
        db = config.createConnection("jdbc:sqlite:" + path);
        rows = new FenceRows(db);
        execute(resource("fence.sql"));
        execute(participantSchema);
    }

    @Override
    public synchronized void close() throws SQLException {
        db.close();
    }

    /** Answers a Try: by doing it, or by what the fence remembers. */
    TryResponse answerTry(TryRequest request, Do effect) throws SQLException, IOException {
        return inTransaction(() -> {
            Row row = rows.get(request.getSagaId(), request.getStep());
            byte[] hash = hashOf(request.getInput());
            return switch (Decision.onTry(row, request.getAction(), hash)) {
                case RUN -> {
                    TryResponse answer = attempt(effect);
                    State state = answer.hasRejected() ? State.REJECTED : State.TRIED;
                    Row made = new Row(state, request.getAction(), hash, answer.toByteArray());
                    rows.put(request.getSagaId(), request.getStep(), made);
                    yield answer;
                }
                case REPEAT -> TryResponse.parseFrom(row.answer());
                case REFUSE_LATE -> rejected("ALREADY_COMPENSATED", "the step was compensated before", Map.of());
                default -> throw reused(request.getSagaId(), request.getStep());
            };
        });
    }

    /** Answers a Compensate: by undoing what was done, or by what the fence remembers. */
    CompensateResponse answerCompensate(CompensateRequest request, Undo undo) throws SQLException, IOException {
        return inTransaction(() -> {
            Row row = rows.get(request.getSagaId(), request.getStep());
            return switch (Decision.onCompensate(row, request.getAction(), request.hasResult())) {
                case BURY -> {
                    Row made = new Row(State.TOMBSTONE, request.getAction(), new byte[0], new byte[0]);
                    rows.put(request.getSagaId(), request.getStep(), made);
                    yield COMPENSATED;
                }
                case UNDO -> {
                    // The result is the one that was stored: the coordinator may never have learned it.
                    undo.apply(db, TryResponse.parseFrom(row.answer()).getSucceeded().getResult());
                    rows.markCompensated(request.getSagaId(), request.getStep());
                    yield COMPENSATED;
                }
                case CONFIRM -> COMPENSATED;
                case REFUSE_LOST -> refused("FENCE_LOST", "the step took effect, and its fence has forgotten it");
                default -> throw reused(request.getSagaId(), request.getStep());
            };
        });
    }

    /**
     * Commits if the work throws nothing, and only then. SQLite has one writer at a time: calls of other threads wait
     * here, and all of them share one connection.
     *
     * It says BEGIN itself, as the driver, without auto-commit, would begin the next transaction with every commit, and
     * keep the file locked while there is nothing to do. IMMEDIATE takes the write lock at once: what a decision was
     * made upon stays true until it is committed, also where another process writes to the file.
     */
    private synchronized <T> T inTransaction(Work<T> work) throws SQLException, IOException {
        execute("BEGIN IMMEDIATE");
        try {
            T done = work.run();
            execute("COMMIT");
            return done;
        } catch (Throwable failure) {
            try {
                execute("ROLLBACK");
            } catch (SQLException second) { // after some errors, a full disk for one, SQLite has rolled back by itself
                failure.addSuppressed(second);
            }
            throw failure;
        }
    }

    /** Does it at a savepoint, so that a rejection takes back what was written and can itself be stored. */
    private TryResponse attempt(Do effect) throws SQLException {
        execute("SAVEPOINT effect");
        try {
            var succeeded = TryResponse.Succeeded.newBuilder().setResult(effect.apply(db));
            return TryResponse.newBuilder().setSucceeded(succeeded).build();
        } catch (Rejection rejection) {
            execute("ROLLBACK TO effect");
            return rejected(rejection.reason, rejection.getMessage(), rejection.metadata);
        }
    }

    private void execute(String sql) throws SQLException {
        try (var statement = db.createStatement()) {
            statement.executeUpdate(sql);
        }
    }

    private static TryResponse rejected(String reason, String message, Map<String, String> metadata) {
        var rejected = Rejected.newBuilder().setReason(reason).setMessage(message).putAllMetadata(metadata);
        return TryResponse.newBuilder().setRejected(rejected).build();
    }

    private static CompensateResponse refused(String reason, String message) {
        var refused = CompensateResponse.Refused.newBuilder().setReason(reason).setMessage(message);
        return CompensateResponse.newBuilder().setRefused(refused).build();
    }

    private static RuntimeException reused(String saga, String step) {
        String message = "step '%s' of saga '%s' was used for something else".formatted(step, saga);
        return Status.INVALID_ARGUMENT.withDescription(message).asRuntimeException();
    }

    /** Tells one input from another. The type is part of it: the same bytes mean something else in another one. */
    private static byte[] hashOf(Any input) {
        try {
            MessageDigest digest = MessageDigest.getInstance("SHA-256");
            digest.update((input.getTypeUrl() + "\0").getBytes(StandardCharsets.UTF_8));
            return digest.digest(input.getValue().toByteArray());
        } catch (NoSuchAlgorithmException impossible) {
            throw new IllegalStateException("every Java has SHA-256", impossible);
        }
    }

    /** Reads a file that is packed with the program. */
    static String resource(String name) throws IOException {
        try (InputStream stream = Fence.class.getResourceAsStream("/" + name)) {
            return new String(stream.readAllBytes(), StandardCharsets.UTF_8);
        }
    }
}
