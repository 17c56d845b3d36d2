/**
 * What a call means, given what its step has done already: the table that every promise rests on.
 *
 *     call        row                               deed
 *     Try         none                              run
 *     Try         TRIED or REJECTED, same input     repeat
 *     Try         TRIED or REJECTED, other input    refuse-reuse
 *     Try         COMPENSATED or TOMBSTONE          refuse-late
 *     Compensate  none                              bury; with a result of the Try: refuse-lost
 *     Compensate  TRIED                             undo; another action than was tried: refuse-reuse
 *     Compensate  REJECTED, COMPENSATED, TOMBSTONE  confirm
 *
 * A Compensate that brings a result without a row to it says that the Try took effect here, and that the fence has
 * forgotten: an older copy of the database was restored. Nobody may then take the effect for gone.
 */

export type State = "TRIED" | "REJECTED" | "COMPENSATED" | "TOMBSTONE";

/** What the fence knows of one step of one saga. */
export interface Row {
  state: State;
  /** The action that was tried. */
  action: string;
  /** The SHA-256 of the input's type and bytes. */
  inputHash: Uint8Array;
  /** The TryResponse that was given, as protobuf bytes. */
  answer: Uint8Array;
}

export type TryDeed =
  | "run" // do it, and remember the answer
  | "repeat" // give the answer that was given
  | "refuse-reuse" // fail: the key was used for something else
  | "refuse-late"; // reject: the step is compensated

export type CompensateDeed =
  | "bury" // remember that the Compensate came first
  | "undo" // undo it, and remember that
  | "refuse-reuse" // fail: the key was used for something else
  | "refuse-lost" // refuse: there was an effect, and the fence has forgotten it
  | "confirm"; // there is no effect, or none any more

const ON_TRY: Record<State | "NONE", TryDeed> = {
  NONE: "run",
  TRIED: "repeat",
  REJECTED: "repeat",
  COMPENSATED: "refuse-late",
  TOMBSTONE: "refuse-late",
};

const ON_COMPENSATE: Record<State | "NONE", CompensateDeed> = {
  NONE: "bury",
  TRIED: "undo",
  REJECTED: "confirm",
  COMPENSATED: "confirm",
  TOMBSTONE: "confirm",
};

/** Says what to do about a Try. The same input means the same action too: a key names one deed for ever. */
export function decideTry(row: Row | undefined, action: string, inputHash: Uint8Array): TryDeed {
  const deed = ON_TRY[row?.state ?? "NONE"];
  const isSame = row?.action === action && Buffer.compare(row.inputHash, inputHash) === 0;
  return deed === "repeat" && !isSame ? "refuse-reuse" : deed;
}

/** Says what to do about a Compensate. Its input is not compared: the Try has settled that. */
export function decideCompensate(row: Row | undefined, action: string, hasResult: boolean): CompensateDeed {
  const deed = ON_COMPENSATE[row?.state ?? "NONE"];
  if (deed === "bury" && hasResult) return "refuse-lost";
  if (deed === "undo" && row?.action !== action) return "refuse-reuse";
  return deed;
}
