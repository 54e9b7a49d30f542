import type { Client } from 'cassandra-driver';
import { keyBytes as bytesOf } from '../change/values/value-order.ts';
import type { Cell, RowKey } from '../change/change-event.ts';
import { keyColumns, type Table } from '../catalog/table.ts';
import type { Clock } from '../shared/clock.ts';
import { LockstepError, messageOf } from '../shared/errors.ts';
import { RAW_ALIAS, rawRows } from './raw-rows.ts';
import { cellOf, quoted, readColumns, type ReadColumn } from './read-cells.ts';

/** A row of the source with the write times of its cells; null where there is none. */
export type ReadRow = { readonly cells: readonly (Cell | null)[] } | null;

/** Queries of one call under way at a time: enough for the round trips to overlap, too few to flood a node. */
const QUERIES_AT_ONCE = 32;

interface Plan {
  readonly query: string;
  readonly columns: readonly ReadColumn[];
}

/** Static columns belong to a partition, and every row of it would answer with them. */
function planOf(table: Table): Plan {
  const keys = keyColumns(table);
  const { selected, columns } = readColumns(table.regular, 1);
  const first = `${quoted(keys[0]?.name ?? '')} AS ${RAW_ALIAS}`;
  const where = keys.map(({ name }) => `${quoted(name)} = ?`).join(' AND ');
  const from = `${quoted(table.keyspace)}.${quoted(table.sourceTable)}`;
  return { query: `SELECT ${[first, ...selected].join(', ')} FROM ${from} WHERE ${where} LIMIT 1`, columns };
}

/** A partition without static values has no row of static columns. */
function isThere(table: Table, cells: readonly (Cell | null)[]): boolean {
  return table.ofStatics !== true || cells.some((cell) => cell !== null);
}

function keyBytes(table: Table, key: RowKey): Buffer[] {
  return keyColumns(table).map((column, i) => {
    const bytes = bytesOf(column.type, key.values[i] ?? '');
    if (bytes !== null) return Buffer.from(bytes);
    throw new LockstepError(`row ${key.text} of ${table.name}: the bytes of key column ${column.name} are not known`, {
      code: 'SOURCE_KEY',
      kind: 'row',
      remedy: 'tables with such a key are compared and filled by scans, not row by row',
    });
  });
}

/** Reads single rows of the source by their keys, at the consistency that its client was made with. */
export class RowReader {
  readonly #client: Client;
  readonly #clock: Clock;
  readonly #plans = new WeakMap<Table, Plan>();

  constructor(client: Client, clock: Clock) {
    this.#client = client;
    this.#clock = clock;
  }

  /**
   * One answer per key, in their order. Expiries come from remaining TTLs, which have whole seconds; of a multi-cell
   * column the expiry is that of the element that expires first.
   *
   * @throws LockstepError `transient` where the source does not answer, `row` for a value or key that can't be read.
   */
  async read(table: Table, keys: readonly RowKey[], signal: AbortSignal): Promise<readonly ReadRow[]> {
    let plan = this.#plans.get(table);
    if (plan === undefined) this.#plans.set(table, (plan = planOf(table)));
    const { query, columns } = plan;
    const answers = new Array<ReadRow>(keys.length).fill(null);
    let next = 0;
    const worker = async (): Promise<void> => {
      for (let i = next++; i < keys.length; i = next++) {
        signal.throwIfAborted();
        const key = keys[i];
        if (key === undefined) continue;
        const rows = await rawRows(this.#client, query, keyBytes(table, key));
        if (rows.length === 0) continue;
        const row = { rows, index: 0 };
        const nowSeconds = BigInt(this.#clock.nowMs()) / 1000n;
        const cells = columns.map((column) => cellOf(column, row, nowSeconds));
        if (isThere(table, cells)) answers[i] = { cells };
      }
    };
    try {
      await Promise.all(Array.from({ length: Math.min(QUERIES_AT_ONCE, keys.length) }, worker));
    } catch (error) {
      if (error instanceof LockstepError) throw error;
      throw new LockstepError(`reading rows of ${table.name}: ${messageOf(error)}`, {
        code: 'SOURCE_UNREACHABLE',
        kind: 'transient',
        remedy: 'check that the nodes of source.cassandra run; what needs no re-read goes on meanwhile',
        cause: error,
      });
    }
    return answers;
  }
}
