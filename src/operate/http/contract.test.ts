import { describe, expect, it } from 'vitest';
import { createLogger } from '../telemetry/logger.ts';
import { createMetrics } from '../telemetry/metrics.ts';
import { readinessOf } from '../service/readiness.ts';
import { dlqRoutes } from './dlq-routes.ts';
import { comparisonRoutes } from './comparison-routes.ts';
import { healthRoutes } from './health-routes.ts';
import { reconciliationRoutes } from './reconciliation-routes.ts';
import { jobRoutes } from './job-routes.ts';
import { resolveRoutes } from './resolve-routes.ts';
import { ruleRoutes } from './rule-routes.ts';
import { reportRoutes } from './report-routes.ts';
import { createHttpServer } from './server.ts';
import { statusRoutes } from './status-routes.ts';

const tokens = [{ name: 'reader', token: 'reader-token', scopes: ['read'] as const }];
const bearer = { authorization: 'Bearer reader-token' };
const open = ['/health/live', '/health/ready', '/metrics'];

function server() {
  const source = {
    status: () => {
      throw new Error('not asked');
    },
    shards: () => Promise.resolve(null),
  };
  return createHttpServer({
    tokens,
    routes: [
      healthRoutes(() => readinessOf(null, [], []), createMetrics()),
      statusRoutes(source),
      dlqRoutes(() => null),
      reconciliationRoutes(() => null),
      comparisonRoutes(() => null),
      reportRoutes(() => null),
      resolveRoutes(() => null),
      ruleRoutes(() => null),
      jobRoutes(() => null),
    ],
    logger: createLogger({ level: 'silent' }),
  });
}

interface Operation {
  readonly security?: readonly unknown[];
  readonly responses: Readonly<Record<string, unknown>>;
}

async function documentOf(app: ReturnType<typeof server>) {
  const answer = await app.inject('/openapi.json');
  return answer.json<{ openapi: string; paths: Record<string, Record<string, Operation>> }>();
}

describe('the contract', () => {
  it('names every route, each with its answers; all but health and metrics ask for a token', async () => {
    const app = server();
    const { paths } = await documentOf(app);
    expect(Object.keys(paths).sort()).toEqual([
      '/dlq/discard',
      '/dlq/records',
      '/dlq/records/{id}',
      '/dlq/redrive',
      '/dlq/stats',
      '/health/live',
      '/health/ready',
      '/jobs/{id}',
      '/jobs/{id}/cancel',
      '/metrics',
      '/reconciliation/jobs',
      '/reconciliation/jobs/{job_id}',
      '/reconciliation/mismatches',
      '/reconciliation/mismatches/{id}/resolve',
      '/reconciliation/report',
      '/reconciliation/report.json',
      '/reconciliation/rules',
      '/reconciliation/rules/findings',
      '/reconciliation/rules/trigger',
      '/reconciliation/trigger',
      '/reconciliation/windows',
      '/shards',
      '/shards/{topic}/{partition}/resume',
      '/status',
    ]);
    for (const [path, operations] of Object.entries(paths)) {
      for (const [method, operation] of Object.entries(operations)) {
        if (open.includes(path)) continue;
        expect([path, operation.security]).toEqual([path, [{ bearer: [] }]]);
        expect(Object.keys(operation.responses)).toEqual(expect.arrayContaining(['400', '401', '403', '503']));
        const url = path.replace('{id}', '1').replace('{topic}', 't').replace('{partition}', '0');
        const answer = await app.inject({ method: method.toUpperCase() as 'GET', url });
        expect([path, answer.statusCode, answer.headers['www-authenticate']]).toEqual([path, 401, 'Bearer']);
      }
    }
  });

  it('is shown on a page that loads nothing from elsewhere', async () => {
    const page = await server().inject({ url: '/docs/', headers: {} });
    expect(page.statusCode).toBe(200);
    expect(page.body).not.toMatch(/(?:src|href)="https?:/);
  });
});

describe('a request that breaks the contract', () => {
  it.each([
    ['/dlq/records?limit=0', '/limit'],
    ['/dlq/records?status=lost', '/status'],
    ['/dlq/records?source_offsets=t:0', '/source_offsets'],
    ['/dlq/records?nonsense=1', '/'],
    ['/dlq/records/x', '/id'],
    ['/jobs/7', '/id'],
    ['/reconciliation/windows?from=yesterday', '/from'],
    ['/reconciliation/jobs?status=DONE', '/status'],
    ['/reconciliation/jobs?from_date=2026-13-01', '/from_date'],
    ['/reconciliation/jobs/7', '/job_id'],
    ['/reconciliation/mismatches?mismatch_type=LOST', '/mismatch_type'],
  ])('%s is answered with the place', async (url, pointer) => {
    const answer = await server().inject({ url, headers: bearer });
    expect(answer.statusCode).toBe(400);
    expect(answer.headers['content-type']).toContain('application/problem+json');
    expect(answer.json()).toMatchObject({ code: 'INVALID_REQUEST', status: 400, errors: [{ pointer }] });
  });

  it('is not judged for a stranger', async () => {
    expect((await server().inject('/dlq/records?limit=0')).statusCode).toBe(401);
  });

  it('waits for the service to start where it needs it', async () => {
    const answer = await server().inject({ url: '/dlq/records', headers: bearer });
    expect([answer.statusCode, answer.json<{ code: string }>().code]).toEqual([503, 'STARTING']);
  });
});
