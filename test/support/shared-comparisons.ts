/**
 * A member that shares comparisons of `COMPARED` against a real PostgreSQL; the source is rows in memory, the same in every
 * process. Run as a program it is a member that takes a part, says so, and never ends it: for tests that kill it.
 *
 *     node test/support/shared-comparisons.ts URL SCHEMA
 */
import type pg from 'pg';
import { rowKey } from '../../src/change/change-event.ts';
import type { Side } from '../../src/operate/end-state/service-sides.ts';
import { Comparisons, type ComparisonParts } from '../../src/operate/jobs/comparisons.ts';
import { JobQueue, jobSchemaOf, type DueMessage } from '../../src/operate/jobs/job-queue.ts';
import { createLogger } from '../../src/operate/telemetry/logger.ts';
import { loadConfigurationDefaults } from './configuration-defaults.ts';
import type { TableReport } from '../../src/reconcile/end-state/reconcile-with-statics.ts';
import type { ScannedRow } from '../../src/reconcile/end-state/source-slices.ts';
import { auditEntry } from '../../src/target/stores/audit-log.ts';
import type { BoundTable } from '../../src/target/bound-table.ts';
import { FindingStore } from '../../src/target/stores/finding-store.ts';
import { createPool, openTarget, type Target } from '../../src/target/index.ts';
import { JobStore } from '../../src/target/stores/job-store.ts';
import { PartStore } from '../../src/target/stores/part-store.ts';
import { TokenScan } from '../../src/target/scan/token-scan.ts';
import { VerifiedPoints } from '../../src/target/stores/verified-points.ts';
import { COMPARED, sourcePages } from './two-sides.ts';

const ROWS = 60;

/** Rows as the source has them, by key. */
export function sourceRows(table: BoundTable): Map<string, ScannedRow> {
  const rows = new Map<string, ScannedRow>();
  for (let n = 0; n < ROWS; n++) {
    const key = rowKey([String(n % 20), String(Math.floor(n / 20))]);
    const writeTime = BigInt(100 + n);
    const cells = [
      { writeTime, value: `v${n}`, expiry: null },
      { writeTime, value: String(n), expiry: null },
    ];
    rows.set(key.text, { key, token: table.tokenOf(key.values)!, cells });
  }
  return rows;
}

export interface MemberOptions {
  readonly pool: pg.Pool;
  readonly schema: string;
  readonly target: Target;
  readonly queue: ComparisonParts['queue'];
  readonly source: ReadonlyMap<string, ScannedRow>;
  readonly worker: string;
  /** Awaited before every scan of a range. */
  readonly beforeScan?: () => Promise<void>;
  readonly reconciliation?: Partial<ComparisonParts['reconciliation']>;
  readonly jobs?: JobStore;
  readonly onConcluded?: (report: TableReport) => void;
}

export function memberOf(options: MemberOptions): Comparisons {
  const { pool, schema, target, source, queue, worker, beforeScan, onConcluded } = options;
  const table = target.boundOf(COMPARED.name);
  const findings = new FindingStore(pool, schema);
  const clock = { nowMs: () => Date.now() };
  const side: Side = {
    side: 'rows',
    sourceId: () => Promise.resolve('the table'),
    changedSince: () => Promise.resolve(null),
    estimatedRows: () => Promise.resolve(ROWS),
    parts: {
      table,
      target: new TokenScan(pool, table, 7),
      scanSource: async function* (range) {
        await beforeScan?.();
        yield* sourcePages([...source.values()], range, [{ rows: 5, saysWhole: true }]);
      },
      readSource: (keys) => Promise.resolve(keys.map(({ text }) => source.get(text) ?? null)),
      nowUs: () => BigInt(clock.nowMs()) * 1000n,
      barrier: () => Promise.resolve(null),
      captured: () => Promise.resolve(null),
      repairs: target.repairs,
      findings,
      audit: (entry) => auditEntry(schema, entry),
      shard: { topic: COMPARED.topic, incarnation: 1, partition: 0 },
      quorumReads: true,
      pacing: { elapsedMs: () => performance.now(), pause: () => Promise.resolve() },
      onLeft: () => undefined,
    },
  };
  return new Comparisons({
    reconciliation: { ...loadConfigurationDefaults().reconciliation, ...options.reconciliation },
    queue,
    jobs: options.jobs ?? new JobStore(pool, schema),
    parts: new PartStore(pool, schema),
    findings,
    verified: new VerifiedPoints(pool, schema),
    sides: { of: () => Promise.resolve([side]) },
    clock,
    worker,
    random: Math.random,
    onConcluded: (_job, _table, report) => onConcluded?.(report),
  });
}

/** Takes work for a member until the signal. */
export async function workFor(
  queue: JobQueue,
  member: Comparisons,
  parts: number,
  signal: AbortSignal,
  onDue: (message: DueMessage) => Promise<void> = () => Promise.resolve(),
): Promise<void> {
  await queue.work({
    parts,
    onPart: (message, claim) => member.scan(message, AbortSignal.any([signal, claim])),
    onConclude: (message, claim) => member.conclude(message, AbortSignal.any([signal, claim])),
    onDue,
    onGivenUp: (message) => member.giveUp(message),
  });
}

if (import.meta.main) {
  const [url = '', schema = ''] = process.argv.slice(2);
  const pool = createPool({ url, poolSize: 3 });
  const target = await openTarget({ pool, controlSchema: schema, tables: [COMPARED], clock: { nowMs: () => 1e12 } });
  const queue = await JobQueue.open(url, jobSchemaOf(schema), createLogger({ level: 'silent' }));
  const source = sourceRows(target.boundOf(COMPARED.name));
  const beforeScan = (): Promise<void> => {
    process.stdout.write('holding\n');
    return new Promise(() => undefined);
  };
  const member = memberOf({ pool, schema, target, queue, source, worker: 'killed', beforeScan });
  await workFor(queue, member, 1, new AbortController().signal);
}
