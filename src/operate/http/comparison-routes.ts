import { z } from 'zod';
import type { ZodTypeProvider } from 'fastify-type-provider-zod';
import { FINDING_TYPES } from '../../reconcile/end-state/classify.ts';
import { STRATEGIES } from '../../reconcile/end-state/comparison-plan.ts';
import { FINDING_STATUSES, type Finding } from '../../target/stores/finding-store.ts';
import type { EndedJob } from '../../target/stores/job-store.ts';
import { comparisonDocument, mismatchDocument } from '../end-state/job-document.ts';
import { RECONCILE } from '../end-state/run-comparison.ts';
import type { Operations } from '../service/operations.ts';
import { tableNamed } from '../schema/table-name.ts';
import type { Caller } from './access.ts';
import { page, problems, security, time } from './contract.ts';
import { repairModeOf } from '../jobs/repair-mode.ts';
import { HttpProblem } from './problem.ts';
import { mismatch, mismatchHead } from './mismatch-contract.ts';
import { notStarted, type RouteGroup } from './server.ts';

const count = z.number().int();
const STATUSES = ['RUNNING', 'COMPLETED', 'FAILED', 'CANCELLED'] as const;
/** A day has many findings where something has gone wrong. */
const MISMATCH_PAGE = 1_000;
const MAX_MISMATCH_PAGE = 10_000;

const comparison = z.object({
  job_id: z.string(),
  table_name: z.string(),
  job_type: z.enum(['MANUAL', 'SCHEDULED']),
  validation_strategy: z.enum(STRATEGIES),
  requested_by: z.string(),
  started_at: time,
  completed_at: time.nullable(),
  status: z.enum(STATUSES),
  verdict: z.enum(['PASS', 'DRIFT', 'INCONCLUSIVE']).nullable(),
  coverage: z.number().nullable().describe('Share of the ranges that were scanned, 0 to 1.'),
  cassandra_row_count: count.nullable(),
  postgres_row_count: count.nullable(),
  mismatch_count: count.nullable().describe('Rows that differ.'),
  drift_percentage: z.number().nullable(),
  alert_fired: z.boolean().describe('The drift was above reconciliation.driftWarningThreshold.'),
  reasons: z.array(z.string()).describe('What stands against PASS.'),
  error: z.string().nullable(),
});

/** A day, or a time; without an offset UTC. */
const dateOrTime = z.union([z.iso.date(), z.iso.datetime({ offset: true, local: true })]);
const startOf = (text: string): number => Date.parse(/T.*([Zz]|[+-]\d\d:?\d\d)$/.test(text) ? text : asUtc(text));
const asUtc = (text: string): string => (text.includes('T') ? `${text}Z` : text);
const DAY_MS = 86_400_000;
/** A day as an end means its end. */
const endOf = (text: string): number => startOf(text) + (text.includes('T') ? 0 : DAY_MS);

const jobsQuery = z.strictObject({
  table: z.string().optional().describe('keyspace.table, or the table alone.'),
  status: z.enum(STATUSES).optional(),
  from_date: dateOrTime.optional().describe('Runs that began at or after this day or time.'),
  to_date: dateOrTime.optional().describe('Runs that began before this time, or on this day at the latest.'),
  ...page,
});

const mismatchesQuery = z.strictObject({
  table: z.string().optional().describe('keyspace.table, or the table alone.'),
  mismatch_type: z.enum(FINDING_TYPES).optional(),
  resolution_status: z.enum(FINDING_STATUSES).optional(),
  job_id: z.uuid().optional().describe('Those that this run saw.'),
  limit: z.coerce.number().int().min(1).max(MAX_MISMATCH_PAGE).default(MISMATCH_PAGE),
  offset: page.offset,
});

