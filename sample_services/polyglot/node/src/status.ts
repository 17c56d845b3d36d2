import { status } from "@grpc/grpc-js";

/** Fails a call with a status of our choice, which the coordinator reads by the table in the contract. */
export class StatusError extends Error {
  constructor(
    readonly code: status,
    readonly details: string,
  ) {
    super(details);
  }
}
