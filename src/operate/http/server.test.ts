import type { FastifyInstance } from 'fastify';
import { describe, expect, it } from 'vitest';
import { createLogger } from '../telemetry/logger.ts';
import { createMetrics } from '../telemetry/metrics.ts';
import { readinessOf, type Dependency, type ShardReadiness } from '../service/readiness.ts';
import { healthRoutes } from './health-routes.ts';
import { createHttpServer, type RouteGroup } from './server.ts';
import { statusRoutes, type StatusDocument } from './status-routes.ts';

const logger = createLogger({ level: 'silent' });
const READER = 'reader-token';
const OPERATOR = 'operator-token';
const tokens = [
  { name: 'reader', token: READER, scopes: ['read'] as const },
  { name: 'operator', token: OPERATOR, scopes: ['operate'] as const },
];

const up: Dependency = { name: 'kafka', state: 'up', reason: null, sinceMs: 0 };
const running: ShardReadiness = { topic: 't', partition: 0, state: 'running', reason: null, stopped: false };
const status: StatusDocument = {
  status: 'running',
  version: '0.1.0',
  member: 'm',
  started_at: new Date(0).toISOString(),
  uptime_seconds: 1,
  group: { id: 'lockstep', state: 'joined' },
  dependencies: {},
  tables: [],
};

function server(
  given: { starting?: string; dependencies?: Dependency[]; shards?: ShardReadiness[]; routes?: RouteGroup[] } = {},
): FastifyInstance {
  const readiness = () => readinessOf(given.starting ?? null, given.dependencies ?? [up], given.shards ?? [running]);
  const source = { status: () => status, shards: () => Promise.resolve(given.starting === undefined ? [] : null) };
  const routes = [healthRoutes(readiness, createMetrics()), statusRoutes(source), ...(given.routes ?? [])];
  return createHttpServer({ tokens, routes, logger });
}

const bearer = (token: string) => ({ authorization: `Bearer ${token}` });

describe('health', () => {
  it('is alive and ready without a token', async () => {
    expect((await server().inject('/health/live')).json()).toEqual({ status: 'ok' });
    const ready = await server().inject('/health/ready');
    expect(ready.statusCode).toBe(200);
    expect(ready.json()).toMatchObject({ status: 'ready', reasons: [], dependencies: { kafka: { state: 'up' } } });
  });

  it('is not ready, but alive, while a dependency is down', async () => {
    const app = server({ dependencies: [{ ...up, state: 'down', reason: 'ECONNREFUSED' }] });
    const ready = await app.inject('/health/ready');
    expect(ready.statusCode).toBe(503);
    expect(ready.json()).toMatchObject({ status: 'not_ready', reasons: ['kafka is down: ECONNREFUSED'] });
    expect((await app.inject('/health/live')).statusCode).toBe(200);
  });

  it('is not ready while a shard is stopped, and says which and why', async () => {
    const stopped = { ...running, state: 'TOPIC_RECREATED', reason: 'hash differs', stopped: true };
    const ready = await server({ shards: [running, stopped] }).inject('/health/ready');
    expect(ready.statusCode).toBe(503);
    expect(ready.json()).toMatchObject({ reasons: ['shard t/0 is TOPIC_RECREATED: hash differs'] });
  });

  it('is not ready while it starts', async () => {
    expect((await server({ starting: 'starting' }).inject('/health/ready')).statusCode).toBe(503);
  });

  it('gives metrics in the format of Prometheus', async () => {
    const metrics = await server().inject('/metrics');
    expect(metrics.headers['content-type']).toContain('text/plain');
    expect(metrics.body).toContain('# TYPE cdc_backlog_depth gauge');
  });
});

describe('access', () => {
  it.each([
    ['no token', {}, 401, 'UNAUTHENTICATED'],
    ['an unknown token', bearer('nope'), 401, 'UNAUTHENTICATED'],
    ['another scheme', { authorization: `Basic ${READER}` }, 401, 'UNAUTHENTICATED'],
    ['a token without the scope', bearer(OPERATOR), 403, 'SCOPE_MISSING'],
  ])('with %s is refused with a problem document', async (_, headers, code, problem) => {
    const answer = await server().inject({ url: '/status', headers });
    expect(answer.statusCode).toBe(code);
    expect(answer.headers['content-type']).toContain('application/problem+json');
    expect(answer.json()).toMatchObject({ type: 'about:blank', status: code, code: problem });
    expect(answer.headers['www-authenticate']).toBe(code === 401 ? 'Bearer' : undefined);
    expect(answer.body).not.toContain(READER);
  });

  it('with the scope is granted', async () => {
    expect((await server().inject({ url: '/status', headers: bearer(READER) })).json()).toEqual(status);
    expect((await server().inject({ url: '/shards', headers: bearer(READER) })).json()).toEqual({ shards: [] });
  });
});

describe('errors', () => {
  it('are problem documents, unknown paths and bodies that are no JSON included', async () => {
    const routes: RouteGroup[] = [(app) => app.post('/echo', async (request) => request.body)];
    const missing = await server().inject('/nope?token=x');
    expect(missing.json()).toMatchObject({ status: 404, code: 'NOT_FOUND', detail: 'There is no GET /nope.' });
    const headers = { 'content-type': 'application/json' };
    const broken = await server({ routes }).inject({ method: 'POST', url: '/echo', headers, payload: '{' });
    expect(broken.json()).toMatchObject({ status: 400, title: 'Bad Request' });
  });

  it('of ours tell nothing of the inside', async () => {
    const routes: RouteGroup[] = [
      (app) =>
        app.get('/broken', async () => {
          throw new Error('postgres://u:secret@h/d');
        }),
    ];
    const answer = await server({ routes }).inject('/broken');
    expect(answer.json()).toMatchObject({ status: 500, code: 'INTERNAL' });
    expect(answer.body).not.toContain('secret');
  });

  it('before the start is through say so', async () => {
    const answer = await server({ starting: 'starting' }).inject({ url: '/shards', headers: bearer(READER) });
    expect(answer.json()).toMatchObject({ status: 503, code: 'STARTING' });
  });
});
