/** Members that share comparisons through the job queue in a real PostgreSQL; one of them is killed. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { afterAll, beforeAll, beforeEach, expect, inject, it } from 'vitest';
import type { ComparisonRequest } from '../../src/operate/jobs/comparison-request.ts';
import type { Comparisons } from '../../src/operate/jobs/comparisons.ts';
import { DueComparisons } from '../../src/operate/jobs/due-comparisons.ts';
import { JobQueue, jobSchemaOf, type DueMessage } from '../../src/operate/jobs/job-queue.ts';
import { createLogger } from '../../src/operate/telemetry/logger.ts';
import { RECONCILE } from '../../src/operate/end-state/run-comparison.ts';
import type { ScannedRow } from '../../src/reconcile/end-state/source-slices.ts';
import { LockstepError } from '../../src/shared/errors.ts';
import { FindingStore } from '../../src/target/stores/finding-store.ts';
import { JobStore, type EndedJob } from '../../src/target/stores/job-store.ts';
import { PartStore } from '../../src/target/stores/part-store.ts';
import { ScanBudget } from '../../src/target/stores/scan-budget.ts';
import { VerifiedPoints } from '../../src/target/stores/verified-points.ts';
import { loadConfigurationDefaults } from '../support/configuration-defaults.ts';
import { openDoorRig, type DoorRig } from '../support/door-rig.ts';
import { memberOf, sourceRows, workFor, type MemberOptions } from '../support/shared-comparisons.ts';
import { COMPARED } from '../support/two-sides.ts';

const SCHEMA = 'shared_comparisons';
const stop = new AbortController();
const logger = createLogger({ level: 'silent' });

let rig: DoorRig;
/** Of the member that begins runs; it takes work from the third test on. */
let queue: JobQueue;
let jobs: JobStore;
let parts: PartStore;
let source: Map<string, ScannedRow>;
const due: DueMessage[] = [];
let fail: (() => Promise<void>) | null = null;
let onDue: (message: DueMessage) => Promise<void> = () => Promise.resolve();

const member = (worker: string, more: Partial<MemberOptions> = {}): Comparisons =>
  memberOf({ pool: rig.pool, schema: SCHEMA, target: rig.target, queue, source, worker, ...more });

beforeAll(async () => {
  const url = inject('postgresUrl');
  rig = await openDoorRig(url, [COMPARED], { schema: SCHEMA });
  await rig.pool.query(`DROP SCHEMA IF EXISTS ${jobSchemaOf(SCHEMA)} CASCADE`);
  queue = await JobQueue.open(url, jobSchemaOf(SCHEMA), logger);
  jobs = new JobStore(rig.pool, SCHEMA);
  parts = new PartStore(rig.pool, SCHEMA);
  source = new Map();
  const table = rig.target.boundOf(COMPARED.name);
  const rows = sourceRows(table);
  await rig.apply(
    COMPARED,
    0,
    [...rows.values()].map(({ key, cells }) => {
      const writeTime = cells[0]!.writeTime;
      const marker = { writeTime, expiry: null };
      return { kind: 'write', table: COMPARED.name, key, writeTime, ambiguity: null, marker, cells };
    }),
  );
});
afterAll(async () => {
  stop.abort();
  await queue.close();
  await rig.close();
});
beforeEach(() => {
  source.clear();
  for (const [key, row] of sourceRows(rig.target.boundOf(COMPARED.name))) source.set(key, row);
  fail = null;
});

const request = (more: Partial<ComparisonRequest> = {}): ComparisonRequest => ({
  table: COMPARED.name,
  strategy: 'CHECKSUM',
  jobType: 'MANUAL',
  repair: false,
  dryRun: false,
  mayBeEmpty: false,
  sampleRows: null,
  span: { fromUs: null, toUs: null },
  requestedBy: 'ann',
  ...more,
});

async function look(id: string): Promise<EndedJob> {
  return (await jobs.newest(RECONCILE, { id }, { limit: 1, offset: 0 })).jobs[0]!;
}

