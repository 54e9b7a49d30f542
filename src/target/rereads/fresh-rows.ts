/**
 * Rows of the source that the target does not know: they need no merge, only to be inserted. They are staged in a temporary
 * table before the gate is asked for, so that under it one statement remains: it inserts what has neither a row nor a
 * memory of one, and says what it left to the merge.
 *
 * In gate time two rounds of a microbenchmark on a busy machine gave 47,000 and 27,000 rows/s inserted straight out of
 * the parameters, 83,000 and 28,000 out of the temporary table: the choice is for the shortest gate. `npm run
 * bench:backfill` went from 4,770 to 7,243 rows/s with it (one run each). Staging by COPY instead: decisions/0005.
 */
import type { RowKey } from '../../change/change-event.ts';
import { EMPTY_TRIGGER, stateOfRead, type RereadPolicy } from '../../change/hint.ts';
import { isAlive, isKeptByMarker, nextExpiry, sweep, type RowState } from '../../change/row-state.ts';
import { NEVER } from '../../change/write-time.ts';
import type { ShardId } from '../batch.ts';
import type { BoundTable } from '../bound-table.ts';
import type { ControlStatements } from '../control-statements.ts';
import { partitionText } from '../probes.ts';
import { RowParameters } from '../row-codec.ts';
import { isIncomplete } from '../row-plan.ts';
import type { TableDoor } from '../row-writes.ts';
import type { FoundRow, ReadMark } from './source-rows.ts';
import { numberArray, quoteIdentifier, textArray } from '../sql-text.ts';
import type { Statement } from '../transaction.ts';

/** A row that can be inserted as it is, if the target knows nothing of it. */
export interface FreshRow {
  readonly key: RowKey;
  readonly state: RowState;
  /** When the first of its cells expires, µs. */
  readonly dueUs: bigint | null;
}

/**
 * What the merge would make of a row of which the target knows nothing; null where it would do more than insert it: leave
 * it out, or have it read again.
 */
export function freshRow(
  bound: BoundTable,
  policy: RereadPolicy,
  { key, cells }: FoundRow,
  { sequence }: ReadMark,
  nowUs: bigint,
): FreshRow | null {
  // An element of a collection expires, and nothing would tell.
  if (cells.some((cell, i) => policy.multiCell[i] === true && cell?.value != null && cell.expiry !== null)) return null;
  const names = bound.regular.map(({ column }) => column.name);
  const state = sweep(
    stateOfRead({ cells }, EMPTY_TRIGGER, sequence, { names, policy, coveredBefore: NEVER, goneBefore: NEVER }),
    nowUs,
  );
  if (!isAlive(state, nowUs) || isIncomplete(bound, state)) return null;
  // The marker may expire, too.
  if (bound.table.usesTtl && isKeptByMarker(state, nowUs)) return null;
  return { key, state, dueUs: nextExpiry(state, nowUs) };
}

/** Name of the temporary table of a binding, in the session's own schema. */
function stagingOf({ tag }: BoundTable): string {
  return `pg_temp.${quoteIdentifier(`lockstep_fresh_${tag}`)}`;
}

/** Once a session, outside of a transaction. */
export function createStaging({ bound, statements }: TableDoor): Statement {
  const columns = statements.columns.map((name) => `t.${name}`).join(', ');
  return {
    text: `CREATE TEMPORARY TABLE IF NOT EXISTS ${stagingOf(bound).replace('pg_temp.', '')} ON COMMIT DELETE ROWS AS
      SELECT ${columns}, ''::text AS lockstep_row, ''::text AS lockstep_partition, 0::bigint AS lockstep_due
      FROM ${bound.target} AS t WHERE false`,
  };
}

/** The first statement of the transaction, before the gate. */
export function stage({ bound, statements }: TableDoor, rows: readonly FreshRow[]): Statement {
  const parameters = new RowParameters(bound);
  for (const { key, state } of rows) parameters.add(key, state);
  return {
    name: `stage-${bound.tag}`,
    text: `INSERT INTO ${stagingOf(bound)} (${statements.columns.join(', ')}, lockstep_row, lockstep_partition, lockstep_due)
      ${statements.incoming([
        ['lockstep_row', 'text[]'],
        ['lockstep_partition', 'text[]'],
        ['lockstep_due', 'bigint[]'],
      ])}`,
    values: [
      ...parameters.values(),
      textArray(rows.map(({ key }) => key.text)),
      textArray(rows.map(({ key }) => partitionText(bound, key.values))),
      numberArray(rows.map(({ dueUs }) => dueUs)),
    ],
  };
}

/**
 * Under the gate: inserts what was staged, with its expiries, and answers with the keys of the rows that it left. Inserts
 * nothing where the registry knows columns that this process does not.
 */
export function insertStaged(control: ControlStatements, { bound, statements }: TableDoor, shard: ShardId): Statement {
  const keys = bound.keys.map(({ column }) => quoteIdentifier(column.target));
  const same = (left: string, right: string): string =>
    keys.map((key) => `${left}.${key} = ${right}.${key}`).join(' AND ');
  const columns = statements.columns.join(', ');
  const staging = stagingOf(bound);
  return {
    name: `insert-staged-${bound.tag}`,
    text: `WITH fresh AS (
        SELECT * FROM ${staging} AS s WHERE ${control.knowsNothing(bound, 's.lockstep_row', 's.lockstep_partition')}),
      inserted AS (
        INSERT INTO ${bound.target} (${columns}) SELECT ${columns} FROM fresh
        ON CONFLICT (${keys.join(', ')}) DO NOTHING RETURNING ${keys.join(', ')}),
      queued AS (
        ${control.queueFresh(`FROM fresh AS f JOIN inserted AS i ON ${same('f', 'i')} WHERE f.lockstep_due IS NOT NULL`)})
      SELECT s.lockstep_row FROM ${staging} AS s WHERE NOT EXISTS (SELECT 1 FROM inserted AS i WHERE ${same('i', 's')})`,
    values: [bound.id, bound.generation, shard.topic, shard.incarnation, shard.partition],
  };
}
