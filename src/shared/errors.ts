/**
 * The one base class of errors that Lockstep raises on purpose.
 *
 * `kind` alone decides what happens next (DESIGN §5, "Errors"); nobody reads message text to decide:
 * - `transient`: the same thing may work later; retried for ever with back-off, never dead-lettered;
 * - `batch`: everything in this place fails alike (missing table, permission, disk full); the shard stops and says why;
 * - `row`: one change can't be applied; it is isolated and dead-lettered;
 * - `fenced`: somebody else moved the position; drop what is in memory and read the position again;
 * - `config`: wrong configuration, exit code 78;
 * - `usage`: wrong use of a command, exit code 2;
 * - `bug`: an invariant of ours is broken, exit code 70.
 */
export type ErrorKind = 'transient' | 'batch' | 'row' | 'fenced' | 'config' | 'usage' | 'bug';

export interface ErrorOptionsOfLockstep {
  readonly code: string;
  readonly kind: ErrorKind;
  /** What the reader can do about it, one sentence. */
  readonly remedy?: string;
  readonly cause?: unknown;
  /** Of a `row` error: the key text of the row that is probably at fault. A guess, to be tried before it is believed … */
  readonly suspect?: string | undefined;
  /** … but where the target itself said for certain which row it was. */
  readonly isSuspectProven?: boolean;
  /** Of a `row` error: columns at fault, by their names in the source; empty where nobody knows. */
  readonly columns?: readonly string[];
}

/** An error with a documented `code`, a `kind` that decides what happens, and a remedy for the person who reads it. */
export class LockstepError extends Error {
  readonly code: string;
  readonly kind: ErrorKind;
  readonly remedy: string | undefined;
  readonly suspect: string | undefined;
  readonly isSuspectProven: boolean;
  readonly columns: readonly string[];

  constructor(message: string, options: ErrorOptionsOfLockstep) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.name = 'LockstepError';
    this.code = options.code;
    this.kind = options.kind;
    this.remedy = options.remedy;
    this.suspect = options.suspect;
    this.isSuspectProven = options.isSuspectProven ?? false;
    this.columns = options.columns ?? [];
  }
}

/** The message of anything thrown, with the messages of its causes behind it. */
export function messageOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  const parts = [error.message];
  if (error instanceof AggregateError && error.message === '') parts[0] = error.errors.map(messageOf).join('; ');
  if (error.cause !== undefined) {
    const cause = messageOf(error.cause);
    // A message that was made from its cause says it already.
    if (!parts[0]?.includes(cause)) parts.push(cause);
  }
  return parts.filter((part) => part !== '').join(': ');
}
