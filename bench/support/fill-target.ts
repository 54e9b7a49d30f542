/**
 * Fills a target by COPY out of the source, as a backfill into an empty table would leave it: for tables so large that the
 * backfill, which asks for its lock a fifth of the time, would take most of the run.
 */
import type cassandra from 'cassandra-driver';
import pg from 'pg';
import { bindTable } from '../../src/catalog/bind.ts';
import { tableMappingSchema } from '../../src/catalog/table-mapping.ts';
import { WHOLE_RING } from '../../src/change/token-range.ts';
import { readSchema } from '../../src/source/schema.ts';
import { scanRows } from '../../src/source/row-scan.ts';
import type { ScannedRow } from '../../src/source/scanned-rows.ts';
import { scanSession } from '../../src/source/scan-session.ts';
import { withRereads } from '../../src/operate/schema/source-tables.ts';
import { registerTables, type BoundTable } from '../../src/target/bound-table.ts';
import { freshRow } from '../../src/target/rereads/fresh-rows.ts';
import { createPool } from '../../src/target/index.ts';
import { migrate } from '../../src/target/migrate.ts';
import { bookkeepingOf } from '../../src/target/row-codec.ts';

const CONTROL_SCHEMA = 'public';
const PATIENCE = { backoff: { startingDelay: 20, maxDelay: 1_000 }, giveUpMs: 60_000 };
const ESCAPES: Readonly<Record<string, string>> = { '\\': '\\\\', '\t': '\\t', '\n': '\\n', '\r': '\\r' };

function field(text: string | null): string {
  return text === null ? '\\N' : text.replace(/[\\\t\n\r]/g, (character) => ESCAPES[character] ?? character);
}

function lineOf(bound: BoundTable, row: ScannedRow, nowUs: bigint): string {
  const { policy } = bound;
  const fresh = policy === null ? null : freshRow(bound, policy, row, { sequence: 1n, begunUs: 0n }, nowUs);
  if (fresh === null) throw new Error(`${row.key.text} can not be copied`);
  const { versions, expiries } = bookkeepingOf(bound, fresh.state);
  const keys = bound.keys.map(({ mapping }, i) => mapping.toTarget(row.key.values[i] ?? ''));
  const values = bound.regular.map(({ mapping }, i) => {
    const value = fresh.state.cells[i]?.value ?? null;
    return value === null ? null : mapping.toTarget(value);
  });
  return [...keys, ...values, versions, expiries, String(row.token)].map(field).join('\t');
}

/** One COPY of some lines; `pg` hands it what the server answers. */
class CopyIn {
  readonly #text: string;
  readonly #lines: Buffer;
  readonly #ended: (error: Error | null) => void;

  constructor(text: string, lines: Buffer, ended: (error: Error | null) => void) {
    this.#text = text;
    this.#lines = lines;
    this.#ended = ended;
  }

  submit(connection: pg.Connection): void {
    connection.query(this.#text);
  }

  handleCopyInResponse(connection: { sendCopyFromChunk(chunk: Buffer): void; endCopyFrom(): void }): void {
    connection.sendCopyFromChunk(this.#lines);
    connection.endCopyFrom();
  }

  handleError(error: Error): void {
    this.#ended(error);
  }

  handleReadyForQuery(): void {
    this.#ended(null);
  }

  handleCommandComplete(): void {
    // The end of the query follows.
  }
}

/** Rows a second. The table and its indexes are there, and empty. */
export async function fillTarget(url: string, source: cassandra.Client, table: string, rows: number): Promise<number> {
  const pool = createPool({ url, poolSize: 2 });
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  try {
    await migrate(pool, CONTROL_SCHEMA);
    const schema = (await readSchema(source, 'bench')).find(({ name }) => name === table);
    const mapping = tableMappingSchema.parse({
      source: `bench.${table}`,
      topic: table,
      target: `public.${table}`,
      usesTtl: true,
    });
    const binding = schema === undefined ? null : bindTable(schema, mapping);
    if (binding?.kind !== 'bound') throw new Error(`${table} is not bound`);
    const readable = withRereads(binding.table, true, mapping);
    const [bound] = await registerTables(pool, CONTROL_SCHEMA, [readable]);
    if (bound === undefined) throw new Error('one was registered');
    const names = [...bound.keys, ...bound.regular].map(({ column }) => column.target);
    const copy = `COPY ${bound.target} (${[...names, '_cdc_versions', '_cdc_expiries', '_cdc_token'].join(', ')}) FROM STDIN`;
    const beganMs = performance.now();
    let copied = 0;
    let writing: Promise<void> = Promise.resolve();
    for await (const page of scanRows(scanSession(source), readable, {
      ...PATIENCE,
      range: WHOLE_RING,
      from: null,
      signal: new AbortController().signal,
      elapsedMs: () => performance.now(),
    })) {
      const nowUs = BigInt(Date.now()) * 1000n;
      const lines = page.rows.map((row) => `${lineOf(bound, row, nowUs)}\n`).join('');
      copied += page.rows.length;
      // The source reads the next page while this one is written.
      await writing;
      writing = new Promise((resolve, reject) => {
        client.query(new CopyIn(copy, Buffer.from(lines), (error) => (error === null ? resolve() : reject(error))));
      });
      writing.catch(() => undefined);
    }
    await writing;
    if (copied !== rows) throw new Error(`${table}: ${copied} rows were copied, not ${rows}`);
    return rows / ((performance.now() - beganMs) / 1000);
  } finally {
    await client.end();
    await pool.end();
  }
}
