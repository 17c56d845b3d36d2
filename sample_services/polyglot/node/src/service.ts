/** The participant: one action, charge, which takes the price of reserved goods from an account. */

import {
  status,
  type handleUnaryCall,
  type ServerDuplexStream,
  type UntypedServiceImplementation,
} from "@grpc/grpc-js";

import { charge, refund } from "./accounts/accounts.js";
import type { Fence } from "./fence/fence.js";
import type {
  CompensateRequest,
  CompensateResponse,
  DescribeResponse,
  ExchangeRequest,
  ExchangeRequest_Call,
  ExchangeResponse,
  ExchangeResponse_Reply,
  TryRequest,
  TryResponse,
} from "./gen/amends/v1/participant.js";
import { centsOf, pack, textOf } from "./payload.js";
import { StatusError } from "./status.js";

const ACTION = "charge";

const ID = /^[A-Za-z0-9._:~-]{1,128}$/;

/** Returns what answers the calls. */
export function service(fence: Fence): UntypedServiceImplementation {
  return {
    describe: unary(describe),
    try: unary((request: TryRequest) => answerTry(fence, request)),
    compensate: unary((request: CompensateRequest) => answerCompensate(fence, request)),
    exchange: (stream: ServerDuplexStream<ExchangeRequest, ExchangeResponse>) => exchange(fence, stream),
  };
}

function describe(): DescribeResponse {
  const action = {
    name: ACTION,
    inputType: "google.protobuf.Struct",
    resultType: "google.protobuf.Struct",
    compensatable: true,
    description: "Takes the price of the reserved goods from an account.",
  };
  return { participant: "payments", actions: [action] };
}

function answerTry(fence: Fence, request: TryRequest): TryResponse {
  admit(request);
  return fence.try(request, (db) => {
    const cents = centsOf(request.results["reserve"], "total");
    charge(db, request, textOf(request.input, "account"), cents);
    return pack({ cents });
  });
}

function answerCompensate(fence: Fence, request: CompensateRequest): CompensateResponse {
  admit(request);
  return fence.compensate(request, (db, charged) => {
    refund(db, request, textOf(request.input, "account"), centsOf(charged, "cents"));
  });
}

/** Turns away what the contract does not allow, before anything is remembered of it. */
function admit({ sagaId, step, action }: TryRequest | CompensateRequest): void {
  for (const [field, value] of Object.entries({ saga_id: sagaId, step })) {
    if (!ID.test(value)) {
      const message = `${field} must be 1 to 128 characters of A-Z, a-z, 0-9 and ._:~-`;
      throw new StatusError(status.INVALID_ARGUMENT, message);
    }
  }
  if (action !== ACTION) {
    throw new StatusError(status.UNIMPLEMENTED, `there is no action '${action}'; there is '${ACTION}'`);
  }
}

/**
 * Answers the calls of a message one after the other, and all of them in one message. This saves what a unary RPC
 * costs, not what a transaction does. It may be left out: a coordinator then makes unary calls.
 */
function exchange(fence: Fence, stream: ServerDuplexStream<ExchangeRequest, ExchangeResponse>): void {
  stream.on("data", ({ calls }: ExchangeRequest) =>
    stream.write({ replies: calls.map((call) => reply(fence, call)) }),
  );
  stream.on("end", () => stream.end());
}

function reply(fence: Fence, { number, request }: ExchangeRequest_Call): ExchangeResponse_Reply {
  try {
    switch (request?.$case) {
      case "tryRequest":
        return { number, result: { $case: "tryResponse", value: answerTry(fence, request.value) } };
      case "compensateRequest":
        return {
          number,
          result: { $case: "compensateResponse", value: answerCompensate(fence, request.value) },
        };
      default:
        throw new StatusError(status.INVALID_ARGUMENT, "the call is neither a Try nor a Compensate");
    }
  } catch (error) {
    const { code, details } = asStatus(error);
    return { number, result: { $case: "error", value: { code, message: details, details: [] } } };
  }
}

function unary<Request, Response>(
  answer: (request: Request) => Response,
): handleUnaryCall<Request, Response> {
  return (call, callback) => {
    let response: Response;
    try {
      response = answer(call.request);
    } catch (error) {
      const { code, details } = asStatus(error);
      callback({ code, details });
      return;
    }
    callback(null, response);
  };
}

/**
 * Says of an error what the coordinator should make of it. A StatusError is meant as it is; everything else, a database
 * in trouble for one, says nothing about the effect, so that the call is repeated.
 */
function asStatus(error: unknown): StatusError {
  if (error instanceof StatusError) return error;
  console.error("payments: a call failed:", error);
  return new StatusError(status.INTERNAL, "the call failed; the log of payments says why");
}
