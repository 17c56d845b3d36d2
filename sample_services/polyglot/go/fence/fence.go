// Package fence has every effect happen at most once and be undone at most once, whatever is delivered twice,
// late, or in the wrong order. It remembers what each step has done, in the same transaction as the effect.
package fence

import (
	"context"
	"crypto/sha256"
	"database/sql"
	_ "embed"
	"errors"
	"fmt"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"

	pb "example.com/payments/amends/v1"

	_ "modernc.org/sqlite" // the driver "sqlite"
)

//go:embed fence.sql
var schema string

// Immediate transactions take the write lock when they begin: what a decision was made upon then stays true until
// it is committed. A reply leaves when its effect is on disk, hence synchronous=FULL.
const options = "?_txlock=immediate&_pragma=busy_timeout(5000)&_pragma=journal_mode(WAL)" +
	"&_pragma=synchronous(FULL)&_pragma=foreign_keys(1)"

// Rejection says that an action will not be done, for a reason of its domain. It is an answer, and remembered.
type Rejection struct {
	Reason   string // for programs, such as INSUFFICIENT_FUNDS
	Message  string // for people
	Metadata map[string]string
}

func (r *Rejection) Error() string { return r.Reason + ": " + r.Message }

// Do applies the effect of a Try. A *Rejection turns the Try down; any other error fails the call. Either way
// what it wrote is taken back.
type Do func(tx *sql.Tx) (*anypb.Any, error)

// Undo takes back what a Do has done, given its result.
type Undo func(tx *sql.Tx, result *anypb.Any) error

// Fence keeps its rows in the database of the effects.
type Fence struct{ db *sql.DB }

// Open opens a SQLite file, and makes the tables of the fence and of the participant where there are none.
func Open(path, participantSchema string) (*Fence, error) {
	db, err := sql.Open("sqlite", "file:"+path+options)
	if err != nil {
		return nil, err
	}
	// SQLite has one writer at a time. With one connection the others wait here, in the order they came.
	db.SetMaxOpenConns(1)
	if _, err := db.Exec(schema + participantSchema); err != nil {
		return nil, errors.Join(fmt.Errorf("%s is no database of this participant: %w", path, err), db.Close())
	}
	return &Fence{db}, nil
}

// Close closes the file.
func (f *Fence) Close() error { return f.db.Close() }

// Try answers a Try: by doing it, or by what the fence remembers.
func (f *Fence) Try(ctx context.Context, request *pb.TryRequest, do Do) (*pb.TryResponse, error) {
	var answer *pb.TryResponse
	err := f.inTransaction(ctx, func(tx *sql.Tx) (err error) {
		found, err := get(tx, request.SagaId, request.Step)
		if err != nil {
			return err
		}
		hash := hashOf(request.Input)
		switch decideTry(found, request.Action, hash) {
		case run:
			if answer, err = attempt(tx, do); err != nil {
				return err
			}
			return putTried(tx, request, hash, answer)
		case repeat:
			answer = new(pb.TryResponse)
			return proto.Unmarshal(found.answer, answer)
		case refuseLate:
			answer = rejectedWith(&Rejection{Reason: "ALREADY_COMPENSATED", Message: "the step was compensated before"})
			return nil
		default: // refuseReuse
			return reused(request.SagaId, request.Step)
		}
	})
	return answer, err
}

// Compensate answers a Compensate: by undoing what was done, or by what the fence remembers.
func (f *Fence) Compensate(
	ctx context.Context, request *pb.CompensateRequest, back Undo,
) (*pb.CompensateResponse, error) {
	answer := &pb.CompensateResponse{
		Outcome: &pb.CompensateResponse_Compensated_{Compensated: &pb.CompensateResponse_Compensated{}},
	}
	err := f.inTransaction(ctx, func(tx *sql.Tx) error {
		found, err := get(tx, request.SagaId, request.Step)
		if err != nil {
			return err
		}
		switch decideCompensate(found, request.Action, request.Result != nil) {
		case bury:
			return putTombstone(tx, request)
		case undo:
			// The result is the one that was stored: the coordinator may never have learned it.
			var given pb.TryResponse
			if err := proto.Unmarshal(found.answer, &given); err != nil {
				return err
			}
			if err := back(tx, given.GetSucceeded().GetResult()); err != nil {
				return err
			}
			return putCompensated(tx, request)
		case refuseLost:
			answer = refusedWith("FENCE_LOST", "the step took effect, and its fence has forgotten it")
			return nil
		case refuseReuse:
			return reused(request.SagaId, request.Step)
		default: // confirm
			return nil
		}
	})
	return answer, err
}

// inTransaction commits if the work returns no error, and only then.
func (f *Fence) inTransaction(ctx context.Context, work func(tx *sql.Tx) error) error {
	tx, err := f.db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer tx.Rollback() // does nothing once it is committed
	if err := work(tx); err != nil {
		return err
	}
	return tx.Commit()
}

// attempt does it at a savepoint, so that a rejection takes back what was written and can itself be stored.
func attempt(tx *sql.Tx, do Do) (*pb.TryResponse, error) {
	if _, err := tx.Exec("SAVEPOINT effect"); err != nil {
		return nil, err
	}
	result, err := do(tx)
	var rejection *Rejection
	if errors.As(err, &rejection) {
		_, err := tx.Exec("ROLLBACK TO effect")
		return rejectedWith(rejection), err
	}
	if err != nil {
		return nil, err
	}
	succeeded := &pb.TryResponse_Succeeded{Result: result}
	return &pb.TryResponse{Outcome: &pb.TryResponse_Succeeded_{Succeeded: succeeded}}, nil
}

// hashOf tells one input from another. The type is part of it: the same bytes mean something else in another one.
func hashOf(input *anypb.Any) []byte {
	hash := sha256.New()
	hash.Write([]byte(input.GetTypeUrl() + "\x00"))
	hash.Write(input.GetValue())
	return hash.Sum(nil)
}

func rejectedWith(r *Rejection) *pb.TryResponse {
	rejected := &pb.Rejected{Reason: r.Reason, Message: r.Message, Metadata: r.Metadata}
	return &pb.TryResponse{Outcome: &pb.TryResponse_Rejected{Rejected: rejected}}
}

func refusedWith(reason, message string) *pb.CompensateResponse {
	refused := &pb.CompensateResponse_Refused{Reason: reason, Message: message}
	return &pb.CompensateResponse{Outcome: &pb.CompensateResponse_Refused_{Refused: refused}}
}

func reused(saga, step string) error {
	return status.Errorf(codes.InvalidArgument, "step %q of saga %q was used for something else", step, saga)
}
