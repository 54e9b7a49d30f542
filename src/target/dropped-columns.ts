import type { Pool } from 'pg';
import { rowKey } from '../change/change-event.ts';
import { emptyRow } from '../change/row-state.ts';
import type { BoundColumn } from './bound-table.ts';
import type { ControlStatements } from './control-statements.ts';
import { readGraves } from './probes.ts';
import { imageFrom } from './row-codec.ts';
import { planRows, type KnownRow } from './row-plan.ts';
import { rowWrites, type TableDoor } from './row-writes.ts';
import { quoteIdentifier } from './sql-text.ts';
import { checkCommitted, gateStatement, pipeline, withClient } from './transaction.ts';

/** Rows cleared per transaction while the exclusive gate is held. */
const CLEAR_ROWS = 500;

/**
 * Takes a chunk of the values that a dropped column left behind out of the column of the same name that was added since:
 * values without a version under its new ordinal. A row of which nothing else was alive goes, as it went in the source.
 * Under the exclusive gate; repeating it is harmless.
 *
 * @returns true while there may be more.
 */
export async function clearDropped(
  pool: Pool,
  control: ControlStatements,
  table: TableDoor,
  column: BoundColumn,
  nowUs: bigint,
): Promise<boolean> {
  const { bound } = table;
  const names = [...bound.keys, ...bound.regular].map((each) => `t.${quoteIdentifier(each.column.target)}`);
  const never = `'-9223372036854775808'::bigint`;
  return withClient(pool, async (client) => {
    const [, , answer] = await pipeline(client, [
      { text: 'BEGIN' },
      { text: gateStatement('exclusive'), values: [bound.id] },
      {
        text: `SELECT ${names.join(', ')}, t._cdc_versions, t._cdc_expiries FROM ${bound.target} AS t
               WHERE t.${quoteIdentifier(column.column.target)} IS NOT NULL
                 AND coalesce(t._cdc_versions[${column.ordinal}], ${never}) = ${never}
               LIMIT ${CLEAR_ROWS} FOR UPDATE`,
      },
    ]);
    const lines = answer?.rows ?? [];
    const keys = lines.map((line) => rowKey(bound.keys.map((key, i) => key.mapping.fromTarget(line[i] ?? ''))));
    const texts = keys.map((key) => key.text);
    const [graves] = await pipeline(client, [control.graves(bound.id, texts)]);
    const memory = readGraves(bound, graves);
    const known = lines.map((line, i): KnownRow => {
      const key = keys[i] ?? rowKey([]);
      // The image has no cell where the ordinal has no version: the old value is not part of it.
      const image = imageFrom(bound, line, bound.keys.length);
      return { key, incoming: emptyRow(bound.regular.length), grave: memory.get(key.text) ?? null, ranges: [], image };
    });
    const done = lines.length < CLEAR_ROWS;
    const writes = rowWrites(table, control, planRows(bound, known, nowUs));
    const noted = done ? [control.cleared(bound.id, column.column.name)] : [];
    checkCommitted((await pipeline(client, [...writes, ...noted, { text: 'COMMIT' }])).at(-1));
    return !done;
  });
}
