package example.payments;

import java.sql.Connection;
import java.sql.SQLException;
import java.util.Map;

/** The rules of payments: what is charged, when it is refused, and what is given back. */
final class Accounts {
    private Accounts() {}

    /** On whose behalf an entry is made. */
    record Step(String saga, String name) {}

    /** Takes money from an account, or throws a Rejection. */
    static void charge(Connection db, Step step, String account, long cents) throws Rejection, SQLException {
        long balance = balance(db, account);
        if (balance < cents) {
            throw new Rejection(
                    "INSUFFICIENT_FUNDS",
                    "account %s has %s, the order costs %s".formatted(account, euros(balance), euros(cents)),
                    Map.of("missing_cents", Long.toString(cents - balance)));
        }
        enter(db, step, account, -cents);
    }

    /** Gives back what was taken. */
    static void refund(Connection db, Step step, String account, long cents) throws SQLException {
        enter(db, step, account, cents);
    }

    private static long balance(Connection db, String account) throws Rejection, SQLException {
        try (var statement = db.prepareStatement("SELECT balance FROM account WHERE id = ?")) {
            statement.setString(1, account);
            try (var found = statement.executeQuery()) {
                if (!found.next()) {
                    throw new Rejection("UNKNOWN_ACCOUNT", "there is no account " + account, Map.of());
                }
                return found.getLong(1);
            }
        }
    }

    private static void enter(Connection db, Step step, String account, long cents) throws SQLException {
        try (var statement = db.prepareStatement("UPDATE account SET balance = balance + ? WHERE id = ?")) {
            statement.setLong(1, cents);
            statement.setString(2, account);
            statement.executeUpdate();
        }
        String insert = "INSERT INTO entry (saga, step, account, cents) VALUES (?, ?, ?, ?)";
        try (var statement = db.prepareStatement(insert)) {
            statement.setString(1, step.saga());
            statement.setString(2, step.name());
            statement.setString(3, account);
            statement.setLong(4, cents);
            statement.executeUpdate();
        }
    }

    private static String euros(long cents) {
        return "%d.%02d EUR".formatted(cents / 100, cents % 100);
    }
}