async function until<T>(what: string, ask: () => Promise<T | false>, limitMs = 60_000): Promise<T> {
  const deadline = performance.now() + limitMs;
  for (;;) {
    const answer = await ask();
    if (answer !== false) return answer;
    if (performance.now() > deadline) throw new Error(`not within ${limitMs} ms: ${what}`);
    await delay(100);
  }
}

const ended = (id: string): Promise<EndedJob> =>
  until('the run ends', async () => {
    const job = await look(id);
    return job.status === 'RUNNING' ? false : job;
  });

const report = (job: EndedJob): Record<string, unknown> => job.report as Record<string, unknown>;

it('the range of a killed worker is taken over; until then there is no verdict, and it is no PASS', async () => {
  const id = await member('a').begin(request());
  const program = join(import.meta.dirname, '..', 'support', 'shared-comparisons.ts');
  const child = spawn(process.execPath, [program, inject('postgresUrl'), SCHEMA], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const exited = once(child, 'exit');
  await once(child.stdout, 'data');
  child.kill('SIGKILL');
  await exited;
  expect(await look(id)).toMatchObject({ status: 'RUNNING', verdict: null });

  const gate = async (): Promise<void> => fail?.();
  await workFor(queue, member('a', { beforeScan: gate }), 2, stop.signal, async (message) => {
    due.push(message);
    await onDue(message);
  });
  const other = await JobQueue.open(inject('postgresUrl'), jobSchemaOf(SCHEMA), logger);
  try {
    await workFor(other, member('b', { beforeScan: gate }), 2, stop.signal);
    await until('all but one are scanned', async () => (await look(id)).cursor === 15n);
    // The one that the killed worker holds is missing.
    expect(await look(id)).toMatchObject({ status: 'RUNNING', verdict: null, total: 16 });
    const job = await ended(id);
    expect(job).toMatchObject({ status: 'COMPLETED', verdict: 'PASS' });
    expect(report(job)).toMatchObject({ coverage: 1, ranges_due: 16, compared: 60, cassandra_row_count: 60 });
    const scanned = await rig.pool.query<{ worker: string }>(
      `SELECT DISTINCT worker FROM ${SCHEMA}._cdc_job_ranges WHERE job_id = $1 ORDER BY worker`,
      [id],
    );
    expect(scanned.rows.map(({ worker }) => worker)).toEqual(['a', 'b']);
  } finally {
    await other.close();
  }
}, 120_000);

it('a range that can not be scanned is a hole, and the verdict names it', async () => {
  fail = () => Promise.reject(new LockstepError('no such column', { code: 'SOURCE_QUERY', kind: 'config' }));
  const id = await member('a').begin(request());
  await until('a range is given up', async () => (await parts.all(id)).some(({ status }) => status === 'UNSCANNED'));
  fail = null;
  const job = await ended(id);
  expect(job).toMatchObject({ status: 'COMPLETED', verdict: 'INCONCLUSIVE' });
  expect(report(job)['coverage']).toBeLessThan(1);
  expect(JSON.stringify(report(job)['reasons'])).toContain('no such column');
  expect(await new VerifiedPoints(rig.pool, SCHEMA).of(rig.target.boundOf(COMPARED.name).id)).not.toBeNull();
}, 60_000);

it('a scan that fails for a moment is tried again', async () => {
  let failures = 0;
  fail = () => {
    failures += 1;
    if (failures > 3) return Promise.resolve();
    return Promise.reject(new LockstepError('a node is down', { code: 'SOURCE_UNREACHABLE', kind: 'transient' }));
  };
  const id = await member('a').begin(request({ strategy: 'ROW_COUNT' }));
  expect(await ended(id)).toMatchObject({ verdict: 'PASS' });
  expect(failures).toBeGreaterThan(16);
}, 60_000);

it('what two workers bring of one range is stored once, and a run that was cancelled is left alone', async () => {
  const sent: string[] = [];
  const silent = { sendParts: () => Promise.resolve(), sendConclude: async () => void sent.push('conclude') };
  const [a, b] = [member('a', { queue: silent }), member('b', { queue: silent })];
  const id = await a.begin(request());
  for (const { part } of await parts.all(id)) {
    const message = { job_id: id, side: 'rows' as const, part };
    await Promise.all([a.scan(message, stop.signal), b.scan(message, stop.signal)]);
  }
  expect(await look(id)).toMatchObject({ cursor: 16n, status: 'RUNNING' });
  expect(sent).toEqual(['conclude']);
  await jobs.finish(id, 'CANCELLED', null);
  await a.conclude({ job_id: id }, stop.signal);
  expect(await look(id)).toMatchObject({ status: 'CANCELLED', verdict: null });
});

it('a conclusion that is taken over after its repairs still tells of the drift', async () => {
  await rig.pool.query(`UPDATE compared SET a = 'spoilt' WHERE p = 2 AND c = 1`);
  const silent = { sendParts: () => Promise.resolve(), sendConclude: () => Promise.resolve() };
  const lost = new (class extends JobStore {
    override conclude(): Promise<void> {
      return Promise.reject(new LockstepError('gone', { code: 'PG_UNAVAILABLE', kind: 'transient' }));
    }
  })(rig.pool, SCHEMA);
  const first = member('a', { queue: silent, jobs: lost });
  const id = await first.begin(request({ repair: true }));
  for (const { part } of await parts.all(id)) await first.scan({ job_id: id, side: 'rows', part }, stop.signal);
  await expect(first.conclude({ job_id: id }, stop.signal)).rejects.toThrow('gone');
  await member('b', { queue: silent }).conclude({ job_id: id }, stop.signal);
  const job = await look(id);
  expect(job).toMatchObject({ status: 'COMPLETED', verdict: 'DRIFT' });
  expect(report(job)).toMatchObject({ mismatch_count: 1, mismatches_by_type: { DATA_MISMATCH: 1 } });
  const { rows } = await rig.pool.query<{ a: string }>('SELECT a FROM compared WHERE p = 2 AND c = 1');
  expect(rows[0]?.a).toBe('v22');
});

it('repairs by themselves stop for the day when there were too many', async () => {
  await rig.pool.query(`UPDATE compared SET a = 'spoilt' WHERE p < 2 AND c = 1`);
  const { repair } = loadConfigurationDefaults().reconciliation;
  const id = await member('a', {
    queue: { sendParts: () => Promise.resolve(), sendConclude: () => Promise.resolve() },
  }).begin(request({ repair: true }));
  const strict = member('b', {
    queue: { sendParts: () => Promise.resolve(), sendConclude: () => Promise.resolve() },
    reconciliation: { repair: { ...repair, maxRowsPerDay: 2 } },
  });
  for (const { part } of await parts.all(id)) await strict.scan({ job_id: id, side: 'rows', part }, stop.signal);
  await strict.conclude({ job_id: id }, stop.signal);
  expect(report(await look(id))).toMatchObject({
    repaired: { applied: 0 },
    repair_refused: '2 rows drift, and only 1 more may be repaired without a person within a day',
  });
  await rig.pool.query(`UPDATE compared SET a = 'v' || (20 + p) WHERE p < 2 AND c = 1`);
});

it('an incremental comparison goes on where the last one that covered the table ended', async () => {
  const verified = new VerifiedPoints(rig.pool, SCHEMA);
  const tableId = rig.target.boundOf(COMPARED.name).id;
  const before = (await verified.of(tableId))!;
  const id = await member('a').begin(request({ strategy: 'TIMESTAMP_RANGE' }));
  const job = await ended(id);
  const skewUs = BigInt(loadConfigurationDefaults().reconciliation.windows.skew) * 1000n;
  expect((job.parameters as { from_us: string }).from_us).toBe(String(before - skewUs));
  expect(job.verdict).toBe('PASS');
  expect(await verified.of(tableId)).toBeGreaterThan(before);
  const dry = await member('a').begin(request({ strategy: 'TIMESTAMP_RANGE', dryRun: true }));
  const moved = await verified.of(tableId);
  await ended(dry);
  expect(await verified.of(tableId)).toBe(moved);
}, 60_000);

it('a schedule fires, begins a run, and not a second one beside it', async () => {
  const { reconciliation } = loadConfigurationDefaults();
  const leftOut: (string | null)[] = [];
  const scheduled = new DueComparisons({
    reconciliation: { ...reconciliation, repair: { ...reconciliation.repair, tables: { [COMPARED.name]: 'auto' } } },
    tables: [COMPARED.name],
    comparisons: member('a'),
    jobs,
    clock: { nowMs: () => Date.now() },
    startedMs: Date.now(),
    onDue: (_table, _strategy, reason) => leftOut.push(reason),
  });
  onDue = (message) => scheduled.handle(message);
  let release = (): void => undefined;
  const held = new Promise<void>((resolve) => {
    release = resolve;
  });
  fail = () => held;
  const message: DueMessage = { kind: 'schedule', strategy: 'SAMPLE', repair: true, tables: [] };
  due.length = 0;
  await queue.schedule([{ key: 'every-second', cron: '* * * * * *', message }]);
  await until('the schedule fires', async () => leftOut.length > 0 && leftOut);
  expect(due[0]).toEqual(message);
  const filter = { strategy: 'SAMPLE', jobType: 'SCHEDULED' };
  const [job] = (await jobs.newest(RECONCILE, filter, { limit: 1, offset: 0 })).jobs;
  expect(job).toMatchObject({ requestedBy: 'schedule', parameters: { repair: true, sample_rows: 1000 } });
  await scheduled.handle(message);
  expect(leftOut).toEqual([null, 'the one before it is still running']);
  await queue.schedule([]);
  release();
  expect(await ended(job!.id)).toMatchObject({ status: 'COMPLETED', verdict: 'PASS' });
}, 60_000);

it('upkeep begins incremental comparisons an interval apart, and ends runs that nobody works on', async () => {
  const { reconciliation } = loadConfigurationDefaults();
  const now = Date.now();
  const begun: string[] = [];
  const at = (nowMs: number): DueComparisons =>
    new DueComparisons({
      reconciliation,
      tables: [COMPARED.name],
      comparisons: { begin: async ({ strategy }) => String(begun.push(strategy)) },
      jobs,
      clock: { nowMs: () => nowMs },
      startedMs: now,
      onDue: () => undefined,
    });
  await jobs.create({
    id: '00000000-0000-4000-8000-000000000001',
    kind: RECONCILE,
    parameters: {},
    total: 1,
    requestedBy: 'x',
  });
  await rig.pool.query(
    `UPDATE ${SCHEMA}._cdc_jobs SET heartbeat_at = now() - interval '2 days' WHERE requested_by = 'x'`,
  );
  await at(now + 59 * 60_000).handle({ kind: 'upkeep' });
  expect(begun).toEqual([]);
  expect(await jobs.load('00000000-0000-4000-8000-000000000001')).toMatchObject({ status: 'FAILED' });
  await at(now + 60 * 60_000).handle({ kind: 'upkeep' });
  expect(begun).toEqual(['TIMESTAMP_RANGE']);
});

it('the budget of scans is one for all members', async () => {
  const budgets = [new ScanBudget(rig.pool, SCHEMA), new ScanBudget(rig.pool, SCHEMA)];
  const waits: number[] = [];
  for (let i = 0; i < 6; i++) waits.push(await budgets[i % 2]!.take('test', 10_000));
  expect(waits[0]).toBe(0);
  expect(waits[5]).toBeGreaterThan(45_000);
  expect(waits[5]).toBeLessThanOrEqual(50_000);
  expect(await budgets[0]!.take('other', 10_000)).toBe(0);
});

it('findings of a run are those that it saw', async () => {
  const findings = new FindingStore(rig.pool, SCHEMA);
  await rig.pool.query(`DELETE FROM compared WHERE p = 5 AND c = 0`);
  const id = await member('a').begin(request());
  const job = await ended(id);
  expect(job.verdict).toBe('DRIFT');
  expect(await findings.list({ jobId: id, limit: 10, offset: 0 })).toMatchObject([
    { type: 'MISSING_IN_POSTGRES', rowKey: '["5","0"]', status: 'PENDING' },
  ]);
}, 60_000);
