import { z } from 'zod';
import type { ZodTypeProvider } from 'fastify-type-provider-zod';
import { FINDING_STATUSES } from '../../target/stores/finding-store.ts';
import type { Operations } from '../service/operations.ts';
import { ruleFindingDocument } from '../rules/rule-job.ts';
import type { RuleStanding } from '../rules/rule-runs.ts';
import { page, problems, security, time } from './contract.ts';
import { HttpProblem } from './problem.ts';
import { ruleFinding } from './rule-contract.ts';
import { notStarted, type RouteGroup } from './server.ts';
import { LockstepError, messageOf } from '../../shared/errors.ts';

const count = z.number().int();

const standing = z.object({
  rule: z.string(),
  severity: z.enum(['warning', 'critical']),
  tables: z.array(z.string()),
  schedule: z.string().nullable().describe('Cron in UTC; null: on demand only.'),
  next_run_at: time.nullable(),
  last_job_id: z.string().nullable(),
  last_started_at: time.nullable(),
  last_status: z.enum(['RUNNING', 'COMPLETED', 'FAILED', 'CANCELLED']).nullable(),
  verdict: z.enum(['PASS', 'DRIFT', 'INCONCLUSIVE']).nullable().describe('Of the last run; null where it has none.'),
  error: z.string().nullable(),
  open_findings: count,
  accepted_findings: count,
});

function standingDocument({ rule, last, nextMs, open, accepted }: RuleStanding): z.output<typeof standing> {
  return {
    rule: rule.name,
    severity: rule.severity,
    tables: [...rule.tables],
    schedule: rule.schedule,
    next_run_at: nextMs === null ? null : new Date(nextMs).toISOString(),
    last_job_id: last?.id ?? null,
    last_started_at: last === null ? null : new Date(last.startedMs).toISOString(),
    last_status: last?.status ?? null,
    verdict: (last?.verdict ?? null) as z.output<typeof standing>['verdict'],
    error: last?.error ?? null,
    open_findings: open,
    accepted_findings: accepted,
  };
}

const findingsQuery = z.strictObject({
  rule: z.string().optional(),
  resolution_status: z.enum(FINDING_STATUSES).optional(),
  ...page,
});

/** Business rules: how they stand, what they found, and running them now. */
export function ruleRoutes(source: () => Operations | null): RouteGroup {
  const operations = (): Operations => source() ?? notStarted();
  return (plain, guard) => {
    const app = plain.withTypeProvider<ZodTypeProvider>();

    app.get(
      '/reconciliation/rules',
      {
        schema: {
          summary: 'Business rules, each with its last run',
          tags: ['business rules'],
          security,
          response: { 200: z.object({ rules: z.array(standing) }), ...problems },
        },
      },
      async (request) => {
        guard('read', request);
        return { rules: (await operations().rules.standing()).map(standingDocument) };
      },
    );

    app.get(
      '/reconciliation/rules/findings',
      {
        schema: {
          summary: 'Keys of which source and target say different things, the newest first',
          tags: ['business rules'],
          security,
          querystring: findingsQuery,
          response: {
            200: z.object({ findings: z.array(ruleFinding), total: count, limit: count, offset: count }),
            ...problems,
          },
        },
      },
      async (request) => {
        guard('read', request);
        const { rule, resolution_status: status, limit, offset } = request.query;
        const filter = { ...(rule === undefined ? {} : { rule }), ...(status === undefined ? {} : { status }) };
        const { findings } = operations().rules;
        const [found, total] = [await findings.list({ ...filter, limit, offset }), await findings.count(filter)];
        return {
          findings: found.map((each) => ruleFindingDocument(each) as z.output<typeof ruleFinding>),
          total,
          limit,
          offset,
        };
      },
    );

    app.post(
      '/reconciliation/rules/trigger',
      {
        schema: {
          summary: 'Run business rules now',
          tags: ['business rules'],
          security,
          body: z.strictObject({ rules: z.array(z.string().min(1)).default([]).describe('Names; none: all of them.') }),
          response: {
            202: z.object({ job_ids: z.array(z.string()), status: z.literal('RUNNING') }),
            ...problems,
          },
        },
      },
      async (request, reply) => {
        const caller = guard('operate', request);
        const ids = await operations()
          .rules.begin(request.body.rules, caller.name)
          .catch((error: unknown) => {
            if (!(error instanceof LockstepError) || error.code !== 'RULE_RUNNING') throw error;
            throw new HttpProblem(409, error.code, messageOf(error), error.remedy);
          });
        return reply.code(202).send({ job_ids: [...ids], status: 'RUNNING' as const });
      },
    );
  };
}
