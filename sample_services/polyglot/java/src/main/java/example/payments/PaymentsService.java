package example.payments;

import amends.v1.ActionDescription;
import amends.v1.CompensateRequest;
import amends.v1.CompensateResponse;
import amends.v1.DescribeRequest;
import amends.v1.DescribeResponse;
import amends.v1.ParticipantGrpc;
import amends.v1.TryRequest;
import amends.v1.TryResponse;
import com.google.protobuf.Any;
import com.google.protobuf.Struct;
import example.payments.Accounts.Step;
import io.grpc.Status;
import io.grpc.StatusRuntimeException;
import io.grpc.stub.StreamObserver;
import java.util.concurrent.Callable;
import java.util.regex.Pattern;

/**
 * The participant: one action, charge, which takes the price of reserved goods from an account. There is no Exchange,
 * so the base class answers it with UNIMPLEMENTED.
 */
final class PaymentsService extends ParticipantGrpc.ParticipantImplBase {
    private static final System.Logger LOG = System.getLogger("payments");
    private static final String ACTION = "charge";
    private static final Pattern ID = Pattern.compile("[A-Za-z0-9._:~-]{1,128}");

    private final Fence fence;

    PaymentsService(Fence fence) {
        this.fence = fence;
    }

    @Override
    public void describe(DescribeRequest request, StreamObserver<DescribeResponse> observer) {
        answer(observer, () -> DescribeResponse.newBuilder()
                .setParticipant("payments")
                .addActions(ActionDescription.newBuilder()
                        .setName(ACTION)
                        .setInputType("google.protobuf.Struct")
                        .setResultType("google.protobuf.Struct")
                        .setCompensatable(true)
                        .setDescription("Takes the price of the reserved goods from an account."))
                .build());
    }

    @Override
    public void try_(TryRequest request, StreamObserver<TryResponse> observer) {
        answer(observer, () -> {
            admit(request.getSagaId(), request.getStep(), request.getAction());
            return fence.answerTry(request, db -> {
                String account = Payload.text(request.getInput(), "account");
                Any reserved = request.getResultsOrDefault("reserve", Any.getDefaultInstance());
                long cents = Payload.cents(reserved, "total");
                Accounts.charge(db, new Step(request.getSagaId(), request.getStep()), account, cents);
                return Any.pack(Struct.newBuilder().putFields("cents", Payload.of(cents)).build());
            });
        });
    }

    @Override
    public void compensate(CompensateRequest request, StreamObserver<CompensateResponse> observer) {
        answer(observer, () -> {
            admit(request.getSagaId(), request.getStep(), request.getAction());
            return fence.answerCompensate(request, (db, charged) -> {
                String account = Payload.text(request.getInput(), "account");
                long cents = Payload.cents(charged, "cents");
                Accounts.refund(db, new Step(request.getSagaId(), request.getStep()), account, cents);
            });
        });
    }

    /** Turns away what the contract does not allow, before anything is remembered of it. */
    private static void admit(String saga, String step, String action) {
        checkId("saga_id", saga);
        checkId("step", step);
        if (!action.equals(ACTION)) {
            String message = "there is no action '%s'; there is '%s'".formatted(action, ACTION);
            throw Status.UNIMPLEMENTED.withDescription(message).asRuntimeException();
        }
    }

    private static void checkId(String field, String value) {
        if (!ID.matcher(value).matches()) {
            String message = field + " must be 1 to 128 characters of A-Z, a-z, 0-9 and ._:~-";
            throw Status.INVALID_ARGUMENT.withDescription(message).asRuntimeException();
        }
    }

    /**
     * Answers a unary RPC. A status is meant as it is; everything else, a database in trouble for one, says nothing
     * about the effect, so that the call is repeated.
     */
    private static <T> void answer(StreamObserver<T> observer, Callable<T> work) {
        T response;
        try {
            response = work.call();
        } catch (StatusRuntimeException status) {
            observer.onError(status);
            return;
        } catch (Exception failure) {
            LOG.log(System.Logger.Level.ERROR, "a call failed", failure);
            String message = "the call failed; the log of payments says why";
            observer.onError(Status.INTERNAL.withDescription(message).asRuntimeException());
            return;
        }
        observer.onNext(response);
        observer.onCompleted();
    }
}
