/** Serves the participant: node dist/payments.js [--listen HOST:PORT] [--store FILE] */

import { parseArgs } from "node:util";

import { Server, ServerCredentials } from "@grpc/grpc-js";

import { SCHEMA } from "./accounts/accounts.js";
import { Fence } from "./fence/fence.js";
import { ParticipantService } from "./gen/amends/v1/participant.js";
import { service } from "./service.js";

const { values } = parseArgs({
  options: {
    listen: { type: "string", default: "127.0.0.1:50052" },
    store: { type: "string", default: "payments.db" },
  },
});

const fence = new Fence(values.store, SCHEMA);
const server = new Server();
server.addService(ParticipantService, service(fence));

function stop(): void {
  server.forceShutdown(); // no transaction is under way: this runs between two of them
  fence.close();
}

server.bindAsync(values.listen, ServerCredentials.createInsecure(), (error) => {
  if (error) {
    console.error(`payments: ${error.message}`);
    process.exitCode = 1;
    stop();
    return;
  }
  process.once("SIGINT", stop).once("SIGTERM", stop);
  console.log(`payments: listening on ${values.listen}`);
});
