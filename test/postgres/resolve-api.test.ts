/** Findings decided over HTTP, and jobs of every kind, on stores in a real PostgreSQL; the source is one row in memory. */
import { randomUUID } from 'node:crypto';
import type { FastifyInstance } from 'fastify';
import { afterAll, beforeAll, beforeEach, expect, inject, it } from 'vitest';
import { rowKey, type Cells } from '../../src/change/change-event.ts';
import { resolveByHand, type ResolveSystems } from '../../src/operate/end-state/resolve-by-hand.ts';
import { jobRoutes } from '../../src/operate/http/job-routes.ts';
import { resolveRoutes } from '../../src/operate/http/resolve-routes.ts';
import { ruleRoutes } from '../../src/operate/http/rule-routes.ts';
import { createHttpServer } from '../../src/operate/http/server.ts';
import { createLogger } from '../../src/operate/telemetry/logger.ts';
import type { Operations } from '../../src/operate/service/operations.ts';
import { classify } from '../../src/reconcile/end-state/classify.ts';
import { compareRows } from '../../src/reconcile/end-state/compare-rows.ts';
import { findingOf } from '../../src/reconcile/end-state/finding-of-drift.ts';
import { LockstepError } from '../../src/shared/errors.ts';
import { auditEntry } from '../../src/target/stores/audit-log.ts';
import { FindingDecisions } from '../../src/target/stores/finding-decisions.ts';
import { FindingStore } from '../../src/target/stores/finding-store.ts';
import { JobStore } from '../../src/target/stores/job-store.ts';
import { RuleFindingStore } from '../../src/target/stores/rule-finding-store.ts';
import { loadConfigurationDefaults } from '../support/configuration-defaults.ts';
import { openDoorRig, type DoorRig } from '../support/door-rig.ts';
import { COMPARED } from '../support/two-sides.ts';

const SCHEMA = 'resolve_api';
const TOKENS = [
  { name: 'reader', token: 'reader-token', scopes: ['read'] as const },
  { name: 'ann', token: 'ann-token', scopes: ['read', 'operate'] as const },
];
const KEY = rowKey(['1', '0']);
const SOURCE = { cells: [{ writeTime: 5n, value: 'right', expiry: null }, null] as Cells };

let rig: DoorRig;
let app: FastifyInstance;
let findings: FindingStore;
let ruleFindings: RuleFindingStore;
let jobs: JobStore;
let barrier: () => Promise<string | null>;
let begun: string[];
let modes: Record<string, 'off' | 'review' | 'auto'>;

interface Answer {
  readonly status: number;
  readonly body: Record<string, unknown>;
}

async function send(method: 'GET' | 'POST', url: string, payload?: object, as = 'ann'): Promise<Answer> {
  const headers = { authorization: `Bearer ${as}-token` };
  const answer = await app.inject({ method, url, headers, ...(payload === undefined ? {} : { payload }) });
  return { status: answer.statusCode, body: answer.json() };
}
const resolve = (id: bigint | string, payload: object, as = 'ann'): Promise<Answer> =>
  send('POST', `/reconciliation/mismatches/${id}/resolve`, { resolution_notes: 'because', ...payload }, as);

