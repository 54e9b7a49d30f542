/**
 * Reads a table that Lockstep does not write, so that it has no tokens and no versions: by keys, and page by page in the
 * order of its keys.
 */
import type { Pool } from 'pg';
import { rowKey, type RowKey } from '../../change/change-event.ts';
import type { TokenRange } from '../../change/token-range.ts';
import { NEVER } from '../../change/write-time.ts';
import { LockstepError } from '../../shared/errors.ts';
import type { BoundTable } from '../bound-table.ts';
import { classifyPostgresError } from '../postgres-errors.ts';
import type { RepairDoor } from '../repair-door.ts';
import { keyParameters, valuesFrom } from '../row-codec.ts';
import { arrayTypeOf, quoteIdentifier } from '../sql-text.ts';
import { TARGET_PAGE_ROWS, type TargetRow } from './token-scan.ts';

type Line = (string | null)[];

/** PostgreSQL's codes for a table or column that is not there. */
const MISSING = new Set(['42P01', '42703', '3F000']);

/** Methods reject with a classified LockstepError; `COUNTER_TARGET` (config) where the table lacks what is compared. */
export class PlainScan {
  readonly #pool: Pool;
  readonly #table: BoundTable;
  readonly #pageRows: number;
  readonly #select: string;
  readonly #keys: readonly string[];

  constructor(pool: Pool, table: BoundTable, pageRows = TARGET_PAGE_ROWS) {
    this.#pool = pool;
    this.#table = table;
    this.#pageRows = pageRows;
    this.#keys = table.keys.map(({ column }) => quoteIdentifier(column.target));
    const columns = [...this.#keys, ...table.regular.map(({ column }) => quoteIdentifier(column.target))];
    this.#select = `SELECT ${columns.map((name) => `t.${name}`).join(', ')}`;
  }

  /** Pages of all rows, in the order of their keys: without tokens no part of the ring can be told from another. */
  async *range(_wholeRing: TokenRange, signal: AbortSignal): AsyncGenerator<readonly TargetRow[]> {
    const { keys, target } = this.#table;
    const list = this.#keys.map((key) => `t.${key}`).join(', ');
    const order = `ORDER BY ${list} LIMIT ${this.#pageRows}`;
    const after = keys.map(({ column }, i) => `$${i + 1}::${column.targetType}`).join(', ');
    let where = '';
    let values: string[] = [];
    for (;;) {
      signal.throwIfAborted();
      const page = await this.#query(`${this.#select} FROM ${target} AS t ${where} ${order}`, values);
      if (page.length > 0) yield page;
      const last = page.at(-1);
      if (last === undefined || page.length < this.#pageRows) return;
      where = `WHERE (${list}) > (${after})`;
      values = keys.map(({ mapping }, i) => mapping.toTarget(last.key.values[i] ?? ''));
    }
  }

  /** None: that its rows have no token says nothing of who wrote them. */
  async *tokenless(): AsyncGenerator<readonly TargetRow[]> {
    // Nothing to give.
  }

  /** The rows that have one of the keys, in no order. */
  async byKeys(keys: readonly RowKey[]): Promise<readonly TargetRow[]> {
    if (keys.length === 0) return [];
    const table = this.#table;
    const arrays = table.keys.map(({ column }, i) => `$${i + 1}::${arrayTypeOf(column.targetType)}`).join(', ');
    const joined = this.#keys.map((key) => `t.${key} = r.${key}`).join(' AND ');
    return this.#query(
      `${this.#select} FROM unnest(${arrays}) AS r(${this.#keys.join(', ')}) JOIN ${table.target} AS t ON ${joined}`,
      keyParameters(table, keys),
    );
  }

  async #query(text: string, values: readonly string[]): Promise<readonly TargetRow[]> {
    const { keys, regular, table } = this.#table;
    try {
      const { rows } = await this.#pool.query<Line>({ text, values: [...values], rowMode: 'array' });
      return rows.map((line) => ({
        token: null,
        key: rowKey(keys.map(({ mapping }, i) => mapping.fromTarget(line[i] ?? ''))),
        state: { deletedAt: NEVER, marker: null, cells: regular.map(() => null) },
        values: valuesFrom(this.#table, line, keys.length),
      }));
    } catch (error) {
      if (!MISSING.has((error as { readonly code?: string }).code ?? ''))
        throw classifyPostgresError(error, `reading ${table.name}`);
      throw new LockstepError(`${this.#table.target} lacks what ${table.name} is compared by`, {
        code: 'COUNTER_TARGET',
        kind: 'config',
        remedy: 'correct reconciliation.counters[].target and columns: Lockstep does not create that table',
        cause: error,
      });
    }
  }
}

/** The door of a table that is never written: it observes, and refuses everything else. */
export function plainRepairs(scan: Pick<PlainScan, 'byKeys'>): Pick<RepairDoor, 'session'> {
  return {
    session: (work) =>
      work({
        observe: async (_table, keys) => {
          const rows = new Map((await scan.byKeys(keys)).map((row) => [row.key.text, row]));
          const observed = keys.map((key) => {
            const found = rows.get(key.text);
            const row = found === undefined ? null : { state: found.state, values: found.values };
            return { key, row, memory: null, coveredAt: NEVER };
          });
          return { rows: observed, sequence: 0n };
        },
        repair: ({ table }) =>
          Promise.reject(new LockstepError(`${table} is only compared`, { code: 'BUG_REPAIR', kind: 'bug' })),
      }),
  };
}