const triggerBody = z.strictObject({
  tables: z
    .array(z.string().min(1))
    .default([])
    .describe('keyspace.table, or the table alone; none: those of reconciliation.tables, or all.'),
  validation_strategy: z.enum(STRATEGIES).default('ROW_COUNT'),
  repair: z.boolean().default(false).describe('Repair what drifts, within the limits of reconciliation.repair.'),
  dry_run: z.boolean().default(false).describe('Tell what would be found and repaired; write nothing.'),
  allow_empty: z.boolean().default(false).describe('A table without rows may pass.'),
  sample_size: z.number().int().min(1).max(100_000_000).nullable().default(null).describe('Rows that SAMPLE compares.'),
  from: time
    .nullable()
    .default(null)
    .describe('TIMESTAMP_RANGE: rows written from this time on; null: since the last run that covered the table.'),
  to: time.nullable().default(null).describe('TIMESTAMP_RANGE: rows written before this time; null: now.'),
});

const microseconds = (text: string | null): bigint | null => (text === null ? null : BigInt(Date.parse(text)) * 1000n);

function invalid(pointer: string, detail: string): HttpProblem {
  return new HttpProblem(400, 'INVALID_REQUEST', `The request is not valid: ${pointer}: ${detail}.`, undefined, [
    { pointer, detail },
  ]);
}

const given = <T extends Record<string, unknown>>(parts: T): { [K in keyof T]?: Exclude<T[K], undefined> } =>
  Object.fromEntries(Object.entries(parts).filter(([, value]) => value !== undefined)) as never;

