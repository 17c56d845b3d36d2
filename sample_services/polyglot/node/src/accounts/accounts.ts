/** The rules of payments: what is charged, when it is refused, and what is given back. */

import { readFileSync } from "node:fs";

import { Rejection, type Database } from "../fence/fence.js";

/** Makes the ledger where there is none. */
export const SCHEMA = readFileSync(new URL("../../sql/schema.sql", import.meta.url), "utf8");

/** On whose behalf an entry is made. */
export interface Step {
  sagaId: string;
  step: string;
}

/** Takes money from an account, or throws a Rejection. */
export function charge(db: Database, step: Step, account: string, cents: number): void {
  const found = db.prepare("SELECT balance FROM account WHERE id = ?").get(account) as
    { balance: number } | undefined;
  if (!found) throw new Rejection("UNKNOWN_ACCOUNT", `there is no account ${account}`);
  if (found.balance < cents) {
    throw new Rejection(
      "INSUFFICIENT_FUNDS",
      `account ${account} has ${euros(found.balance)}, the order costs ${euros(cents)}`,
      { missing_cents: String(cents - found.balance) },
    );
  }
  enter(db, step, account, -cents);
}

/** Gives back what was taken. */
export function refund(db: Database, step: Step, account: string, cents: number): void {
  enter(db, step, account, cents);
}

function enter(db: Database, { sagaId, step }: Step, account: string, cents: number): void {
  db.prepare("UPDATE account SET balance = balance + ? WHERE id = ?").run(cents, account);
  db.prepare("INSERT INTO entry (saga, step, account, cents) VALUES (?, ?, ?, ?)").run(
    sagaId,
    step,
    account,
    cents,
  );
}

function euros(cents: number): string {
  return `${(cents / 100).toFixed(2)} EUR`;
}
