// Command client starts, watches and cancels sagas at a coordinator.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"time"

	"google.golang.org/genproto/googleapis/rpc/code"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/structpb"

	pb "example.com/payments/amends/v1"
)

// timeout is how long one call may take. A watch takes as long as its saga.
const timeout = 10 * time.Second

// order is the order saga: each step needs the one before it, and what is refused later undoes what was done.
var order = &pb.Definition{
	Name:    "order",
	Timeout: durationpb.New(2 * time.Minute),
	Steps: []*pb.Step{
		{Name: "reserve", Participant: "inventory", Action: "reserve"},
		{Name: "charge", Participant: "payments", Action: "charge"},
		ship,
	},
}

// ship calls methods of a carrier that knows nothing of sagas. Expressions in CEL make the requests.
var ship = &pb.Step{
	Name:        "ship",
	Participant: "shipping",
	Timeout:     durationpb.New(30 * time.Second),
	TryMethod: &pb.MethodCall{
		Method: "acme.carrier.v1.Carrier/Book",
		Request: `BookRequest{
			order_ref: saga.id + ", worth " + string(int(results.charge.cents)) + " cents",
			address: input.address + ", " + input.country,
			weight_grams: int(results.reserve.quantity) * 250
		}`,
	},
	CompensateMethod: &pb.MethodCall{
		Method:  "acme.carrier.v1.Carrier/CancelBooking",
		Request: `CancelBookingRequest{booking_id: response.booking_id}`,
	},
	// A booking that is not there any more is as good as cancelled.
	CompensateOutcomes: []*pb.OutcomeRule{{Code: code.Code_NOT_FOUND, Outcome: pb.OutcomeRule_SUCCEEDED}},
}

func main() {
	target := flag.String("target", "127.0.0.1:50051", "the coordinator, as `HOST:PORT`")
	account := flag.String("account", "ada", "for start: who pays")
	country := flag.String("country", "NL", "for start: where the goods go")
	flag.Usage = func() {
		fmt.Fprintln(flag.CommandLine.Output(), "usage: client [flags] start|watch|cancel SAGA_ID")
		flag.PrintDefaults()
	}
	flag.Parse()
	command, saga := flag.Arg(0), flag.Arg(1)
	if flag.NArg() != 2 {
		flag.Usage()
		os.Exit(2)
	}
	if err := run(*target, command, saga, *account, *country); err != nil {
		fmt.Fprintln(os.Stderr, "client:", err)
		os.Exit(1)
	}
}

func run(target, command, saga, account, country string) error {
	connection, err := grpc.NewClient(target, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		return err
	}
	defer connection.Close()
	coordinator := pb.NewCoordinatorClient(connection)
	switch command {
	case "start":
		return start(coordinator, saga, account, country)
	case "watch":
		return watch(coordinator, saga)
	case "cancel":
		return cancel(coordinator, saga)
	}
	return fmt.Errorf("there is no command %q; there are start, watch and cancel", command)
}

// start starts a saga. Its id is the caller's: a start that is repeated, since no answer came, is the same saga.
func start(coordinator pb.CoordinatorClient, id, account, country string) error {
	ctx, done := context.WithTimeout(context.Background(), timeout)
	defer done()
	input, err := structpb.NewStruct(map[string]any{
		"sku": "tea-green", "quantity": 2, "account": account, "address": "Herengracht 1", "country": country,
	})
	if err != nil {
		return err
	}
	packed, err := anypb.New(input)
	if err != nil {
		return err
	}
	saga, err := coordinator.StartSaga(ctx, &pb.StartSagaRequest{
		SagaId: id,
		Source: &pb.StartSagaRequest_Definition{Definition: order},
		Input:  packed,
	})
	if err != nil {
		return err
	}
	fmt.Println(saga.Id, saga.State)
	return nil
}

// watch prints what happened to a saga so far, and then what happens, until it ends.
func watch(coordinator pb.CoordinatorClient, id string) error {
	events, err := coordinator.WatchSaga(context.Background(), &pb.WatchSagaRequest{SagaId: id})
	if err != nil {
		return err
	}
	for {
		event, err := events.Recv()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		fmt.Println(event.Sequence, told(event))
	}
}

// told names the fact of an event and, where it is about one, the step.
func told(event *pb.Event) string {
	message := event.ProtoReflect()
	fact := message.WhichOneof(message.Descriptor().Oneofs().ByName("fact"))
	if fact == nil {
		return "a fact that this client is too old to know"
	}
	if step := fact.Message().Fields().ByName("step"); step != nil {
		return fmt.Sprintf("%s %s", fact.Name(), message.Get(fact).Message().Get(step).String())
	}
	return string(fact.Name())
}

// cancel asks a saga to turn back. It goes on after the answer: watch tells how it ends.
func cancel(coordinator pb.CoordinatorClient, id string) error {
	ctx, done := context.WithTimeout(context.Background(), timeout)
	defer done()
	saga, err := coordinator.CancelSaga(ctx, &pb.CancelSagaRequest{SagaId: id, Reason: "the customer changed their mind"})
	if err != nil {
		return err
	}
	fmt.Println(saga.Id, saga.State)
	return nil
}
