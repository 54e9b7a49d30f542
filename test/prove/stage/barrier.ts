/**
 * Proof that everything which was written has reached PostgreSQL: every acknowledged statement's events are in the topics
 * (or are not coming: the logs stand still), every position has reached its log end, and no queued work is due.
 */
import type pg from 'pg';
import { waitFor } from '../../../src/demo/waiting.ts';
import type { LogRange } from '../../../src/demo/kafka/kafka.ts';
import type { TimedEffect } from '../generate/statement.ts';
import type { WrittenStatement } from './history-log.ts';
import { restartAgents, type Site } from './site.ts';
import { lostEffects } from '../audit/lost-effects.ts';
import type { ProvenTable, TableSet } from './table-set.ts';

/** The agent reads its commit log every 100 ms, delivers some of it twice a second later, and may be busy. */
const QUIET_MS = 4_000;
/** What has not come after this long without a record is not coming. */
const LOST_AFTER_MS = 15_000;
const CAPTURE_LIMIT_MS = 180_000;
/** More is not the loss of a change: then nothing is captured, and there is nothing to prove. */
const MAX_LOST_SHARE = 0.1;
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
  | {
      readonly kind: 'reached';
      readonly lost: readonly LostChange[];
      /** The agents stood still with changes unread, and were started again. */
      readonly stalled: boolean;
    }
  /** The source side never came to rest: there is no verdict. */
  | { readonly kind: 'inconclusive'; readonly why: string }
  /** Everything is in the topics and stays unapplied: Lockstep's doing. */
  | { readonly kind: 'stuck'; readonly why: string };

/** Changes of the history that are in no topic. */
function lostChanges(set: TableSet): LostChange[] {
  return set.tables.flatMap((table) => {
    const history = set.history.of(table.table);
    const lost = lostEffects(set.events.of(table.topic), history);
    return history.flatMap((written) =>
      written.statement.effects.filter((effect) => lost.has(effect)).map((effect) => ({ table, written, effect })),
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

/** Options of {@link barrier}. */
export interface BarrierOptions {
  readonly lostAfterMs?: number;
  /**
   * Agents that deliver nothing while changes are missing are started again, once: on a busy machine the connector
   * (3.4.1.Final) has been seen to read a segment that is being written from a place that is no section's beginning, for
   * ever. What is missing after that is lost.
   */
  readonly restartsAgents?: boolean;
}

/** Waits for the barrier. */
export async function barrier(
  site: Site,
  set: TableSet,
  signal: AbortSignal,
  { lostAfterMs = LOST_AFTER_MS, restartsAgents = false }: BarrierOptions = {},
): Promise<BarrierResult> {
  let stalled = false;
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
      if (lost.length === 0) return true;
      if (quietMs < lostAfterMs) return false;
      if (stalled || !restartsAgents) return true;
      stalled = true;
      await restartAgents(site);
      sinceMs = performance.now();
      return false;
    },
    { limitMs: CAPTURE_LIMIT_MS, everyMs: LOOK_EVERY_MS, signal },
  );
  if (!captured)
    return { kind: 'inconclusive', why: `the topics did not come to rest in ${CAPTURE_LIMIT_MS / 1000} s` };
  const share = lost.length / Math.max(1, set.history.count);
  if (restartsAgents && share > MAX_LOST_SHARE) {
    return { kind: 'inconclusive', why: `no agent delivers ${lost.length} of ${set.history.count} statements` };
  }

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
  return applied ? { kind: 'reached', lost, stalled } : { kind: 'stuck', why: open.join('; ') };
}
