/**
 * Has every effect happen at most once and be undone at most once, whatever is delivered twice, late, or in the
 * wrong order. It remembers what each step has done, in the same transaction as the effect.
 */

import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";

import { status } from "@grpc/grpc-js";
// The API of node:sqlite, for a Node that does not have it. From Node 22.13 on, import that instead.
import { DatabaseSync } from "@photostructure/sqlite";

import {
  TryResponse,
  type CompensateRequest,
  type CompensateResponse,
  type TryRequest,
} from "../gen/amends/v1/participant.js";
import { Any } from "../gen/google/protobuf/any.js";
import { StatusError } from "../status.js";
import { decideCompensate, decideTry, type Row, type State } from "./decision.js";

export type Database = InstanceType<typeof DatabaseSync>;

const SCHEMA = readFileSync(new URL("../../sql/fence.sql", import.meta.url), "utf8");

/** Says that an action will not be done, for a reason of its domain. It is an answer, and remembered. */
export class Rejection extends Error {
  /**
   * @param reason for programs, such as INSUFFICIENT_FUNDS
   * @param message for people
   */
  constructor(
    readonly reason: string,
    message: string,
    readonly metadata: Record<string, string> = {},
  ) {
    super(message);
  }
}

/**
 * Applies the effect of a Try, and returns its result. A Rejection turns the Try down; any other error fails the
 * call. Either way what it wrote is taken back.
 *
 * It is no async function, nor is anything else here: the event loop does nothing else while it runs, so no other
 * call comes between the statements of its transaction, which all share one connection.
 */
export type Do = (db: Database) => Any;

/** Takes back what a Do has done, given its result. */
export type Undo = (db: Database, result: Any | undefined) => void;

/** Keeps its rows in the database of the effects. */
export class Fence {
  readonly #db: Database;

  /** Opens a SQLite file, and makes the tables of the fence and of the participant where there are none. */
  constructor(path: string, participantSchema: string) {
    this.#db = new DatabaseSync(path, { timeout: 5_000 });
    // A reply leaves when its effect is on disk, hence FULL.
    this.#db.exec("PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA foreign_keys = ON");
    this.#db.exec(SCHEMA + participantSchema);
  }

  /** Closes the file. */
  close(): void {
    this.#db.close();
  }

  /** Answers a Try: by doing it, or by what the fence remembers. */
  try(request: TryRequest, effect: Do): TryResponse {
    return this.#inTransaction(() => {
      const row = this.#get(request);
      const inputHash = hashOf(request.input);
      switch (decideTry(row, request.action, inputHash)) {
        case "run": {
          const answer = this.#attempt(effect);
          const state = answer.outcome?.$case === "rejected" ? "REJECTED" : "TRIED";
          this.#put(request, state, inputHash, TryResponse.encode(answer).finish());
          return answer;
        }
        case "repeat":
          return TryResponse.decode(row!.answer);
        case "refuse-late":
          return rejectedWith(new Rejection("ALREADY_COMPENSATED", "the step was compensated before"));
        case "refuse-reuse":
          throw reused(request);
      }
    });
  }

  /** Answers a Compensate: by undoing what was done, or by what the fence remembers. */
  compensate(request: CompensateRequest, undo: Undo): CompensateResponse {
    return this.#inTransaction(() => {
      const row = this.#get(request);
      switch (decideCompensate(row, request.action, request.result !== undefined)) {
        case "bury":
          this.#put(request, "TOMBSTONE", new Uint8Array(), new Uint8Array());
          return COMPENSATED;
        case "undo": {
          // The result is the one that was stored: the coordinator may never have learned it.
          const { outcome } = TryResponse.decode(row!.answer);
          undo(this.#db, outcome?.$case === "succeeded" ? outcome.value.result : undefined);
          this.#markCompensated(request);
          return COMPENSATED;
        }
        case "refuse-lost":
          return refusedWith("FENCE_LOST", "the step took effect, and its fence has forgotten it");
        case "refuse-reuse":
          throw reused(request);
        case "confirm":
          return COMPENSATED;
      }
    });
  }

  /** Commits if the work throws nothing, and only then. */
  #inTransaction<T>(work: () => T): T {
    // It takes the write lock at once: what a decision was made upon stays true until it is committed, also where
    // another process writes to the file.
    this.#db.exec("BEGIN IMMEDIATE");
    try {
      const done = work();
      this.#db.exec("COMMIT");
      return done;
    } catch (error) {
      // After some errors, a full disk for one, SQLite has rolled back by itself.
      if (this.#db.isTransaction) this.#db.exec("ROLLBACK");
      throw error;
    }
  }

  /** Does it at a savepoint, so that a rejection takes back what was written and can itself be stored. */
  #attempt(effect: Do): TryResponse {
    this.#db.exec("SAVEPOINT effect");
    try {
      return { outcome: { $case: "succeeded", value: { result: effect(this.#db) } } };
    } catch (error) {
      if (!(error instanceof Rejection)) throw error;
      this.#db.exec("ROLLBACK TO effect");
      return rejectedWith(error);
    }
  }

  #get({ sagaId, step }: Key): Row | undefined {
    return this.#db
      .prepare(
        "SELECT state, action, input_hash AS inputHash, answer FROM amends_fence WHERE saga_id = ? AND step = ?",
      )
      .get(sagaId, step) as Row | undefined;
  }

  #put({ sagaId, step, action }: Key, state: State, inputHash: Uint8Array, answer: Uint8Array): void {
    this.#db
      .prepare(
        "INSERT INTO amends_fence (saga_id, step, state, action, input_hash, answer) VALUES (?, ?, ?, ?, ?, ?)",
      )
      .run(sagaId, step, state, action, inputHash, answer);
  }

  #markCompensated({ sagaId, step }: Key): void {
    this.#db
      .prepare("UPDATE amends_fence SET state = 'COMPENSATED' WHERE saga_id = ? AND step = ?")
      .run(sagaId, step);
  }
}

type Key = Pick<TryRequest, "sagaId" | "step" | "action">;

const COMPENSATED: CompensateResponse = { outcome: { $case: "compensated", value: {} } };

/** Tells one input from another. The type is part of it: the same bytes mean something else in another one. */
function hashOf(input: Any | undefined): Uint8Array {
  const { typeUrl, value } = input ?? Any.create();
  return createHash("sha256").update(`${typeUrl}\0`).update(value).digest();
}

function rejectedWith({ reason, message, metadata }: Rejection): TryResponse {
  return { outcome: { $case: "rejected", value: { reason, message, metadata } } };
}

function refusedWith(reason: string, message: string): CompensateResponse {
  return { outcome: { $case: "refused", value: { reason, message } } };
}

function reused({ sagaId, step }: Key): StatusError {
  return new StatusError(
    status.INVALID_ARGUMENT,
    `step '${step}' of saga '${sagaId}' was used for something else`,
  );
}
