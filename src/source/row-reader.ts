import type { Client } from 'cassandra-driver';
import { deserialise } from '../change/value-from-bytes.ts';
import { serialise } from '../change/value-order.ts';
import type { Cell, RowKey } from '../change/change-event.ts';
import { isMultiCell } from '../change/source-type.ts';
import { keyColumns, type Column, type Table } from '../catalog/table.ts';
import type { Clock } from '../shared/clock.ts';
import { LockstepError, messageOf } from '../shared/errors.ts';
import { RAW_ALIAS, rawRows, type RawRow } from './raw-rows.ts';

/** A row of the source with the write times of its cells; null where there is none. */
export type ReadRow = { readonly cells: readonly (Cell | null)[] } | null;

/** Queries of one call under way at a time: enough for the round trips to overlap, too few to flood a node. */
const QUERIES_AT_ONCE = 32;
const US_PER_SECOND = 1_000_000n;

/** A column in the query: where its value, write time and TTL stand in the answer. */
interface ReadColumn {
  readonly column: Column;
  readonly multiCell: boolean;
  readonly at: number;
}

interface Plan {
  readonly query: string;
  readonly columns: readonly ReadColumn[];
}

function quoted(name: string): string {
  return `"${name.replaceAll('"', '""')}"`;
}

function planOf(table: Table): Plan {
  const keys = keyColumns(table);
  const selected = [`${quoted(keys[0]?.name ?? '')} AS ${RAW_ALIAS}`];
  const columns = table.regular.map((column): ReadColumn => {
    const multiCell = isMultiCell(column.type);
    const at = selected.length;
    const name = quoted(column.name);
    selected.push(
      `${name} AS v${at}`,
      `${multiCell ? 'MAXWRITETIME' : 'WRITETIME'}(${name}) AS w${at}`,
      `TTL(${name}) AS t${at}`,
    );
    return { column, multiCell, at };
  });
  const where = keys.map(({ name }) => `${quoted(name)} = ?`).join(' AND ');
  return {
    query: `SELECT ${selected.join(', ')} FROM ${quoted(table.keyspace)}.${quoted(table.sourceTable)} WHERE ${where}`,
    columns,
  };
}

/** Remaining seconds: an int, or of a multi-cell column a list with one entry per element; the least of them. */
function leastTtl(bytes: Buffer, multiCell: boolean): bigint | null {
  if (!multiCell) return bytes.length === 4 ? BigInt(bytes.readInt32BE(0)) : null;
  let least: bigint | null = null;
  for (let at = 4; at + 4 <= bytes.length;) {
    const length = bytes.readInt32BE(at);
    at += 4;
    if (length !== 4) continue;
    const ttl = BigInt(bytes.readInt32BE(at));
    if (least === null || ttl < least) least = ttl;
    at += length;
  }
  return least;
}

function cellOf({ column, multiCell, at }: ReadColumn, row: RawRow, nowUs: bigint): Cell | null {
  const bytes = row[at] ?? null;
  const time = row[at + 1] ?? null;
  if (bytes === null || time === null) return null;
  const value = deserialise(column.type, bytes);
  if (value === null) {
    throw new LockstepError(
      `column ${column.name} holds bytes that are no value of its type: 0x${bytes.toString('hex', 0, 64)}`,
      {
        code: 'SOURCE_VALUE',
        kind: 'row',
        remedy: 'correct the value in the source, or leave the column out (exclude: true)',
      },
    );
  }
  const ttlBytes = row[at + 2] ?? null;
  const ttl = ttlBytes === null ? null : leastTtl(ttlBytes, multiCell);
  return {
    writeTime: time.readBigInt64BE(0),
    value,
    expiry: ttl === null ? null : (nowUs / US_PER_SECOND + ttl) * US_PER_SECOND,
  };
}

function keyBytes(table: Table, key: RowKey): Buffer[] {
  return keyColumns(table).map((column, i) => {
    const bytes = serialise(column.type, key.values[i] ?? '');
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
        const [row] = await rawRows(this.#client, query, keyBytes(table, key));
        const nowUs = BigInt(this.#clock.nowMs()) * 1000n;
        answers[i] = row === undefined ? null : { cells: columns.map((column) => cellOf(column, row, nowUs)) };
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
