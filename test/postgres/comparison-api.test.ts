/** Comparisons and findings over HTTP, on stores in a real PostgreSQL. */
import { randomUUID } from 'node:crypto';
import type { FastifyInstance } from 'fastify';
import { afterAll, beforeAll, expect, inject, it } from 'vitest';
import { rowKey } from '../../src/change/change-event.ts';
import { comparisonRoutes } from '../../src/operate/http/comparison-routes.ts';
import { createHttpServer } from '../../src/operate/http/server.ts';
import { createLogger } from '../../src/operate/telemetry/logger.ts';
import type { Operations } from '../../src/operate/service/operations.ts';
import { FindingStore } from '../../src/target/stores/finding-store.ts';
import { JobStore } from '../../src/target/stores/job-store.ts';
import { openDoorRig, type DoorRig } from '../support/door-rig.ts';
import { COMPARED } from '../support/two-sides.ts';

const SCHEMA = 'comparison_api';
const TOKENS = [
  { name: 'reader', token: 'reader-token', scopes: ['read'] as const },
  { name: 'operator', token: 'operator-token', scopes: ['read', 'operate'] as const },
];

let rig: DoorRig;
let app: FastifyInstance;
let jobs: JobStore;
let findings: FindingStore;
const jobIds = [randomUUID(), randomUUID(), randomUUID()];

async function get(path: string, as = 'reader'): Promise<{ status: number; body: Record<string, unknown> }> {
  const answer = await app.inject({ url: path, headers: { authorization: `Bearer ${as}-token` } });
  return { status: answer.statusCode, body: answer.json() };
}

beforeAll(async () => {
  rig = await openDoorRig(inject('postgresUrl'), [COMPARED], { schema: SCHEMA });
  jobs = new JobStore(rig.pool, SCHEMA);
  findings = new FindingStore(rig.pool, SCHEMA);
  const operations = {
    jobs,
    findings,
    reconciliation: { driftWarningThreshold: 1 },
    tableNames: () => [COMPARED.name],
    columnsOf: () => ({ keyColumns: ['p', 'c'], sensitive: new Set(['a', 'c']) }),
  } as unknown as Operations;
  const logger = createLogger({ level: 'silent' });
  app = createHttpServer({ tokens: TOKENS, routes: [comparisonRoutes(() => operations)], logger });
  const start = (id: string, strategy: string): Promise<unknown> =>
    jobs.create({
      id,
      kind: 'reconcile',
      parameters: { table: COMPARED.name, strategy },
      total: 16,
      requestedBy: 'ann',
    });
  for (const [i, id] of jobIds.entries()) await start(id, i === 0 ? 'CHECKSUM' : 'ROW_COUNT');
  const table = rig.target.tables[0]!;
  const image = { columns: { a: { value: 'secret', write_time: '5' }, b: { value: '7', write_time: '5' } } };
  const found = {
    rowKey: rowKey(['1', '2']).text,
    type: 'DATA_MISMATCH',
    cause: 'rogue-update',
    columns: ['a'],
    sourceImage: image,
    targetImage: { columns: { a: { value: null, write_time: '5' } } },
    sourceChecksum: 'aa',
    targetChecksum: 'bb',
  };
  await findings.record(table.id, jobIds[0]!, [found]);
  await findings.record(table.id, jobIds[1]!, [found, { ...found, rowKey: rowKey(['2', '2']).text }]);
  const figures = {
    coverage: 1,
    mismatch_count: 1,
    drift_percentage: 2.5,
    alert_fired: true,
    reasons: ['1 rows drift'],
  };
  await jobs.conclude(jobIds[0]!, 'DRIFT', { ...figures, cassandra_row_count: 40, postgres_row_count: 39 });
  await jobs.finish(jobIds[1]!, 'FAILED', 'the source is gone');
});
afterAll(async () => {
  await app.close();
  await rig.close();
});

it('comparisons are listed, the newest first, with the figures that they ended with', async () => {
  const { status, body } = await get('/reconciliation/jobs?table=compared');
  expect(status).toBe(200);
  expect(body).toMatchObject({ total: 3, limit: 100, offset: 0 });
  const listed = body['jobs'] as Record<string, unknown>[];
  expect(listed.map((job) => job['job_id'])).toEqual([...jobIds].reverse());
  expect(listed[2]).toMatchObject({
    table_name: 'shop.compared',
    job_type: 'MANUAL',
    validation_strategy: 'CHECKSUM',
    status: 'COMPLETED',
    verdict: 'DRIFT',
    coverage: 1,
    cassandra_row_count: 40,
    postgres_row_count: 39,
    mismatch_count: 1,
    drift_percentage: 2.5,
    alert_fired: true,
  });
  expect(listed[1]).toMatchObject({ status: 'FAILED', verdict: null, error: 'the source is gone', alert_fired: false });
  expect(listed[0]).toMatchObject({ status: 'RUNNING', completed_at: null, coverage: 0, mismatch_count: null });
});

it('the list is filtered by table, status and time, and paged', async () => {
  const ids = async (query: string): Promise<unknown[]> => {
    const { body } = await get(`/reconciliation/jobs?${query}`);
    return (body['jobs'] as { job_id: string }[]).map(({ job_id: id }) => id);
  };
  const today = new Date().toISOString().slice(0, 10);
  expect(await ids('status=RUNNING')).toEqual([jobIds[2]]);
  expect(await ids('limit=1&offset=1')).toEqual([jobIds[1]]);
  expect(await ids('table=other.table')).toEqual([]);
  expect(await ids(`to_date=${today}&from_date=2020-01-01`)).toHaveLength(3);
  expect(await ids(`to_date=2020-01-01`)).toEqual([]);
  expect(await ids(`from_date=2999-01-01T00:00:00`)).toEqual([]);
});

it('a comparison names what it saw, also where a later one saw it again', async () => {
  const first = await get(`/reconciliation/jobs/${jobIds[0]}`);
  expect(first.body['mismatches']).toMatchObject([
    {
      mismatch_type: 'DATA_MISMATCH',
      cassandra_checksum: 'aa',
      postgres_checksum: 'bb',
      resolution_status: 'PENDING',
    },
  ]);
  const second = await get(`/reconciliation/jobs/${jobIds[1]}`);
  expect(second.body['mismatches']).toHaveLength(2);
  expect((await get(`/reconciliation/jobs/${randomUUID()}`)).status).toBe(404);
});

it('mismatches show both images; sensitive columns only to operators', async () => {
  const query = '/reconciliation/mismatches?table=shop.compared&mismatch_type=DATA_MISMATCH&resolution_status=PENDING';
  const { body } = await get(query);
  expect(body).toMatchObject({ total: 2, limit: 1000, offset: 0 });
  expect(JSON.stringify(body)).not.toContain('secret');
  const [shown] = (await get(query, 'operator')).body['mismatches'] as Record<string, unknown>[];
  expect(shown).toMatchObject({
    primary_key_value: '["2","2"]',
    cassandra_data: { columns: { a: { value: 'secret' }, b: { value: '7' } } },
    postgres_data: { columns: { a: { value: null } } },
  });
  const [masked] = body['mismatches'] as Record<string, unknown>[];
  expect(masked).toMatchObject({
    primary_key_value: '["2","••••••"]',
    cassandra_data: { columns: { a: { value: '••••••' }, b: { value: '7' } } },
    postgres_data: { columns: { a: { value: null } } },
  });
});