beforeAll(async () => {
  rig = await openDoorRig(inject('postgresUrl'), [COMPARED], { schema: SCHEMA });
  findings = new FindingStore(rig.pool, SCHEMA);
  ruleFindings = new RuleFindingStore(rig.pool, SCHEMA);
  jobs = new JobStore(rig.pool, SCHEMA);
  const systems: ResolveSystems = {
    findings,
    ruleFindings,
    decisions: new FindingDecisions(rig.pool, SCHEMA),
    get reconciliation() {
      const { counters, repair } = loadConfigurationDefaults().reconciliation;
      return { counters, repair: { ...repair, tables: modes } };
    },
    withParts: (_table, work) =>
      work({
        table: rig.target.tables[0]!,
        repairs: rig.target.repairs,
        findings,
        audit: (entry) => auditEntry(SCHEMA, entry),
        shard: { topic: COMPARED.topic, incarnation: 1, partition: 0 },
        quorumReads: true,
        pacing: { elapsedMs: () => performance.now(), pause: () => Promise.resolve() },
        barrier: () => barrier(),
        readSource: () => Promise.resolve([SOURCE]),
        nowUs: () => BigInt(rig.clock.nowMs()) * 1000n,
      }),
  };
  const operations = {
    jobs,
    resolve: ((...request) => resolveByHand(systems, ...request)) satisfies Operations['resolve'],
    rules: {
      findings: ruleFindings,
      standing: () => Promise.resolve([]),
      begin: async (names: readonly string[]) => {
        if (names.includes('busy')) {
          throw new LockstepError('rule busy is being run', { code: 'RULE_RUNNING', kind: 'usage', remedy: 'wait' });
        }
        begun.push(...names);
        return Promise.resolve([randomUUID()]);
      },
    },
  } as unknown as Operations;
  const routes = [resolveRoutes, jobRoutes, ruleRoutes].map((each) => each(() => operations));
  app = createHttpServer({ tokens: TOKENS, routes, logger: createLogger({ level: 'silent' }) });
});
afterAll(async () => {
  await app.close();
  await rig.close();
});
beforeEach(async () => {
  barrier = () => Promise.resolve(null);
  begun = [];
  modes = {};
  await rig.pool.query(
    `TRUNCATE compared, ${SCHEMA}._cdc_findings, ${SCHEMA}._cdc_rule_findings, ${SCHEMA}._cdc_audit_log`,
  );
  await rig.pool.query(`INSERT INTO compared (p, c, a, b) VALUES (1, 0, 'wrong', NULL)`);
});

/** A finding as a comparison notes it. */
async function finding(): Promise<bigint> {
  const table = rig.target.tables[0]!;
  const nowUs = BigInt(rig.clock.nowMs()) * 1000n;
  const { rows } = await rig.target.repairs.session((session) => session.observe(COMPARED.name, [KEY]));
  const observed = rows[0]!;
  const difference = compareRows(table, SOURCE, observed.row, nowUs)!;
  const classification = classify(table, difference, SOURCE, observed.row, observed.coveredAt, nowUs);
  const found = findingOf(table, { key: KEY, classification, source: SOURCE, observed }, nowUs);
  const [noted] = await findings.record(table.id, randomUUID(), [found]);
  return noted!.id;
}

async function ruleFinding(): Promise<bigint> {
  await ruleFindings.record({ name: 'revenue', severity: 'critical' }, randomUUID(), [
    {
      key: '["2026-11-01"]',
      kind: 'VALUE_MISMATCH',
      columns: ['total'],
      source: { total: '1' },
      target: { total: '2' },
    },
  ]);
  return (await ruleFindings.list({ limit: 1 }))[0]!.id;
}

const shown = async (): Promise<unknown> =>
  (await rig.pool.query<Record<string, string>>('SELECT a, b FROM compared')).rows[0] ?? null;

it('a finding is closed by its status, once, and its row stays', async () => {
  const id = await finding();
  const closed = await resolve(id, { resolution_status: 'MANUAL_RESOLVED' });
  expect(closed).toMatchObject({
    status: 200,
    body: {
      outcome: 'closed',
      mismatch: {
        mismatch_id: Number(id),
        resolution_status: 'MANUAL_RESOLVED',
        resolution_notes: 'because',
        resolved_by: 'ann',
      },
      rule_finding: null,
    },
  });
  expect(await resolve(id, { resolution_status: 'IGNORED' })).toMatchObject({
    status: 409,
    body: { code: 'FINDING_RESOLVED', remedy: expect.stringContaining('PENDING') as string },
  });
  expect(await resolve(id, { action: 'APPLY_SOURCE' })).toMatchObject({ status: 409 });
  expect(await shown()).toEqual({ a: 'wrong', b: null });
});

