/**
 * Proof that everything which was written has reached PostgreSQL: every acknowledged statement's events are in the topics
 * (or are not coming: the logs stand still), every position has reached its log end, and no queued work is due.
 */
import type pg from 'pg';
import { waitFor } from '../../../src/demo/waiting.ts';
import type { LogRange } from '../../../src/demo/kafka/kafka.ts';
import type { TimedEffect } from '../generate/statement.ts';
import type { WrittenStatement } from './history-log.ts';
import type { Site } from './site.ts';
import type { ProvenTable, TableSet } from './table-set.ts';

/** The agent reads its commit log every 100 ms, delivers some of it twice a second later, and may be busy. */
const QUIET_MS = 4_000;
/** What has not come after this long without a record is not coming. */
const LOST_AFTER_MS = 15_000;
const CAPTURE_LIMIT_MS = 120_000;
/** A member killed at the end is missed after 6 s; a stopped shard tries again by itself within a minute. */
const APPLY_LIMIT_MS = 150_000;
const LOOK_EVERY_MS = 300;

/** A change that Cassandra acknowledged and no topic has. */
export interface LostChange {
  readonly table: ProvenTable;
  readonly written: WrittenStatement;
  readonly effect: TimedEffect;
}

export type BarrierResult =
  | { readonly kind: 'reached'; readonly lost: readonly LostChange[] }
  /** The source side never came to rest: there is no verdict. */
  | { readonly kind: 'inconclusive'; readonly why: string }
  /** Everything is in the topics and stays unapplied: Lockstep's doing. */
  | { readonly kind: 'stuck'; readonly why: string };

/** Changes of the history that are in no topic. */
export function lostChanges(set: TableSet): LostChange[] {
  return set.tables.flatMap((table) => {
    const log = set.events.of(table.topic);
    return set.history
      .of(table.table)
      .flatMap((written) =>
        written.statement.effects
          .filter((effect) => !log.has(effect, written.statement))
          .map((effect) => ({ table, written, effect })),
      );
  });
}

interface ShardRow {
  readonly topic: string;
  readonly partition: number;
  readonly next: string;
  readonly state: string;
}

async function behind(postgres: pg.Pool, schema: string, ends: readonly LogRange[]): Promise<string[]> {
  const { rows } = await postgres.query<ShardRow>(
    `SELECT topic, partition, max(next_offset)::text AS next, max(state) AS state FROM "${schema}"._cdc_offsets
     GROUP BY topic, partition`,
  );
  const shards = new Map(rows.map((row) => [`${row.topic}/${row.partition}`, row]));
  return ends.flatMap(({ topic, partition, end }) => {
    const shard = shards.get(`${topic}/${partition}`);
    if (end === 0n || (shard !== undefined && BigInt(shard.next) >= end)) return [];
    return [`${topic}/${partition}: position ${shard?.next ?? 'none'} (${shard?.state ?? 'no row'}), log end ${end}`];
  });
}

/**
 * Queued work that should have been done: re-reads and existence checks at once, also those that were put off. Expiries,
 * and re-reads that wait for something to expire (a collection's element that lives for a day), when they are due.
 */
async function due(postgres: pg.Pool, schema: string): Promise<string[]> {
  const { rows } = await postgres.query<{ kind: string; count: string; key: string }>(
    `SELECT kind, count(*)::text AS count, min(row_key) AS key FROM "${schema}"._cdc_queue
     WHERE (kind <> 'expiry' AND NOT trigger @> '[{"later": true}]')
        OR due_us <= (extract(epoch FROM clock_timestamp()) * 1000000)::bigint
     GROUP BY kind ORDER BY kind`,
  );
  return rows.map(({ kind, count, key }) => `${count} of kind ${kind} due in the queue, such as ${key}`);
}

/** Columns that the source has by now and the target has not. */
async function lackingColumns(postgres: pg.Pool, { names, tables }: TableSet): Promise<string[]> {
  const { rows } = await postgres.query<{ column: string }>(
    `SELECT table_name || '.' || column_name AS column FROM information_schema.columns WHERE table_schema = $1`,
    [names.set],
  );
  const present = new Set(rows.map(({ column }) => column));
  return tables.flatMap(({ table, columns }) =>
    columns
      .filter(({ kind, name }) => kind !== 'static' && !present.has(`${table.name}.${name}`))
      .map(({ name }) => `${table.name}.${name} is not in the target`),
  );
}

/** Waits for the barrier. */
export async function barrier(
  site: Site,
  set: TableSet,
  signal: AbortSignal,
  lostAfterMs: number = LOST_AFTER_MS,
): Promise<BarrierResult> {
  let ends = '';
  let sinceMs = performance.now();
  let lost: readonly LostChange[] = [];
  const captured = await waitFor(
    async () => {
      const now = (await set.events.ends()).map(({ end }) => end).join(' ');
      if (now !== ends) sinceMs = performance.now();
      ends = now;
      const quietMs = performance.now() - sinceMs;
      if (quietMs < QUIET_MS) return false;
      await set.events.readOn(signal);
      lost = lostChanges(set);
      return lost.length === 0 || quietMs >= lostAfterMs;
    },
    { limitMs: CAPTURE_LIMIT_MS, everyMs: LOOK_EVERY_MS, signal },
  );
  if (!captured)
    return { kind: 'inconclusive', why: `the topics did not come to rest in ${CAPTURE_LIMIT_MS / 1000} s` };

  const range = await set.events.ends();
  let open: string[] = [];
  const applied = await waitFor(
    async () => {
      await set.members.revive();
      open = await behind(site.postgres, set.names.set, range);
      if (open.length === 0) open = await lackingColumns(site.postgres, set);
      if (open.length === 0) open = await due(site.postgres, set.names.set);
      return open.length === 0;
    },
    { limitMs: APPLY_LIMIT_MS, everyMs: LOOK_EVERY_MS, signal },
  );
  return applied ? { kind: 'reached', lost } : { kind: 'stuck', why: open.join('; ') };
}
