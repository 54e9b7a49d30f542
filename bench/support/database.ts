/** A PostgreSQL of our own for one run, the tables in it, and whether they hold in the end what they must. */
import { rm } from 'node:fs/promises';
import { dirname } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import pg from 'pg';
import { planDdl } from '../../src/catalog/ddl.ts';
import { startPostgres } from '../../test/support/postgres-server.ts';
import { benchTable } from './events.ts';
import type { OrderRow, Workload } from './orders.ts';
import { randomFrom } from './orders.ts';
import { isRunning, parentOf } from './process-usage.ts';

/** fsync stays on (the default). Commit timestamps: the latency of a row ends where its transaction committed. */
const SETTINGS = { shared_buffers: '1GB', max_wal_size: '4GB', track_commit_timestamp: 'on' };
/** Rows compared column by column; sums over the whole table catch what they miss. */
const SPOT_ROWS = 2_000;
const STOP_LOOK_MS = 100;

export interface BenchDatabase {
  readonly url: string;
  readonly pool: pg.Pool;
  readonly version: string;
  /** Process ID of the server, for its CPU time; null where it can't be known. */
  readonly serverPid: number | null;
  stop(): Promise<void>;
}

export async function startDatabase(): Promise<BenchDatabase> {
  const server = await startPostgres(SETTINGS);
  const pool = new pg.Pool({ connectionString: server.url, max: 2, application_name: 'bench' });
  pool.on('error', () => undefined);
  const { rows } = await pool.query<{ pid: number; version: string; data: string }>(
    `SELECT pg_backend_pid() AS pid, current_setting('server_version') AS version,
       current_setting('data_directory') AS data`,
  );
  const [row] = rows;
  if (row === undefined) throw new Error('PostgreSQL does not say who it is');
  const serverPid = parentOf(row.pid);
  return {
    url: server.url,
    pool,
    version: row.version,
    serverPid,
    async stop() {
      // Ctrl-C reaches the server as well, and stopping one that has ended already would wait for ever.
      const stopped = server.stop();
      void stopped.catch(() => undefined);
      void pool.end().catch(() => undefined);
      await Promise.race([stopped, untilGone(serverPid)]);
      await rm(dirname(row.data), { recursive: true, force: true });
    },
  };
}

async function untilGone(pid: number | null): Promise<void> {
  while (pid === null || isRunning(pid)) await pause(STOP_LOOK_MS);
}

/** The table of the service, as `lockstep schema apply` creates it: with bookkeeping columns and indexes. */
export async function createLockstepTable(database: BenchDatabase): Promise<void> {
  const plan = planDdl(benchTable(), null, { schemaExists: true, statics: null });
  for (const step of plan.steps) await database.pool.query(step.sql);
}

/** The same columns without any bookkeeping, for a peer. */
export async function createPlainTable(database: BenchDatabase, table: string): Promise<void> {
  const { partitionKey, regular } = benchTable();
  const columns = [...partitionKey, ...regular].map((column) => `${column.target} ${column.targetType}`);
  await database.pool.query(`CREATE TABLE ${table} (${columns.join(', ')}, PRIMARY KEY (id))`);
}

/** A row as PostgreSQL prints it, comparable with {@link rowText}. */
const ROW_TEXT_SQL = `concat_ws('|', customer, status, city, note, quantity, price, weight, paid,
  round(extract(epoch FROM created) * 1000)::bigint, version)`;

function rowText(row: OrderRow): string {
  const values = [
    row.customer,
    row.status,
    row.city,
    row.note,
    row.quantity,
    row.price,
    row.weight,
    row.paid ? 't' : 'f',
    row.created,
    row.version,
  ];
  return values.join('|');
}

/**
 * Throws unless the table holds exactly what the workload ends with: row count, sums of `version` and `quantity` over all
 * rows (every update brings new ones), and every column of a sample.
 */
export async function verifyTable(database: BenchDatabase, table: string, workload: Workload): Promise<void> {
  const { rows: count, seed } = workload.size;
  let versions = 0n;
  let quantities = 0;
  for (let id = 0; id < count; id++) {
    const row = workload.expected(id);
    versions += BigInt(row.version);
    quantities += row.quantity;
  }
  const sums = await database.pool.query<{ found: string }>(
    `SELECT count(*) || ' rows, versions ' || sum(version::numeric) || ', quantities ' || sum(quantity) AS found FROM ${table}`,
  );
  const wanted = `${count} rows, versions ${versions}, quantities ${quantities}`;
  const found = sums.rows[0]?.found;
  if (found !== wanted) throw new Error(`${table} is wrong: found ${found}, expected ${wanted}`);

  const random = randomFrom(seed + 1);
  const ids = Array.from({ length: Math.min(SPOT_ROWS, count) }, () => Math.floor(random() * count));
  const spots = await database.pool.query<{ id: string; text: string }>(
    `SELECT id, ${ROW_TEXT_SQL} AS text FROM ${table} WHERE id = ANY($1::bigint[])`,
    [ids],
  );
  for (const { id, text } of spots.rows) {
    const expected = rowText(workload.expected(Number(id)));
    if (text !== expected) throw new Error(`${table}: row ${id} is ${text}, expected ${expected}`);
  }
}
