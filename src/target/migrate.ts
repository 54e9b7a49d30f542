import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Pool } from 'pg';
import { VARINT_BYTES_SQL } from '../catalog/varint-bytes.sql.ts';
import { LockstepError } from '../shared/errors.ts';
import { qualified, quoteIdentifier } from './sql-text.ts';

/** Advisory lock of the migration run: members that start together take turns. ASCII "LSTM". */
const MIGRATION_LOCK = 0x4c53544d;
/** Days for which ledger partitions exist ahead of today; a DEFAULT partition catches the rest. */
const LEDGER_DAYS_AHEAD = 7;

async function migrationFiles(): Promise<readonly { id: number; name: string; sql: string }[]> {
  const folder = join(import.meta.dirname, 'migrations');
  const names = (await readdir(folder)).filter((name) => name.endsWith('.sql')).sort();
  return Promise.all(
    names.map(async (name) => ({
      id: Number.parseInt(name, 10),
      name,
      sql: await readFile(join(folder, name), 'utf8'),
    })),
  );
}

/**
 * Brings the control tables up to date: numbered SQL files, each once, in one transaction.
 *
 * @returns the names of the files that were applied.
 * @throws LockstepError `config` where the database is newer than this program.
 */
export async function migrate(pool: Pool, controlSchema: string): Promise<readonly string[]> {
  const schema = quoteIdentifier(controlSchema);
  const journal = qualified(controlSchema, '_cdc_migrations');
  const files = await migrationFiles();
  const client = await pool.connect();
  const applied: string[] = [];
  try {
    await client.query('BEGIN');
    await client.query('SELECT pg_advisory_xact_lock($1)', [MIGRATION_LOCK]);
    // IF NOT EXISTS asks for CREATE on the database before it looks: a role that was given its schema has none.
    const { rows } = await client.query('SELECT 1 FROM pg_namespace WHERE nspname = $1', [controlSchema]);
    if (rows.length === 0) await client.query(`CREATE SCHEMA ${schema}`);
    await client.query(
      `CREATE TABLE IF NOT EXISTS ${journal} (id integer PRIMARY KEY, name text NOT NULL, applied_at timestamptz NOT NULL DEFAULT now())`,
    );
    const done = await client.query<{ id: string }>(`SELECT id FROM ${journal}`);
    const known = new Set(done.rows.map((row) => Number(row.id)));
    const newest = Math.max(0, ...known);
    if (newest > Math.max(0, ...files.map((file) => file.id))) {
      throw new LockstepError(
        `the control tables in schema ${controlSchema} are of migration ${newest}, newer than this program`,
        {
          code: 'CONTROL_TABLES_NEWER',
          kind: 'config',
          remedy: 'run the newer version of Lockstep that migrated them, or restore a backup from before',
        },
      );
    }
    for (const file of files) {
      if (known.has(file.id)) continue;
      await client.query(file.sql.replaceAll('{schema}', schema));
      await client.query(`INSERT INTO ${journal} (id, name) VALUES ($1, $2)`, [file.id, file.name]);
      applied.push(file.name);
    }
    // The tie rule of decimals needs their serialised bytes; kept here so that a correction reaches every database.
    await client.query(`SET LOCAL search_path TO ${schema}`);
    await client.query(VARINT_BYTES_SQL);
    await client.query('COMMIT');
  } catch (error) {
    await client.query('ROLLBACK').catch(() => undefined);
    throw error;
  } finally {
    client.release();
  }
  return applied;
}

/** Creates the ledger's day partitions ahead of time; called at start and daily. Idempotent. */
export async function ensureLedgerPartitions(pool: Pool, controlSchema: string, nowMs: number): Promise<void> {
  const ledger = qualified(controlSchema, '_cdc_ledger');
  for (let ahead = 0; ahead <= LEDGER_DAYS_AHEAD; ahead++) {
    const day = (shift: number): string => new Date(nowMs + (ahead + shift) * 86_400_000).toISOString().slice(0, 10);
    const partition = qualified(controlSchema, `_cdc_ledger_${day(0).replaceAll('-', '')}`);
    // A day whose first rows already went to DEFAULT stays there: attaching it would fail, and nothing is lost.
    await pool.query(
      `DO $$ BEGIN
         CREATE TABLE IF NOT EXISTS ${partition} PARTITION OF ${ledger} FOR VALUES FROM ('${day(0)} 00:00+00') TO ('${day(1)} 00:00+00');
       EXCEPTION WHEN check_violation OR duplicate_table THEN NULL; END $$`,
    );
  }
}

/** A partition is dropped within this time or at the next attempt: batches must not queue behind the lock for longer. */
const DROP_LOCK_TIMEOUT_MS = 2_000;
/** Rows of the DEFAULT partition that go per statement. */
const DEFAULT_PARTITION_ROWS = 5_000;

/**
 * Drops the ledger's day partitions that ended before the retention, and old rows of the DEFAULT partition. Idempotent;
 * what could not be locked soon is left for the next time.
 *
 * @returns the names of the partitions that were dropped.
 */
export async function dropLedgerPartitions(
  pool: Pool,
  controlSchema: string,
  before: Date,
): Promise<readonly string[]> {
  const parent = qualified(controlSchema, '_cdc_ledger');
  const { rows } = await pool.query<{ name: string }>(
    `SELECT c.relname AS name FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
     WHERE i.inhparent = $1::regclass AND c.relname ~ '^_cdc_ledger_[0-9]{8}$' ORDER BY 1`,
    [parent],
  );
  // A partition holds the day in its name; it is old when the day after it began before the limit.
  const lastDay = new Date(before.getTime() - 86_400_000).toISOString().slice(0, 10).replaceAll('-', '');
  const dropped: string[] = [];
  for (const { name } of rows.filter((row) => row.name.slice(-8) < lastDay)) {
    const statement = `DROP TABLE IF EXISTS ${qualified(controlSchema, name)}`;
    await pool.query(`DO $$ BEGIN SET LOCAL lock_timeout = ${DROP_LOCK_TIMEOUT_MS}; ${statement}; END $$`);
    dropped.push(name);
  }
  const remainder = qualified(controlSchema, '_cdc_ledger_default');
  for (let gone = DEFAULT_PARTITION_ROWS; gone === DEFAULT_PARTITION_ROWS;) {
    const result = await pool.query(
      `DELETE FROM ${remainder} WHERE ctid = ANY(ARRAY(SELECT ctid FROM ${remainder} WHERE processed_at < $1 LIMIT ${DEFAULT_PARTITION_ROWS}))`,
      [before.toISOString()],
    );
    gone = result.rowCount ?? 0;
  }
  return dropped;
}
