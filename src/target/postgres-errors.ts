import { LockstepError, messageOf, type ErrorKind } from '../shared/errors.ts';

/** What PostgreSQL tells of an error, as `pg` passes it on. */
export interface PostgresFault {
  readonly code?: string;
  readonly detail?: string;
  readonly column?: string;
  readonly constraint?: string;
  readonly schema?: string;
  readonly table?: string;
}

/** What is known beside PostgreSQL's own words of a row that it refused (row-refusal.ts). */
export interface RefusalFacts {
  readonly suspect: string | null;
  readonly isSuspectProven: boolean;
  /** Columns at fault: as the target names them, and those of them that are mapped as the source does. */
  readonly targetColumns: readonly string[];
  readonly columns: readonly string[];
}

/** Socket errors of Node: the server is not there, or went away. */
const CONNECTION_CODES = new Set([
  'ECONNREFUSED',
  'ECONNRESET',
  'EPIPE',
  'ETIMEDOUT',
  'ENOTFOUND',
  'EHOSTUNREACH',
  'ENETUNREACH',
  'EAI_AGAIN',
  'ENOENT',
]);

/** Exact SQLSTATEs that differ from their class (DESIGN §5, "Errors"). */
export const BY_STATE: Readonly<Record<string, ErrorKind>> = {
  '40001': 'transient', // serialization_failure
  '40P01': 'transient', // deadlock_detected
  '55P03': 'transient', // lock_not_available (lock_timeout)
  '57014': 'transient', // query_canceled (statement_timeout)
  '25P03': 'transient', // idle_in_transaction_session_timeout
  '25006': 'transient', // read_only_sql_transaction: a standby answers during failover
  '53300': 'transient', // too_many_connections
  '53200': 'transient', // out_of_memory
  '42501': 'batch', // insufficient_privilege
  '53100': 'batch', // disk_full
  '54000': 'row', // program_limit_exceeded: this value is too large
  P0001: 'row', // raise_exception: a trigger refuses this row
};

/** SQLSTATE classes. What is in neither table is `batch`: nothing is dead-lettered by guess. */
export const BY_CLASS: Readonly<Record<string, ErrorKind>> = {
  '08': 'transient', // connection exceptions
  '57': 'transient', // operator intervention: shutting down, starting up
  '22': 'row', // data exceptions
  '23': 'row', // integrity constraint violations
};

export const REMEDY: Readonly<Record<string, string>> = {
  '42P01': 'create the target table: `lockstep schema apply`',
  '42703': 'add the column to the target: `lockstep schema plan` shows the statement',
  '42501': 'grant the privilege; `lockstep doctor` lists what is missing',
  '53100': 'free disk space on the PostgreSQL server; the shard goes on by itself',
  '28P01': 'correct the password in target.postgres.url',
  '3D000': 'create the database that target.postgres.url names',
  '23502': 'the source has no value for a NOT NULL column: drop the constraint or give the rows a value in the source',
  '23503': 'the row refers to one that is not there (yet)',
  '23514': 'the value breaks a CHECK of the target: correct the source or the constraint',
};

/** The documented code: `STATEMENT_TIMEOUT` has a name of its own because the consumer counts it (DESIGN §5). */
function codeOf(state: string | undefined): string {
  if (state === undefined) return 'PG_CONNECTION';
  return state === '57014' ? 'STATEMENT_TIMEOUT' : `PG_${state}`;
}

/** Where a control table itself is missing or older than this version, the target's remedies would mislead. */
const CONTROL_REMEDY: Readonly<Record<string, string>> = {
  '42P01': 'the first start of `lockstep run` makes the control tables; is target.postgres.controlSchema their schema?',
  '3F000': 'the first start of `lockstep run` makes the control schema; is target.postgres.controlSchema right?',
  '42703': 'start `lockstep run` of this version once: it brings the control tables up to date',
  '23514': 'start `lockstep run` of this version once: it brings the control tables up to date',
};

/**
 * PostgreSQL's DETAIL without values: reasons are logged and shown to people who may not see them, and the record itself
 * has them (`lockstep dlq show`). A failing row is left out, of keys the columns stay.
 */
function detailOf({ detail }: PostgresFault): string {
  if (detail === undefined || detail.startsWith('Failing row contains')) return '';
  return `; ${detail.replace(/^Key \((.*?)\)=\(.*\) /s, 'Key ($1) ')}`;
}

/**
 * Turns whatever `pg` threw into a LockstepError whose kind decides what happens next. By SQLSTATE and socket code, never
 * by message text. `control` = the statement touched only `_cdc_*`: its integrity errors are faults of the place, not of a row.
 * `facts`: what was found out about the row that was refused.
 */
export function classifyPostgresError(
  error: unknown,
  action: string,
  control = false,
  facts: RefusalFacts | null = null,
): LockstepError {
  if (error instanceof LockstepError) return error;
  const fault = (error ?? {}) as PostgresFault;
  const state = fault.code;
  let kind: ErrorKind;
  if (state === undefined) {
    // `pg` reports lost connections and its own time-outs as plain Errors without a code; what JavaScript itself throws
    // (TypeError …) is a fault of ours.
    kind = error instanceof Error && error.constructor === Error ? 'transient' : 'bug';
  } else if (CONNECTION_CODES.has(state)) {
    kind = 'transient';
  } else {
    kind = BY_STATE[state] ?? BY_CLASS[state.slice(0, 2)] ?? 'batch';
  }
  if (control && kind === 'row') kind = 'batch';
  const place = [fault.table, fault.column, fault.constraint].filter((part) => part !== undefined).join('.');
  // Of a CHECK PostgreSQL names nothing but the constraint.
  const about = fault.column === undefined && facts !== null ? facts.targetColumns.join(', ') : '';
  const where = about === '' ? place : `${place}: ${about}`;
  const remedy = state === undefined ? undefined : ((control ? CONTROL_REMEDY[state] : undefined) ?? REMEDY[state]);
  return new LockstepError(`${action}: ${messageOf(error)}${where === '' ? '' : ` (${where})`}${detailOf(fault)}`, {
    code: codeOf(state),
    kind,
    cause: error,
    ...(facts === null || kind !== 'row'
      ? {}
      : {
          suspect: facts.suspect ?? undefined,
          isSuspectProven: facts.isSuspectProven,
          columns: facts.columns,
        }),
    ...(remedy === undefined ? {} : { remedy }),
  });
}
