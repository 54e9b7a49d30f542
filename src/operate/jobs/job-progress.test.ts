import { expect, it } from 'vitest';
import type { EndedJob } from '../../target/stores/job-store.ts';
import { jobDocument } from './job-progress.ts';

const job = (more: Partial<EndedJob>): EndedJob => ({
  id: '00000000-0000-0000-0000-000000000001',
  kind: 'redrive',
  parameters: {},
  status: 'RUNNING',
  cursor: 0n,
  total: 0,
  counts: {},
  state: null,
  error: null,
  requestedBy: 'ann',
  startedMs: 0,
  heartbeatMs: 1_000,
  completedMs: null,
  verdict: null,
  report: null,
  ...more,
});

it('a redrive counts letters', () => {
  const counts = { applied: 3, failed: 1, 'failed:PG_23514': 1 };
  expect(jobDocument(job({ parameters: { filter: {}, dry_run: true }, total: 8, counts }))).toMatchObject({
    kind: 'redrive',
    dry_run: true,
    unit: 'letters',
    total: 8,
    done: 4,
    progress: 0.5,
    counts: { applied: 3, superseded: 0, queued: 0, failed: 1 },
    table: null,
    verdict: null,
    heard_at: '1970-01-01T00:00:01.000Z',
    completed_at: null,
  });
});

it('a comparison counts ranges while it runs, and says what it found at its end', () => {
  const parameters = { table: 'shop.orders', strategy: 'CHECKSUM', dry_run: false };
  const running = job({ kind: 'reconcile', parameters, total: 16, cursor: 4n });
  expect(jobDocument(running)).toMatchObject({
    kind: 'reconcile',
    table: 'shop.orders',
    validation_strategy: 'CHECKSUM',
    unit: 'ranges',
    total: 16,
    done: 4,
    progress: 0.25,
    verdict: null,
    counts: {},
  });
  const report = {
    ranges_due: 16,
    ranges_scanned: 15,
    compared: 1000,
    mismatch_count: 2,
    reasons: ['2 rows drift'],
    repaired: { applied: 1, stale: 1 },
    sample: null,
  };
  const ended = { ...running, status: 'COMPLETED' as const, completedMs: 5_000, verdict: 'DRIFT', report };
  expect(jobDocument(ended)).toMatchObject({
    verdict: 'DRIFT',
    reasons: ['2 rows drift'],
    done: 15,
    progress: 1,
    counts: { compared: 1000, mismatch_count: 2, repair_applied: 1, repair_stale: 1 },
    completed_at: '1970-01-01T00:00:05.000Z',
  });
});

it('a backfill tells rows and the share of the ring', () => {
  const backfill = job({
    kind: 'backfill',
    parameters: { table: 'shop.orders', has_statics: false },
    state: { phase: 'rows', position: { token: '0', key: null } },
    counts: { rows: 70, written: 60, unchanged: 9, failed: 1, 'failed:TEXT_NUL': 1 },
  });
  expect(jobDocument(backfill)).toMatchObject({
    kind: 'backfill',
    table: 'shop.orders',
    unit: 'rows',
    done: 70,
    progress: expect.closeTo(0.5, 3) as number,
    counts: { rows: 70, written: 60 },
    verdict: null,
  });
});

it('a rule tells keys and its verdict; one that failed has a reason and no progress', () => {
  const rule = job({ kind: 'rule', parameters: { rule: 'revenue', severity: 'critical' } });
  expect(jobDocument(rule)).toMatchObject({ kind: 'rule', rule: 'revenue', table: null, progress: null, done: 0 });
  const report = {
    cassandra_keys: 30,
    postgres_keys: 29,
    mismatch_count: 1,
    reasons: ['1 key differs'],
    mismatches: [{}],
  };
  expect(jobDocument({ ...rule, status: 'COMPLETED', verdict: 'DRIFT', report })).toMatchObject({
    verdict: 'DRIFT',
    unit: 'keys',
    done: 30,
    counts: { mismatch_count: 1, postgres_keys: 29 },
  });
  expect(jobDocument({ ...rule, status: 'FAILED', error: 'the source is gone' })).toMatchObject({
    status: 'FAILED',
    error: 'the source is gone',
    progress: null,
  });
});

it('a kind that this version does not know is named as it is', () => {
  expect(
    jobDocument(job({ kind: 'moonshot', parameters: null, total: 4, cursor: 1n, counts: { a: 1 } })),
  ).toMatchObject({
    kind: 'moonshot',
    unit: null,
    progress: 0.25,
    counts: { a: 1 },
  });
});
