/** Payloads here are JSON objects: a google.protobuf.Struct in a google.protobuf.Any. */

import { fromBinary, fromJson, toBinary, toJson, type JsonObject } from "@bufbuild/protobuf";
import { StructSchema } from "@bufbuild/protobuf/wkt";
import { status } from "@grpc/grpc-js";

import type { Any } from "./gen/google/protobuf/any.js";
import { StatusError } from "./status.js";

const STRUCT = "type.googleapis.com/google.protobuf.Struct";

/** Makes a payload of a JSON object. */
export function pack(object: JsonObject): Any {
  return { typeUrl: STRUCT, value: Buffer.from(toBinary(StructSchema, fromJson(StructSchema, object))) };
}

/** Reads a field of text. Throws INVALID_ARGUMENT: no retry can help. */
export function textOf(payload: Any | undefined, field: string): string {
  const text = fieldOf(payload, field);
  if (typeof text === "string") return text;
  throw malformed(field, "text");
}

/** Reads a field of money. Throws INVALID_ARGUMENT. */
export function centsOf(payload: Any | undefined, field: string): number {
  const cents = fieldOf(payload, field);
  if (typeof cents === "number" && Number.isSafeInteger(cents) && cents > 0) return cents;
  throw malformed(field, "a whole number above zero");
}

function fieldOf(payload: Any | undefined, field: string): unknown {
  if (payload?.typeUrl !== STRUCT) return undefined;
  return (toJson(StructSchema, fromBinary(StructSchema, payload.value)) as JsonObject)[field];
}

function malformed(field: string, expected: string): StatusError {
  return new StatusError(
    status.INVALID_ARGUMENT,
    `the payload must be a JSON object with '${field}', ${expected}`,
  );
}
