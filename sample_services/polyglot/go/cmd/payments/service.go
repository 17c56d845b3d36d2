package main

import (
	"context"
	"database/sql"
	"errors"
	"io"
	"log"
	"math"
	"regexp"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/structpb"

	"example.com/payments/accounts"
	pb "example.com/payments/amends/v1"
	"example.com/payments/fence"
)

const charge = "charge"

var id = regexp.MustCompile(`^[A-Za-z0-9._:~-]{1,128}$`)

// service offers one action: charge, which takes the price of reserved goods from an account.
type service struct {
	pb.UnimplementedParticipantServer
	fence *fence.Fence
}

func (s *service) Describe(context.Context, *pb.DescribeRequest) (*pb.DescribeResponse, error) {
	return &pb.DescribeResponse{
		Participant: "payments",
		Actions: []*pb.ActionDescription{{
			Name:          charge,
			InputType:     "google.protobuf.Struct",
			ResultType:    "google.protobuf.Struct",
			Compensatable: true,
			Description:   "Takes the price of the reserved goods from an account.",
		}},
	}, nil
}

func (s *service) Try(ctx context.Context, request *pb.TryRequest) (*pb.TryResponse, error) {
	if err := admit(request.SagaId, request.Step, request.Action); err != nil {
		return nil, err
	}
	answer, err := s.fence.Try(ctx, request, func(tx *sql.Tx) (*anypb.Any, error) {
		account, err := textOf(request.Input, "account")
		if err != nil {
			return nil, err
		}
		cents, err := centsOf(request.Results["reserve"], "total")
		if err != nil {
			return nil, err
		}
		if err := accounts.Charge(tx, accounts.Step{Saga: request.SagaId, Name: request.Step}, account, cents); err != nil {
			return nil, err
		}
		return anypb.New(&structpb.Struct{Fields: map[string]*structpb.Value{
			"cents": structpb.NewNumberValue(float64(cents)),
		}})
	})
	return answer, asStatus(err)
}

func (s *service) Compensate(ctx context.Context, request *pb.CompensateRequest) (*pb.CompensateResponse, error) {
	if err := admit(request.SagaId, request.Step, request.Action); err != nil {
		return nil, err
	}
	answer, err := s.fence.Compensate(ctx, request, func(tx *sql.Tx, charged *anypb.Any) error {
		account, err := textOf(request.Input, "account")
		if err != nil {
			return err
		}
		cents, err := centsOf(charged, "cents")
		if err != nil {
			return err
		}
		return accounts.Refund(tx, accounts.Step{Saga: request.SagaId, Name: request.Step}, account, cents)
	})
	return answer, asStatus(err)
}

// Exchange answers the calls of a message one after the other, and all of them in one message. This saves what a
// unary RPC costs, not what a transaction does; without Exchange a coordinator makes unary calls.
func (s *service) Exchange(stream pb.Participant_ExchangeServer) error {
	for {
		message, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		replies := make([]*pb.ExchangeResponse_Reply, 0, len(message.Calls))
		for _, call := range message.Calls {
			replies = append(replies, s.reply(stream.Context(), call))
		}
		if err := stream.Send(&pb.ExchangeResponse{Replies: replies}); err != nil {
			return err
		}
	}
}

func (s *service) reply(ctx context.Context, call *pb.ExchangeRequest_Call) *pb.ExchangeResponse_Reply {
	reply := &pb.ExchangeResponse_Reply{Number: call.Number}
	var err error
	switch request := call.Request.(type) {
	case *pb.ExchangeRequest_Call_TryRequest:
		var answer *pb.TryResponse
		if answer, err = s.Try(ctx, request.TryRequest); err == nil {
			reply.Result = &pb.ExchangeResponse_Reply_TryResponse{TryResponse: answer}
		}
	case *pb.ExchangeRequest_Call_CompensateRequest:
		var answer *pb.CompensateResponse
		if answer, err = s.Compensate(ctx, request.CompensateRequest); err == nil {
			reply.Result = &pb.ExchangeResponse_Reply_CompensateResponse{CompensateResponse: answer}
		}
	default:
		err = status.Error(codes.InvalidArgument, "the call is neither a Try nor a Compensate")
	}
	if err != nil {
		reply.Result = &pb.ExchangeResponse_Reply_Error{Error: status.Convert(err).Proto()}
	}
	return reply
}

// admit turns away what the contract does not allow, before anything is remembered of it.
func admit(saga, step, action string) error {
	switch {
	case !id.MatchString(saga):
		return status.Error(codes.InvalidArgument, "saga_id must be 1 to 128 characters of A-Z, a-z, 0-9 and ._:~-")
	case !id.MatchString(step):
		return status.Error(codes.InvalidArgument, "step must be 1 to 128 characters of A-Z, a-z, 0-9 and ._:~-")
	case action != charge:
		return status.Errorf(codes.Unimplemented, "there is no action %q; there is %q", action, charge)
	}
	return nil
}

// asStatus says of an error what the coordinator should make of it. A status is meant as it is; everything else,
// a database in trouble for one, says nothing about the effect, so that the call is repeated.
func asStatus(err error) error {
	if err == nil {
		return nil
	}
	if _, ok := status.FromError(err); ok {
		return err
	}
	log.Printf("payments: a call failed: %v", err)
	return status.Error(codes.Internal, "the call failed; the log of payments says why")
}

// The payloads are JSON objects, as google.protobuf.Struct.

func textOf(payload *anypb.Any, field string) (string, error) {
	if text, ok := fieldOf(payload, field).GetKind().(*structpb.Value_StringValue); ok {
		return text.StringValue, nil
	}
	return "", malformed(field, "text")
}

func centsOf(payload *anypb.Any, field string) (int64, error) {
	number := fieldOf(payload, field).GetNumberValue()
	if number >= 1 && number <= 1<<53 && number == math.Trunc(number) {
		return int64(number), nil
	}
	return 0, malformed(field, "a whole number above zero")
}

func fieldOf(payload *anypb.Any, field string) *structpb.Value {
	var object structpb.Struct
	if payload.UnmarshalTo(&object) != nil {
		return nil
	}
	return object.Fields[field]
}

func malformed(field, expected string) error {
	return status.Errorf(codes.InvalidArgument, "the payload must be a JSON object with %q, %s", field, expected)
}
