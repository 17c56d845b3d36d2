/** The participant: one action, charge, which takes the price of reserved goods from an account. */

import { status, type handleUnaryCall, type UntypedServiceImplementation } from "@grpc/grpc-js";

import { charge, refund } from "./accounts/accounts.js";
import type { Fence } from "./fence/fence.js";
import type {
  CompensateRequest,
  CompensateResponse,
  DescribeResponse,
  TryRequest,
  TryResponse,
} from "./gen/amends/v1/participant.js";
import { centsOf, pack, textOf } from "./payload.js";
import { StatusError } from "./status.js";

const ACTION = "charge";

const ID = /^[A-Za-z0-9._:~-]{1,128}$/;

/** Returns what answers the calls. There is no Exchange, so grpc-js answers it with UNIMPLEMENTED. */
export function service(fence: Fence): UntypedServiceImplementation {
  return {
    describe: unary(describe),
    try: unary((request: TryRequest) => answerTry(fence, request)),
    compensate: unary((request: CompensateRequest) => answerCompensate(fence, request)),
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
 * Answers a unary RPC. A StatusError is meant as it is; everything else, a database in trouble for one, says nothing
 * about the effect, so that the call is repeated.
 */
function unary<Request, Response>(
  answer: (request: Request) => Response,
): handleUnaryCall<Request, Response> {
  return (call, callback) => {
    let response: Response;
    try {
      response = answer(call.request);
    } catch (error) {
      if (error instanceof StatusError) {
        callback({ code: error.code, details: error.details });
      } else {
        console.error("payments: a call failed:", error);
        callback({ code: status.INTERNAL, details: "the call failed; the log of payments says why" });
      }
      return;
    }
    callback(null, response);
  };
}
