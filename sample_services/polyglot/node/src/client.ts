/** Starts, watches and cancels sagas at a coordinator: node dist/client.js [options] start|watch|cancel SAGA_ID */

import { parseArgs } from "node:util";

import { credentials, Metadata, type CallOptions, type ServiceError } from "@grpc/grpc-js";

import {
  CancelSagaRequest,
  CoordinatorClient,
  StartSagaRequest,
  WatchSagaRequest,
} from "./gen/amends/v1/coordinator.js";
import type { Event } from "./gen/amends/v1/event.js";
import {
  Definition,
  OutcomeRule_Outcome,
  Saga_State,
  Step,
  type Saga,
} from "./gen/amends/v1/saga.js";
import { Code } from "./gen/google/rpc/code.js";
import { pack } from "./payload.js";

/** How long one call may take. A watch takes as long as its saga. */
const TIMEOUT_MS = 10_000;

/** Calls methods of a carrier that knows nothing of sagas. Expressions in CEL make the requests. */
const SHIP = Step.fromPartial({
  name: "ship",
  participant: "shipping",
  timeout: { seconds: 30 },
  tryMethod: {
    method: "acme.carrier.v1.Carrier/Book",
    request: `BookRequest{
      order_ref: saga.id + ", worth " + string(int(results.charge.cents)) + " cents",
      address: input.address + ", " + input.country,
      weight_grams: int(results.reserve.quantity) * 250
    }`,
  },
  compensateMethod: {
    method: "acme.carrier.v1.Carrier/CancelBooking",
    request: "CancelBookingRequest{booking_id: response.booking_id}",
  },
  // A booking that is not there any more is as good as cancelled.
  compensateOutcomes: [{ code: Code.NOT_FOUND, outcome: OutcomeRule_Outcome.SUCCEEDED }],
});

/** The order saga: each step needs the one before it, and what is refused later undoes what was done. */
const ORDER = Definition.fromPartial({
  name: "order",
  timeout: { seconds: 120 },
  steps: [
    { name: "reserve", participant: "inventory", action: "reserve" },
    { name: "charge", participant: "payments", action: "charge" },
    SHIP,
  ],
});

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    target: { type: "string", default: "127.0.0.1:50051" },
    account: { type: "string", default: "ada" },
    country: { type: "string", default: "NL" },
  },
});

const coordinator = new CoordinatorClient(values.target, credentials.createInsecure());

const COMMANDS: Record<string, (sagaId: string) => Promise<void>> = { start, watch, cancel };

/** Starts a saga. Its id is the caller's: a start that is repeated, since no answer came, is the same saga. */
async function start(sagaId: string): Promise<void> {
  const { account, country } = values;
  const request = StartSagaRequest.fromPartial({
    sagaId,
    source: { $case: "definition", value: ORDER },
    input: pack({ sku: "tea-green", quantity: 2, account, address: "Herengracht 1", country }),
  });
  show(await unary<Saga>((options, done) => coordinator.startSaga(request, new Metadata(), options, done)));
}

/** Prints what happened to a saga so far, and then what happens, until it ends. */
async function watch(sagaId: string): Promise<void> {
  const events: AsyncIterable<Event> = coordinator.watchSaga(WatchSagaRequest.fromPartial({ sagaId }));
  for await (const event of events) {
    console.log(event.sequence, told(event));
  }
}

/** Asks a saga to turn back. It goes on after the answer: watch tells how it ends. */
async function cancel(sagaId: string): Promise<void> {
  const request = CancelSagaRequest.fromPartial({ sagaId, reason: "the customer changed their mind" });
  show(await unary<Saga>((options, done) => coordinator.cancelSaga(request, new Metadata(), options, done)));
}

/** Names the fact of an event, as the contract does, and, where it is about one, the step. */
function told({ fact }: Event): string {
  if (!fact) return "a fact that this client is too old to know";
  const name = fact.$case.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);
  return "step" in fact.value ? `${name} ${fact.value.step}` : name;
}

function show(saga: Saga): void {
  console.log(saga.id, Saga_State[saga.state]);
}

/** Makes a promise of a unary call. */
function unary<T>(
  call: (options: Partial<CallOptions>, done: (error: ServiceError | null, response: T) => void) => void,
): Promise<T> {
  return new Promise((resolve, reject) => {
    call({ deadline: Date.now() + TIMEOUT_MS }, (error, response) =>
      error ? reject(error) : resolve(response),
    );
  });
}

const [command = "", sagaId] = positionals;
const run = COMMANDS[command];
if (run && sagaId) {
  try {
    await run(sagaId);
  } catch (error) {
    console.error("client:", error instanceof Error ? error.message : error);
    process.exitCode = 1;
  }
  coordinator.close();
} else {
  console.error(
    "usage: client [--target HOST:PORT] [--account NAME] [--country XX] start|watch|cancel SAGA_ID",
  );
  process.exitCode = 2;
}