/** Comparisons of the end state and what they found. */
export function comparisonRoutes(source: () => Operations | null): RouteGroup {
  const operations = (): Operations => source() ?? notStarted();
  const named = (text: string | undefined): string | undefined =>
    text === undefined ? undefined : (tableNamed(operations().tableNames(), text) ?? text);
  const shown =
    (caller: Caller) =>
    (finding: Finding): z.output<typeof mismatch> => {
      const { keyColumns, sensitive } = operations().columnsOf(finding.table);
      const masked = caller.scopes.has('operate') ? new Set<string>() : sensitive;
      return mismatchDocument(finding, keyColumns, masked) as z.output<typeof mismatch>;
    };
  const shownJob = (job: EndedJob): Record<string, unknown> =>
    comparisonDocument(job, operations().reconciliation.driftWarningThreshold);
  return (plain, guard) => {
    const app = plain.withTypeProvider<ZodTypeProvider>();

    app.post(
      '/reconciliation/trigger',
      {
        schema: {
          summary: 'Compare tables with their source now',
          tags: ['reconciliation'],
          security,
          body: triggerBody,
          response: {
            202: z.object({ job_ids: z.array(z.string()), status: z.literal('RUNNING') }),
            ...problems,
          },
        },
      },
      async (request, reply) => {
        const caller = guard('operate', request);
        const { body } = request;
        const { reconciliation, comparisons } = operations();
        const all = operations().tableNames();
        const usual = reconciliation.tables.length > 0 ? reconciliation.tables : all;
        const tables = body.tables.map((text, i) => {
          const name = tableNamed(all, text);
          if (name === null) throw invalid(`/tables/${i}`, `there is no table ${text}, or several keyspaces have it`);
          return name;
        });
        const strategy = body.validation_strategy;
        const [fromUs, toUs] = [microseconds(body.from), microseconds(body.to)];
        if (strategy !== 'TIMESTAMP_RANGE' && (fromUs !== null || toUs !== null)) {
          throw invalid(fromUs === null ? '/to' : '/from', 'only TIMESTAMP_RANGE has a span of write times');
        }
        if (fromUs !== null && toUs !== null && fromUs >= toUs) throw invalid('/to', 'it is not behind `from`');
        const wanted = [...new Set(tables.length > 0 ? tables : usual)];
        // In mode review whoever asks for a repair has confirmed it.
        const off = body.repair ? wanted.find((table) => repairModeOf(reconciliation, table) === 'off') : undefined;
        if (off !== undefined) {
          throw new HttpProblem(409, 'REPAIR_OFF', `The repair mode of ${off} is off.`, 'Leave out repair.');
        }
        if (comparisons === null) {
          throw new HttpProblem(
            503,
            'COMPARISONS_UNAVAILABLE',
            'Nothing can be compared here: there is no source, or the job queue can not be reached.',
            'Configure source.cassandra; the log has the reason where it is configured.',
          );
        }
        const jobIds: string[] = [];
        for (const table of wanted) {
          const id = await comparisons.begin({
            table,
            strategy,
            jobType: 'MANUAL',
            repair: body.repair,
            dryRun: body.dry_run,
            mayBeEmpty: body.allow_empty,
            sampleRows: body.sample_size,
            span: { fromUs, toUs },
            requestedBy: caller.name,
          });
          jobIds.push(id);
        }
        return reply.code(202).send({ job_ids: jobIds, status: 'RUNNING' as const });
      },
    );

    app.get(
      '/reconciliation/jobs',
      {
        schema: {
          summary: 'Comparisons of source and target, the newest first',
          tags: ['reconciliation'],
          security,
          querystring: jobsQuery,
          response: {
            200: z.object({ jobs: z.array(comparison), total: count, limit: count, offset: count }),
            ...problems,
          },
        },
      },
      async (request) => {
        guard('read', request);
        const { table, status, from_date: from, to_date: to, limit, offset } = request.query;
        const filter = given({
          table: named(table),
          status,
          fromMs: from === undefined ? undefined : startOf(from),
          toMs: to === undefined ? undefined : endOf(to),
        });
        const { jobs, total } = await operations().jobs.newest(RECONCILE, filter, { limit, offset });
        return { jobs: jobs.map(shownJob) as z.output<typeof comparison>[], total, limit, offset };
      },
    );

    app.get(
      '/reconciliation/jobs/:job_id',
      {
        schema: {
          summary: 'One comparison with the findings that it saw',
          description: `Up to ${MISMATCH_PAGE} of them; GET /reconciliation/mismatches pages through all.`,
          tags: ['reconciliation'],
          security,
          params: z.object({ job_id: z.uuid() }),
          response: {
            200: comparison.extend({
              mismatches: z.array(mismatchHead),
              report: z.record(z.string(), z.unknown()).nullable(),
            }),
            ...problems,
          },
        },
      },
      async (request) => {
        const caller = guard('read', request);
        const id = request.params.job_id;
        const { jobs } = await operations().jobs.newest(RECONCILE, { id }, { limit: 1, offset: 0 });
        const [job] = jobs;
        if (job === undefined) throw new HttpProblem(404, 'JOB_UNKNOWN', `There is no comparison ${id}.`);
        const findings = await operations().findings.list({ jobId: id, limit: MISMATCH_PAGE, offset: 0 });
        return {
          ...(shownJob(job) as z.output<typeof comparison>),
          mismatches: findings.map(shown(caller)),
          report: job.report as Record<string, unknown> | null,
        };
      },
    );

    app.get(
      '/reconciliation/mismatches',
      {
        schema: {
          summary: 'Rows that were proven to differ, the newest first',
          description: 'Columns that are marked as sensitive are masked unless the token has the scope `operate`.',
          tags: ['reconciliation'],
          security,
          querystring: mismatchesQuery,
          response: {
            200: z.object({ mismatches: z.array(mismatch), total: count, limit: count, offset: count }),
            ...problems,
          },
        },
      },
      async (request) => {
        const caller = guard('read', request);
        const { table, mismatch_type: type, resolution_status: status, job_id: jobId, limit, offset } = request.query;
        const filter = { ...given({ table: named(table), type, status, jobId }), limit, offset };
        const { findings } = operations();
        const [found, total] = [await findings.list(filter), await findings.count(filter)];
        return { mismatches: found.map(shown(caller)), total, limit, offset };
      },
    );
  };
}
