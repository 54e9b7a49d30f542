import accepts from '@fastify/accepts';
import type { FastifyReply } from 'fastify';
import type { ZodTypeProvider } from 'fastify-type-provider-zod';
import { z } from 'zod';
import type { Operations } from '../service/operations.ts';
import type { ReconciliationReport } from '../report/reconciliation-report.ts';
import { spanOf } from '../report/read-report.ts';
import { reportPage } from '../report/report-page.ts';
import { problems, security, time } from './contract.ts';
import { HttpProblem } from './problem.ts';
import { notStarted, type RouteGroup } from './server.ts';

const query = z.strictObject({
  table: z.string().optional().describe('Only this table, keyspace.table.'),
  from: time.optional().describe('Begin of the span; left out: seven days before its end.'),
  to: time.optional().describe('End of the span; left out: now.'),
});
type Query = z.output<typeof query>;

const verdict = z.enum(['PASS', 'DRIFT', 'INCONCLUSIVE']);
const report = z.looseObject({
  generated_at: time,
  from: time,
  to: time,
  verdict,
  rules: z.array(z.looseObject({ rule: z.string(), verdict, reasons: z.array(z.string()) })),
  tables: z.array(
    z.looseObject({
      table_name: z.string(),
      verdict,
      reasons: z.array(z.string()),
      not_checked: z.array(z.object({ what: z.string(), why: z.string() })),
      proven_until: time.nullable(),
    }),
  ),
});

/** The page holds what the database is named and how it stands: nothing of it is kept by browsers and proxies. */
const HEADERS = {
  'cache-control': 'no-store',
  'content-security-policy': "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'",
  vary: 'accept',
};

/** The report on reconciliation, as a page or as JSON. */
export function reportRoutes(source: () => Operations | null): RouteGroup {
  const read = async ({ table, from, to }: Query): Promise<ReconciliationReport> => {
    const operations = source() ?? notStarted();
    const nowMs = Date.now();
    const span = spanOf(
      from === undefined ? undefined : Date.parse(from),
      to === undefined ? undefined : Date.parse(to),
      nowMs,
    );
    if (span.fromMs >= span.toMs) {
      throw new HttpProblem(400, 'INVALID_REQUEST', 'The span is empty: from is not before to.');
    }
    return operations.report({ table: table ?? null, ...span }, nowMs);
  };
  const asJson = async (reply: FastifyReply, request: Query) =>
    reply
      .headers(HEADERS)
      .type('application/json; charset=utf-8')
      .send(JSON.stringify(await read(request)));
  const description =
    'Verdicts, coverage, what was not checked and why, findings by cause, delivery windows with their account, and drift over time.';
  return (plain, guard) => {
    void plain.register(accepts);
    const app = plain.withTypeProvider<ZodTypeProvider>();
    app.get(
      '/reconciliation/report',
      {
        schema: {
          summary: 'Report on reconciliation: a page, or JSON where the Accept header prefers it',
          description,
          tags: ['reconciliation'],
          security,
          querystring: query,
          response: {
            200: { content: { 'text/html': { schema: z.string() }, 'application/json': { schema: report } } },
            ...problems,
          },
        },
      },
      async (request, reply) => {
        guard('read', request);
        if (request.accepts().type(['html', 'json']) === 'json') return asJson(reply, request.query);
        const page = reportPage(await read(request.query));
        return reply.headers(HEADERS).type('text/html; charset=utf-8').send(page);
      },
    );

    app.get(
      '/reconciliation/report.json',
      {
        schema: {
          summary: 'Report on reconciliation as JSON',
          description,
          tags: ['reconciliation'],
          security,
          querystring: query,
          response: { 200: report, ...problems },
        },
      },
      async (request, reply) => {
        guard('read', request);
        return asJson(reply, request.query);
      },
    );
  };
}
