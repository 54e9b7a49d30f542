/** Waits until everything that was written has had the time to arrive: the proof compares two sides at rest. */
import cassandra from 'cassandra-driver';
import type { Kafka } from 'kafkajs';
import type pg from 'pg';
import { logRanges, type LogRange } from './kafka/kafka.ts';
import { TARGET_SCHEMA } from './shop/schema.ts';
import { waitFor } from './waiting.ts';
import { insert, type Write } from './workload/write.ts';
import type { SourceWriter } from './workload/writer.ts';

/** What is to come to rest. */
export interface DrainOptions {
  readonly writer: SourceWriter;
  readonly kafka: Kafka;
  readonly postgres: pg.Pool;
  readonly topics: readonly string[];
  readonly limitMs: number;
  readonly signal: AbortSignal;
  readonly onProgress: (what: string) => void;
  /** Throws when the service can never catch up because it is gone. */
  assertServing(): Promise<void>;
}

/** Null when both sides are at rest, else what was still open when the time was up. */
export type DrainResult = null | string;

/** The agent reads the commit log about every second, and delivers some of it twice a second later. */
const STABLE_MS = 4_000;
const LOOK_EVERY_MS = 250;
/** Cassandra's clock and ours are one, but it counts expiries in whole seconds. */
const AFTER_EXPIRY_MS = 1_500;

/** Names a marker row; a time of day makes each run's its own. */
const markerNumber = (): number => Date.now() % 2_000_000_000;

/** The last row written to each table: when it is in PostgreSQL, what was written before it has been captured. */
function markers(number: number): readonly { readonly write: Write; readonly seenBy: string }[] {
  const uuid = `00000000-0000-4000-8000-${String(number).padStart(12, '0')}`;
  const timeuuid = `${String(number).padStart(8, '0').slice(-8)}-0000-1000-8000-000000000000`;
  const id = cassandra.types.Uuid.fromString(uuid);
  const now = new Date();
  return [
    {
      write: insert('orders', { customer_id: id, placed_at: now, line: 0, note: 'marker' }),
      seenBy: `SELECT 1 FROM ${TARGET_SCHEMA}.orders WHERE customer_id = '${uuid}'`,
    },
    {
      write: insert('sessions', {
        user_id: id,
        session_id: cassandra.types.TimeUuid.fromString(timeuuid),
        agent: 'marker',
      }),
      seenBy: `SELECT 1 FROM ${TARGET_SCHEMA}.sessions WHERE user_id = '${uuid}'`,
    },
    {
      write: insert('products', { sku: `marker ${number}`, name: 'marker' }),
      seenBy: `SELECT 1 FROM ${TARGET_SCHEMA}.products WHERE sku = 'marker ${number}'`,
    },
    {
      write: insert('customers', { id, name: 'marker' }),
      seenBy: `SELECT 1 FROM ${TARGET_SCHEMA}.customers WHERE id = '${uuid}'`,
    },
  ];
}

/** Records behind the log ends, by the stored positions. */
export async function lagBehind(postgres: pg.Pool, ranges: readonly LogRange[]): Promise<number> {
  const { rows } = await postgres.query<{ topic: string; partition: number; next: string }>(
    `SELECT topic, partition, max(next_offset)::text AS next FROM ${TARGET_SCHEMA}._cdc_offsets GROUP BY topic, partition`,
  );
  const positions = new Map(rows.map(({ topic, partition, next }) => [`${topic}/${partition}`, BigInt(next)]));
  return ranges.reduce((lag, range) => {
    const position = positions.get(`${range.topic}/${range.partition}`) ?? range.start;
    return lag + Math.max(0, Number(range.end - position));
  }, 0);
}

/** Rows that wait to be read again from Cassandra, but for those that are due when something expires. */
async function queuedRereads(postgres: pg.Pool): Promise<number> {
  const { rows } = await postgres.query<{ queued: number }>(
    `SELECT count(*)::int AS queued FROM ${TARGET_SCHEMA}._cdc_queue
     WHERE kind IN ('re-read', 'existence') AND NOT trigger @> '[{"later": true}]'`,
  );
  return rows[0]?.queued ?? 0;
}

/** Writes the markers, waits for them, then for log ends that stand still and positions that have reached them. */
export async function drain(options: DrainOptions): Promise<DrainResult> {
  const { writer, kafka, postgres, topics, signal, onProgress } = options;
  const deadline = performance.now() + options.limitMs;
  const left = (): number => Math.max(0, deadline - performance.now());

  const marks = markers(markerNumber());
  for (const { write } of marks) await writer.write(write);
  onProgress('waiting for the last rows to arrive');
  const query = `SELECT ${marks.map(({ seenBy }) => `EXISTS (${seenBy})::int`).join(' + ')} AS seen`;
  let seen = 0;
  const arrived = await waitFor(
    async () => {
      await options.assertServing();
      seen = (await postgres.query<{ seen: number }>(query)).rows[0]?.seen ?? 0;
      return seen === marks.length;
    },
    { limitMs: left(), everyMs: LOOK_EVERY_MS, signal },
  );
  if (!arrived) return `the last row of ${marks.length - seen} tables did not arrive`;

  onProgress('waiting for the logs to come to rest');
  let ends = '';
  let sinceMs = performance.now();
  let lag = 0;
  const atRest = await waitFor(
    async () => {
      await options.assertServing();
      const ranges = await logRanges(kafka, topics);
      const now = ranges.map(({ end }) => end).join(' ');
      if (now !== ends) sinceMs = performance.now();
      ends = now;
      lag = await lagBehind(postgres, ranges);
      return lag === 0 && performance.now() - sinceMs >= STABLE_MS;
    },
    { limitMs: left(), everyMs: LOOK_EVERY_MS, signal },
  );
  if (!atRest) return lag > 0 ? `${lag} records were not applied` : 'records kept arriving';

  onProgress('waiting for rows to be read again');
  let queued = 0;
  const settled = await waitFor(
    async () => {
      await options.assertServing();
      queued = await queuedRereads(postgres);
      return queued === 0;
    },
    { limitMs: left(), everyMs: LOOK_EVERY_MS, signal },
  );
  if (!settled) return `${queued} rows were not read again`;

  onProgress('waiting for the last short-lived rows to expire');
  const expired = writer.counts.lastExpiryMs + AFTER_EXPIRY_MS;
  await waitFor(() => Date.now() >= expired, { limitMs: Math.max(0, expired - Date.now()), everyMs: 100, signal });
  return null;
}