it('APPLY_SOURCE repairs; a dry run only tells', async () => {
  const id = await finding();
  const would = await resolve(id, { action: 'APPLY_SOURCE', dry_run: true });
  expect(would).toMatchObject({
    status: 200,
    body: { outcome: 'applied', dry_run: true, mismatch: { resolution_status: 'PENDING' } },
  });
  expect(await shown()).toEqual({ a: 'wrong', b: null });
  expect(await resolve(id, { action: 'APPLY_SOURCE' })).toMatchObject({
    status: 200,
    body: {
      outcome: 'applied',
      before: { columns: { a: { value: 'wrong' } } },
      after: { columns: { a: { value: 'right', write_time: '5' } } },
      mismatch: { resolution_status: 'MANUAL_RESOLVED' },
    },
  });
  expect(await shown()).toEqual({ a: 'right', b: null });
});

it('CUSTOM_FIX writes a value, KEEP_TARGET accepts, and accepting twice is a conflict', async () => {
  const id = await finding();
  expect((await resolve(id, { action: 'KEEP_TARGET' })).body).toMatchObject({
    outcome: 'closed',
    mismatch: { resolution_status: 'IGNORED' },
  });
  expect((await resolve(id, { action: 'KEEP_TARGET' })).status).toBe(409);
  // Whoever has accepted it may still correct it.
  expect((await resolve(id, { action: 'CUSTOM_FIX', value: { a: 'mine', b: 5 } })).body).toMatchObject({
    outcome: 'applied',
  });
  expect(await shown()).toEqual({ a: 'mine', b: '5' });
});

it('what is not as it was is a conflict with what to do, and nothing is written', async () => {
  const id = await finding();
  await rig.pool.query(`UPDATE compared SET a = 'something else'`);
  const moved = await resolve(id, { action: 'CUSTOM_FIX', value: { b: '5' } });
  expect(moved).toMatchObject({
    status: 409,
    body: { code: 'FINDING_STALE', remedy: expect.stringContaining('reconcile run') as string },
  });
  barrier = () => Promise.resolve('12 records are not applied yet');
  expect(await resolve(id, { action: 'APPLY_SOURCE' })).toMatchObject({ status: 409, body: { code: 'FINDING_STALE' } });
  expect(await resolve(id, { action: 'CUSTOM_FIX', value: null })).toMatchObject({ status: 409 });
  expect(await shown()).toEqual({ a: 'something else', b: null });
});

it('rows of a table whose repair mode is off are not written; its findings may be closed', async () => {
  const id = await finding();
  modes = { [COMPARED.name]: 'off' };
  for (const payload of [{ action: 'APPLY_SOURCE' }, { action: 'CUSTOM_FIX', value: { a: 'x' } }]) {
    expect(await resolve(id, payload)).toMatchObject({
      status: 409,
      body: { code: 'ACTION_REFUSED', remedy: expect.stringContaining('review') as string },
    });
  }
  expect(await shown()).toEqual({ a: 'wrong', b: null });
  expect((await resolve(id, { action: 'KEEP_TARGET' })).status).toBe(200);
});

it('a finding of a rule is closed by its name, and has no row to write', async () => {
  const id = await ruleFinding();
  expect(await resolve(`rule-${id}`, { action: 'APPLY_SOURCE' })).toMatchObject({
    status: 409,
    body: { code: 'ACTION_REFUSED', detail: expect.stringContaining('sums of many rows') as string },
  });
  expect((await resolve(`rule-${id}`, { action: 'KEEP_TARGET', dry_run: true })).body).toMatchObject({
    rule_finding: { resolution_status: 'PENDING' },
  });
  expect((await resolve(`rule-${id}`, { action: 'KEEP_TARGET' })).body).toMatchObject({
    outcome: 'closed',
    mismatch: null,
    rule_finding: { rule: 'revenue', resolution_status: 'IGNORED', resolved_by: 'ann' },
  });
  expect((await resolve(`rule-${id}`, { resolution_status: 'IGNORED' })).status).toBe(409);
  const { rows } = await rig.pool.query<Record<string, string>>(
    `SELECT actor, action, reason FROM ${SCHEMA}._cdc_audit_log`,
  );
  expect(rows).toEqual([{ actor: 'ann', action: 'IGNORED', reason: 'because' }]);
});

