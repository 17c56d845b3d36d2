package fence

import (
	"database/sql"
	"errors"

	"google.golang.org/protobuf/proto"

	pb "example.com/payments/amends/v1"
)

func get(tx *sql.Tx, saga, step string) (found row, err error) {
	query := "SELECT state, action, input_hash, answer FROM amends_fence WHERE saga_id = ? AND step = ?"
	err = tx.QueryRow(query, saga, step).Scan(&found.state, &found.action, &found.hash, &found.answer)
	if errors.Is(err, sql.ErrNoRows) {
		return row{}, nil
	}
	return found, err
}

func putTried(tx *sql.Tx, request *pb.TryRequest, hash []byte, answer *pb.TryResponse) error {
	stored, err := proto.Marshal(answer)
	if err != nil {
		return err
	}
	state := tried
	if answer.GetRejected() != nil {
		state = rejected
	}
	return put(tx, request.SagaId, request.Step, row{state, request.Action, hash, stored})
}

func putTombstone(tx *sql.Tx, request *pb.CompensateRequest) error {
	return put(tx, request.SagaId, request.Step, row{tombstone, request.Action, []byte{}, []byte{}})
}

func putCompensated(tx *sql.Tx, request *pb.CompensateRequest) error {
	statement := "UPDATE amends_fence SET state = ? WHERE saga_id = ? AND step = ?"
	_, err := tx.Exec(statement, compensated, request.SagaId, request.Step)
	return err
}

func put(tx *sql.Tx, saga, step string, r row) error {
	statement := "INSERT INTO amends_fence (saga_id, step, state, action, input_hash, answer) VALUES (?, ?, ?, ?, ?, ?)"
	_, err := tx.Exec(statement, saga, step, r.state, r.action, r.hash, r.answer)
	return err
}
