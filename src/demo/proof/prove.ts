/**
 * The proof: PostgreSQL holds what Cassandra holds, and the ledger accounts for every record in between.
 *
 * It shares no decoder with the service: Cassandra is read as JSON, PostgreSQL as text, Kafka by a consumer of its own,
 * each with conversions written for the proof. Both sides must be at rest (../drain.ts).
 */
import type cassandra from 'cassandra-driver';
import type { Kafka } from 'kafkajs';
import pg from 'pg';
import { pause } from '../waiting.ts';
import { checkChangelog } from './check-changelog.ts';
import { checkDeadLetters } from './check-dead-letters.ts';
import { checkLedger, type Check, type LedgerTotals } from './check-ledger.ts';
import { compareTables, mismatchesOf, type TableComparison } from './compare-tables.ts';
import { readLedger, readReplayed } from './ledger-account.ts';
import { readLogAccount } from './log-account.ts';
import { readSource, sourceColumns } from './source-rows.ts';
import { readTarget, type TargetName } from './target-rows.ts';

/** A table and where it arrives. */
export interface ProofTable {
  readonly keyspace: string;
  readonly table: string;
  readonly target: TargetName;
  readonly topic: string;
}

/** What the proof is about. */
export interface ProofSubject {
  readonly source: cassandra.Client;
  readonly postgresUrl: string;
  readonly kafka: Kafka;
  readonly tables: readonly ProofTable[];
  /** Schema of the control tables. */
  readonly controlSchema: string;
  readonly dlqTopic: string;
}

/** PASS is proven; DRIFT is seen; whatever could not be checked is INCONCLUSIVE. */
export type Verdict = 'PASS' | 'DRIFT' | 'INCONCLUSIVE';

/** Everything that the proof found. */
export interface ProofResult {
  readonly verdict: Verdict;
  readonly tables: Readonly<Record<string, TableComparison>>;
  readonly checks: readonly Check[];
  readonly ledger: LedgerTotals;
  readonly deadLetters: { readonly indexed: number; readonly codes: readonly string[] };
  readonly tookMs: number;
}

/**
 * Both sides are at rest, but PostgreSQL may still owe the removal of values that have expired. What differs is looked
 * at again this long before it counts.
 */
const RECHECK_LIMIT_MS = 15_000;
const RECHECK_EVERY_MS = 1_000;

async function compareOnce(
  subject: ProofSubject,
  client: pg.Client,
  { keyspace, table, target }: ProofTable,
): Promise<TableComparison> {
  const columns = await sourceColumns(subject.source, keyspace, table);
  // The target first: a row that expires between the two looks is then missing at worst, and is looked at again.
  const image = await readTarget(client, target, columns);
  return compareTables(columns, await readSource(subject.source, keyspace, table, columns), image);
}

/** Compares one table, again while it differs, and gives the last answer. */
async function compareUntilEqual(
  subject: ProofSubject,
  client: pg.Client,
  table: ProofTable,
  limitMs: number,
  signal?: AbortSignal,
): Promise<TableComparison> {
  const deadline = performance.now() + limitMs;
  for (;;) {
    const comparison = await compareOnce(subject, client, table);
    if (mismatchesOf(comparison) === 0 || performance.now() >= deadline) return comparison;
    await pause(RECHECK_EVERY_MS, signal);
  }
}

/** The verdict over all answers. Rows must have been compared: equality of nothing proves nothing. */
export function verdictOf(tables: readonly TableComparison[], checks: readonly Check[]): Verdict {
  if (tables.some((table) => mismatchesOf(table) > 0) || checks.some(({ ok }) => !ok)) return 'DRIFT';
  const proven = tables.length > 0 && tables.every((table) => table.unreadable === 0 && table.rowsSource > 0);
  return proven ? 'PASS' : 'INCONCLUSIVE';
}

/** Options of {@link prove}. */
export interface ProveOptions {
  readonly signal?: AbortSignal;
  /** How long a difference may last before it counts; default 15 s. */
  readonly recheckLimitMs?: number;
  readonly onProgress?: (what: string) => void;
}

/** Runs the proof. */
export async function prove(subject: ProofSubject, options: ProveOptions = {}): Promise<ProofResult> {
  const { signal, onProgress = () => undefined, recheckLimitMs = RECHECK_LIMIT_MS } = options;
  const began = performance.now();
  const client = new pg.Client({ connectionString: subject.postgresUrl, application_name: 'lockstep-demo-proof' });
  client.on('error', () => undefined);
  await client.connect();
  try {
    const comparisons: [string, TableComparison][] = [];
    for (const table of subject.tables) {
      onProgress(`comparing ${table.keyspace}.${table.table}`);
      signal?.throwIfAborted();
      comparisons.push([
        `${table.keyspace}.${table.table}`,
        await compareUntilEqual(subject, client, table, recheckLimitMs, signal),
      ]);
    }
    onProgress('reading the source topics');
    const topics = subject.tables.map(({ topic }) => topic);
    const log = await readLogAccount(subject.kafka, topics, signal);
    onProgress('checking the ledger');
    const { controlSchema } = subject;
    const replayed = await readReplayed(client, controlSchema, topics);
    const { checks, totals, ids } = checkLedger(log, await readLedger(client, controlSchema, topics), replayed);
    onProgress('reading the changelog');
    for (const keyspace of new Set(subject.tables.map((table) => table.keyspace))) {
      const own = subject.tables.filter((table) => table.keyspace === keyspace).map(({ table }) => table);
      checks.push(await checkChangelog(subject.source, keyspace, own, ids));
    }
    const letters = await checkDeadLetters(
      client,
      subject.kafka,
      log,
      { schema: controlSchema, dlqTopic: subject.dlqTopic, topics },
      signal,
    );
    const all = [...checks, ...letters.checks];
    return {
      verdict: verdictOf(
        comparisons.map(([, comparison]) => comparison),
        all,
      ),
      tables: Object.fromEntries(comparisons),
      checks: all,
      ledger: totals,
      deadLetters: { indexed: letters.indexed, codes: letters.codes },
      tookMs: performance.now() - began,
    };
  } finally {
    await client.end().catch(() => undefined);
  }
}
