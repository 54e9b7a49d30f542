import { describe, expect, it } from 'vitest';
import { facts } from '../../../test/support/report-facts.ts';
import { createLogger } from '../telemetry/logger.ts';
import type { Operations } from '../service/operations.ts';
import type { ReportRequest } from '../report/read-report.ts';
import { reconciliationReport } from '../report/reconciliation-report.ts';
import { reportRoutes } from './report-routes.ts';
import { createHttpServer } from './server.ts';

const DAY_MS = 86_400_000;
const headers = { authorization: 'Bearer reader-token' };

function server() {
  const asked: ReportRequest[] = [];
  const operations = {
    report: (request: ReportRequest) => {
      asked.push(request);
      return Promise.resolve(reconciliationReport(facts()));
    },
  } as unknown as Operations;
  const app = createHttpServer({
    tokens: [
      { name: 'reader', token: 'reader-token', scopes: ['read'] },
      { name: 'operator', token: 'operator-token', scopes: ['operate'] },
    ],
    routes: [reportRoutes(() => operations)],
    logger: createLogger({ level: 'silent' }),
  });
  return { app, asked };
}

describe('GET /reconciliation/report', () => {
  it.each([undefined, '*/*', 'text/html,application/xhtml+xml,*/*;q=0.8'])(
    'is a page for Accept: %s',
    async (accept) => {
      const { app } = server();
      const answer = await app.inject({
        url: '/reconciliation/report',
        headers: { ...headers, ...(accept === undefined ? {} : { accept }) },
      });
      expect([answer.statusCode, answer.headers['content-type']]).toEqual([200, 'text/html; charset=utf-8']);
      expect(answer.body).toMatch(/^<!doctype html>/i);
      expect(answer.headers['content-security-policy']).toContain("default-src 'none'");
      expect(answer.headers['cache-control']).toBe('no-store');
    },
  );

  it.each(['/reconciliation/report', '/reconciliation/report.json'])('is JSON, too: %s', async (url) => {
    const { app } = server();
    const answer = await app.inject({ url, headers: { ...headers, accept: 'application/json' } });
    expect([answer.statusCode, answer.headers['content-type']]).toEqual([200, 'application/json; charset=utf-8']);
    expect(answer.json()).toEqual(JSON.parse(JSON.stringify(reconciliationReport(facts()))));
  });

  it('asks for a token with the scope read', async () => {
    const { app, asked } = server();
    expect((await app.inject('/reconciliation/report')).statusCode).toBe(401);
    expect((await app.inject('/reconciliation/report.json?from=nonsense')).statusCode).toBe(401);
    const operator = { authorization: 'Bearer operator-token' };
    expect((await app.inject({ url: '/reconciliation/report', headers: operator })).statusCode).toBe(403);
    expect(asked).toEqual([]);
  });

  it('is about the seven days before its end unless told otherwise, and refuses an empty span', async () => {
    const { app, asked } = server();
    await app.inject({ url: '/reconciliation/report?to=2026-11-29T00:00:00Z&table=shop.orders', headers });
    const toMs = Date.parse('2026-11-29T00:00:00Z');
    expect(asked).toEqual([{ table: 'shop.orders', fromMs: toMs - 7 * DAY_MS, toMs }]);
    const url = '/reconciliation/report?from=2026-11-29T00:00:00Z&to=2026-11-28T00:00:00Z';
    expect((await app.inject({ url, headers })).statusCode).toBe(400);
  });
});