it('one that is not there is 404; who may only look is refused; a request that says two things, too', async () => {
  const id = await finding();
  for (const unknown of [999_999n, 'rule-999999']) {
    expect((await resolve(unknown, { action: 'KEEP_TARGET' })).status).toBe(404);
  }
  expect(await resolve(id, { action: 'KEEP_TARGET' }, 'reader')).toMatchObject({
    status: 403,
    body: { code: 'SCOPE_MISSING' },
  });
  for (const wrong of [
    {},
    { action: 'KEEP_TARGET', resolution_status: 'IGNORED' },
    { action: 'CUSTOM_FIX' },
    { action: 'KEEP_TARGET', value: { a: 'x' } },
    { resolution_status: 'AUTO_RESOLVED' },
    { action: 'KEEP_TARGET', resolution_notes: ' ' },
    { action: 'CUSTOM_FIX', value: { a: 'x' }, nonsense: 1 },
    { action: 'CUSTOM_FIX', value: { nonsense: 'x' } },
  ]) {
    expect([wrong, (await resolve(id, wrong)).status]).toEqual([wrong, 400]);
  }
  expect((await findings.load(id)).status).toBe('PENDING');
});

it('jobs are what they are: a comparison is no redrive, and a rule can be cancelled', async () => {
  const comparison = randomUUID();
  const parameters = { table: COMPARED.name, strategy: 'CHECKSUM', dry_run: false };
  await jobs.create({ id: comparison, kind: 'reconcile', parameters, total: 16, requestedBy: 'ann' });
  expect((await send('GET', `/jobs/${comparison}`, undefined, 'reader')).body).toMatchObject({
    kind: 'reconcile',
    status: 'RUNNING',
    table: COMPARED.name,
    validation_strategy: 'CHECKSUM',
    progress: 0,
    verdict: null,
  });
  await jobs.conclude(comparison, 'PASS', { ranges_due: 16, ranges_scanned: 16, mismatch_count: 0, reasons: [] });
  expect((await send('GET', `/jobs/${comparison}`)).body).toMatchObject({
    status: 'COMPLETED',
    verdict: 'PASS',
    progress: 1,
    counts: { mismatch_count: 0 },
  });
  const rule = randomUUID();
  await jobs.create({ id: rule, kind: 'rule', parameters: { rule: 'revenue' }, total: 0, requestedBy: 'ann' });
  expect((await send('POST', `/jobs/${rule}/cancel`)).body).toMatchObject({
    kind: 'rule',
    rule: 'revenue',
    status: 'CANCELLED',
  });
  expect((await send('POST', `/jobs/${comparison}/cancel`)).body).toMatchObject({ code: 'JOB_ENDED' });
  expect((await send('GET', `/jobs/${randomUUID()}`)).status).toBe(404);
});

it('findings of rules are listed, and rules run when they are asked to', async () => {
  const id = await ruleFinding();
  expect(
    (await send('GET', '/reconciliation/rules/findings?resolution_status=PENDING', undefined, 'reader')).body,
  ).toMatchObject({
    total: 1,
    findings: [
      {
        mismatch_id: Number(id),
        rule: 'revenue',
        severity: 'critical',
        key: '["2026-11-01"]',
        mismatch_type: 'VALUE_MISMATCH',
        cassandra_values: { total: '1' },
        postgres_values: { total: '2' },
      },
    ],
  });
  expect((await send('GET', '/reconciliation/rules/findings?rule=other')).body).toMatchObject({
    total: 0,
    findings: [],
  });
  expect((await send('GET', '/reconciliation/rules')).body).toEqual({ rules: [] });
  expect((await send('POST', '/reconciliation/rules/trigger', { rules: ['revenue'] })).status).toBe(202);
  expect(begun).toEqual(['revenue']);
  expect(await send('POST', '/reconciliation/rules/trigger', { rules: ['busy'] })).toMatchObject({
    status: 409,
    body: { code: 'RULE_RUNNING' },
  });
  expect((await send('POST', '/reconciliation/rules/trigger', {}, 'reader')).status).toBe(403);
});
