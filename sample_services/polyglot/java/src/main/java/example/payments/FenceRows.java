package example.payments;

import example.payments.Decision.Row;
import example.payments.Decision.State;
import java.sql.Connection;
import java.sql.SQLException;

/** The rows of the table amends_fence. */
record FenceRows(Connection db) {
    Row get(String saga, String step) throws SQLException {
        String query = "SELECT state, action, input_hash, answer FROM amends_fence WHERE saga_id = ? AND step = ?";
        try (var statement = db.prepareStatement(query)) {
            statement.setString(1, saga);
            statement.setString(2, step);
            try (var found = statement.executeQuery()) {
                return found.next()
                        ? new Row(
                                State.valueOf(found.getString(1)),
                                found.getString(2),
                                found.getBytes(3),
                                found.getBytes(4))
                        : null;
            }
        }
    }

    void put(String saga, String step, Row row) throws SQLException {
        String insert = "INSERT INTO amends_fence (saga_id, step, state, action, input_hash, answer)"
                + " VALUES (?, ?, ?, ?, ?, ?)";
        try (var statement = db.prepareStatement(insert)) {
            statement.setString(1, saga);
            statement.setString(2, step);
            statement.setString(3, row.state().name());
            statement.setString(4, row.action());
            statement.setBytes(5, row.inputHash());
            statement.setBytes(6, row.answer());
            statement.executeUpdate();
        }
    }

    void markCompensated(String saga, String step) throws SQLException {
        String update = "UPDATE amends_fence SET state = 'COMPENSATED' WHERE saga_id = ? AND step = ?";
        try (var statement = db.prepareStatement(update)) {
            statement.setString(1, saga);
            statement.setString(2, step);
            statement.executeUpdate();
        }
    }
}
