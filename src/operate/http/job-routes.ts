import { z } from 'zod';
import type { ZodTypeProvider } from 'fastify-type-provider-zod';
import type { EndedJob } from '../../target/stores/job-store.ts';
import { jobDocument } from '../jobs/job-progress.ts';
import type { Operations } from '../service/operations.ts';
import { problems, security, time } from './contract.ts';
import { HttpProblem } from './problem.ts';
import { notStarted, type RouteGroup } from './server.ts';

const count = z.number().int();

export const job = z.object({
  job_id: z.string(),
  kind: z.string().describe('redrive, reconcile (a comparison), backfill or rule.'),
  status: z.enum(['RUNNING', 'COMPLETED', 'FAILED', 'CANCELLED']),
  requested_by: z.string(),
  started_at: time,
  heard_at: time.describe('When its runner was last heard of.'),
  completed_at: time.nullable(),
  table: z.string().nullable(),
  rule: z.string().nullable(),
  validation_strategy: z.string().nullable(),
  dry_run: z.boolean(),
  unit: z.string().nullable().describe('What `total` and `done` count: letters, ranges, rows or keys.'),
  total: count.describe('0 where it is not known before the end.'),
  done: count,
  progress: z.number().nullable().describe('Share of the work that is done, 0 to 1; null where it is not known.'),
  counts: z.record(z.string(), count).describe('What came of it, by name.'),
  failures: z.record(z.string(), count).describe('Failures by code.'),
  verdict: z.string().nullable().describe('Of comparisons and rules: PASS, DRIFT or INCONCLUSIVE.'),
  reasons: z.array(z.string()).describe('What stands against PASS.'),
  error: z.string().nullable(),
});

/** A job as the contract has it. */
export const shownJob = (each: EndedJob): z.output<typeof job> => jobDocument(each) as z.output<typeof job>;

const jobParam = z.object({ id: z.uuid() });

/** Long work of every kind: what it is, how far it is, what came of it. */
export function jobRoutes(source: () => Operations | null): RouteGroup {
  const operations = (): Operations => source() ?? notStarted();
  const found = async (id: string): Promise<EndedJob> => {
    const each = await operations().jobs.find(id);
    if (each === null) throw new HttpProblem(404, 'JOB_UNKNOWN', `There is no job ${id}.`);
    return each;
  };
  return (plain, guard) => {
    const app = plain.withTypeProvider<ZodTypeProvider>();

    app.get(
      '/jobs/:id',
      {
        schema: {
          summary: 'Kind, progress and outcome of a job',
          tags: ['jobs'],
          security,
          params: jobParam,
          response: { 200: job, ...problems },
        },
      },
      async (request) => {
        guard('read', request);
        return shownJob(await found(request.params.id));
      },
    );

    app.post(
      '/jobs/:id/cancel',
      {
        schema: {
          summary: 'End a job',
          tags: ['jobs'],
          security,
          params: jobParam,
          response: { 200: job, ...problems },
        },
      },
      async (request) => {
        guard('operate', request);
        await operations().jobs.finish(request.params.id, 'CANCELLED', null);
        const each = await found(request.params.id);
        if (each.status !== 'CANCELLED') throw new HttpProblem(409, 'JOB_ENDED', `The job is ${each.status}.`);
        return shownJob(each);
      },
    );
  };
}
