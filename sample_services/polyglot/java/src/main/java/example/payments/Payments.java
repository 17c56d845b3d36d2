package example.payments;

import io.grpc.Server;
import io.grpc.netty.shaded.io.grpc.netty.NettyServerBuilder;
import java.io.IOException;
import java.sql.SQLException;
import java.util.Map;

/** Serves the participant: java -jar target/payments.jar [--listen HOST:PORT] [--store FILE] */
public final class Payments {
    private static final Map<String, String> OPTIONS = Map.of("listen", "127.0.0.1:50052", "store", "payments.db");

    private Payments() {}

    public static void main(String[] given) {
        try {
            serve(Arguments.parse(given, OPTIONS));
        } catch (IllegalArgumentException | IOException | SQLException failure) {
            System.err.println("payments: " + failure.getMessage());
            System.exit(1);
        } catch (InterruptedException interrupted) {
            Thread.currentThread().interrupt();
        }
    }

    private static void serve(Arguments arguments) throws IOException, SQLException, InterruptedException {
        try (Fence fence = new Fence(arguments.get("store"), Fence.resource("schema.sql"))) {
            Server server = NettyServerBuilder.forAddress(arguments.address("listen"))
                    .addService(new PaymentsService(fence))
                    .build()
                    .start();
            // Calls under way are committed or not; either way their answers are known when they are repeated.
            Runtime.getRuntime().addShutdownHook(new Thread(server::shutdownNow));
            System.out.println("payments: listening on " + arguments.get("listen"));
            server.awaitTermination();
        }
    }
}
