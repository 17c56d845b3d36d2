package example.payments;

import amends.v1.CancelSagaRequest;
import amends.v1.CoordinatorGrpc;
import amends.v1.CoordinatorGrpc.CoordinatorBlockingStub;
import amends.v1.Definition;
import amends.v1.Event;
import amends.v1.MethodCall;
import amends.v1.OutcomeRule;
import amends.v1.Saga;
import amends.v1.StartSagaRequest;
import amends.v1.Step;
import amends.v1.WatchSagaRequest;
import com.google.protobuf.Any;
import com.google.protobuf.Descriptors.FieldDescriptor;
import com.google.protobuf.Duration;
import com.google.protobuf.Message;
import com.google.protobuf.Struct;
import com.google.rpc.Code;
import io.grpc.Grpc;
import io.grpc.InsecureChannelCredentials;
import io.grpc.ManagedChannel;
import io.grpc.StatusRuntimeException;
import java.util.Map;
import java.util.concurrent.TimeUnit;

/** Starts, watches and cancels sagas: java -cp target/payments.jar example.payments.Client start SAGA_ID */
public final class Client {
    private static final String USAGE = "usage: client [--target HOST:PORT] [--account NAME] [--country XX]"
            + " start|watch|cancel SAGA_ID";

    private static final Map<String, String> OPTIONS =
            Map.of("target", "127.0.0.1:50051", "account", "ada", "country", "NL");

    /** How long one call may take, in seconds. A watch takes as long as its saga. */
    private static final int TIMEOUT_S = 10;

    /** Calls methods of a carrier that knows nothing of sagas. Expressions in CEL make the requests. */
    private static final Step SHIP = Step.newBuilder()
            .setName("ship")
            .setParticipant("shipping")
            .setTimeout(Duration.newBuilder().setSeconds(30))
            .setTryMethod(MethodCall.newBuilder().setMethod("acme.carrier.v1.Carrier/Book").setRequest("""
                    BookRequest{
                        order_ref: saga.id + ", worth " + string(int(results.charge.cents)) + " cents",
                        address: input.address + ", " + input.country,
                        weight_grams: int(results.reserve.quantity) * 250
                    }"""))
            .setCompensateMethod(MethodCall.newBuilder()
                    .setMethod("acme.carrier.v1.Carrier/CancelBooking")
                    .setRequest("CancelBookingRequest{booking_id: response.booking_id}"))
            // A booking that is not there any more is as good as cancelled.
            .addCompensateOutcomes(OutcomeRule.newBuilder()
                    .setCode(Code.NOT_FOUND)
                    .setOutcome(OutcomeRule.Outcome.SUCCEEDED))
            .build();

    /** The order saga: each step needs the one before it, and what is refused later undoes what was done. */
    private static final Definition ORDER = Definition.newBuilder()
            .setName("order")
            .setTimeout(Duration.newBuilder().setSeconds(120))
            .addSteps(Step.newBuilder().setName("reserve").setParticipant("inventory").setAction("reserve"))
            .addSteps(Step.newBuilder().setName("charge").setParticipant("payments").setAction("charge"))
            .addSteps(SHIP)
            .build();

    private final CoordinatorBlockingStub coordinator;

    private Client(ManagedChannel channel) {
        coordinator = CoordinatorGrpc.newBlockingStub(channel);
    }

    public static void main(String[] given) {
        System.exit(run(given));
    }

    private static int run(String[] given) {
        Arguments arguments;
        try {
            arguments = Arguments.parse(given, OPTIONS);
        } catch (IllegalArgumentException mistake) {
            return fail(mistake.getMessage() + "; " + USAGE, 2);
        }
        if (arguments.words().size() != 2) {
            return fail(USAGE, 2);
        }
        String saga = arguments.words().get(1);
        ManagedChannel channel = Grpc.newChannelBuilder(arguments.get("target"), InsecureChannelCredentials.create())
                .build();
        try {
            Client client = new Client(channel);
            switch (arguments.words().get(0)) {
                case "start" -> client.start(saga, arguments.get("account"), arguments.get("country"));
                case "watch" -> client.watch(saga);
                case "cancel" -> client.cancel(saga);
                default -> {
                    return fail(USAGE, 2);
                }
            }
            return 0;
        } catch (StatusRuntimeException failure) {
            return fail(failure.getMessage(), 1);
        } finally {
            channel.shutdownNow();
        }
    }

    /** Starts a saga. Its id is the caller's: a start that is repeated, since no answer came, is the same saga. */
    private void start(String saga, String account, String country) {
        Struct input = Struct.newBuilder()
                .putFields("sku", Payload.of("tea-green"))
                .putFields("quantity", Payload.of(2))
                .putFields("account", Payload.of(account))
                .putFields("address", Payload.of("Herengracht 1"))
                .putFields("country", Payload.of(country))
                .build();
        show(inTime().startSaga(StartSagaRequest.newBuilder()
                .setSagaId(saga)
                .setDefinition(ORDER)
                .setInput(Any.pack(input))
                .build()));
    }

    /** Prints what happened to a saga so far, and then what happens, until it ends. */
    private void watch(String saga) {
        WatchSagaRequest request = WatchSagaRequest.newBuilder().setSagaId(saga).build();
        coordinator.watchSaga(request).forEachRemaining(event -> System.out.println(told(event)));
    }

    /** Asks a saga to turn back. It goes on after the answer: watch tells how it ends. */
    private void cancel(String saga) {
        show(inTime().cancelSaga(CancelSagaRequest.newBuilder()
                .setSagaId(saga)
                .setReason("the customer changed their mind")
                .build()));
    }

    private CoordinatorBlockingStub inTime() {
        return coordinator.withDeadlineAfter(TIMEOUT_S, TimeUnit.SECONDS);
    }

    /** Names the fact of an event, as the contract does, and, where it is about one, the step. */
    private static String told(Event event) {
        FieldDescriptor fact = event.getOneofFieldDescriptor(Event.getDescriptor().getOneofs().get(0));
        if (fact == null) {
            return event.getSequence() + " a fact that this client is too old to know";
        }
        FieldDescriptor step = fact.getMessageType().findFieldByName("step");
        String name = step == null ? "" : " " + ((Message) event.getField(fact)).getField(step);
        return event.getSequence() + " " + fact.getName() + name;
    }

    private static void show(Saga saga) {
        System.out.println(saga.getId() + " " + saga.getState());
    }

    private static int fail(String message, int status) {
        System.err.println("client: " + message);
        return status;
    }
}
