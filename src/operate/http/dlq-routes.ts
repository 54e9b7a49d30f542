import { z } from 'zod';
import type { ZodTypeProvider } from 'fastify-type-provider-zod';
import { LETTER_STATUSES } from '../../deadletter/letter-filter.ts';
import { filterOf, filterSchema } from '../redrive/filter-document.ts';
import { attemptDocument, letterDocument, statsDocument } from '../redrive/letter-document.ts';
import { payloadOf } from '../redrive/payload.ts';
import type { Operations } from '../service/operations.ts';
import { bigintText, page, problems, security, time } from './contract.ts';
import { job, shownJob } from './job-routes.ts';
import { HttpProblem } from './problem.ts';
import { notStarted, type RouteGroup } from './server.ts';

const letter = z.object({
  id: bigintText,
  table: z.string().nullable(),
  topic: z.string(),
  incarnation: z.number().int(),
  partition: z.number().int(),
  offset: bigintText,
  code: z.string(),
  reason: z.string(),
  path: z.string(),
  change_id: z.string().nullable(),
  row_key: z.string().nullable(),
  status: z.enum(LETTER_STATUSES),
  attempts: z.number().int(),
  value_bytes: z.number().int(),
  record_time: time,
  first_failed_at: time,
  last_failed_at: time,
  resolved_at: time.nullable(),
});

const attempt = z.object({
  at: time,
  job_id: z.string().nullable().describe('Null where it was tried by itself, or discarded.'),
  outcome: z.enum(['applied', 'superseded', 'queued', 'failed', 'discarded']),
  code: z.string().nullable(),
  reason: z.string().nullable(),
});

const letterWithRecord = letter.extend({
  payload: z.string().nullable().describe('JSON or other text, or base64; null where the record is gone.'),
  payload_encoding: z.enum(['json', 'text', 'base64', 'null']).nullable(),
  cause: z.string().nullable().describe('The value at `path`, as JSON text.'),
  cause_lines: z
    .object({ first: z.number().int(), count: z.number().int() })
    .nullable()
    .describe('Lines of `payload` that are the cause, counted from 0.'),
  history: z.array(attempt),
});

const keepingGroup = z.object({
  count: z.number().int(),
  ids: z.array(bigintText).describe('The oldest of them.'),
});

const stats = z.object({
  total: z.number().int(),
  groups: z.array(
    z.object({
      table: z.string().nullable(),
      code: z.string(),
      status: z.enum(LETTER_STATUSES),
      count: z.number().int(),
      first_failed_at: time,
      last_failed_at: time,
      sample_id: bigintText,
      sample_reason: z.string(),
    }),
  ),
  hours: z.array(z.object({ hour: time, count: z.number().int() })),
  histogram: z
    .array(z.object({ table: z.string().nullable(), code: z.string(), hour: time, count: z.number().int() }))
    .describe('Letters by table, code and the hour of their first failure.'),
  bytes: z
    .object({
      topic: z.string(),
      retention_seconds: z.number().nullable().describe('Null = for ever.'),
      retention_bytes: z.number().nullable().describe('Of all partitions together; null = no bound.'),
      records: z.number().int().describe('Records in the topic.'),
      bytes: z.number().int().describe('Their size, estimated from the index, uncompressed.'),
      open: z.number().int(),
      oldest_open: time.nullable(),
      gone: keepingGroup.describe('Open letters whose records have left the topic.'),
      leaving: keepingGroup.describe('Open letters whose records have less than a quarter of their time left.'),
      first_leaves_at: time.nullable(),
    })
    .nullable()
    .describe('What the DLQ topic still has of the open letters; null where Kafka can not be asked.'),
});

const redriveBody = z.strictObject({
  filter: filterSchema
    .prefault({})
    .describe('Which letters; as in the query of GET /dlq/records. Pending ones by default.'),
  dry_run: z.boolean().default(false).describe('Tell what would happen; write nothing.'),
  rate: z.number().int().min(1).nullable().default(null).describe('Letters a second at most.'),
  limit: z.number().int().min(1).nullable().default(null).describe('Letters at most.'),
  correction: z
    .strictObject({
      patch: z
        .string()
        .min(1)
        .describe('JSON text of an object from path to value; the numbers in it keep all their digits.'),
      why: z.string().min(1).max(1_000).describe('Kept in the audit log.'),
    })
    .nullable()
    .default(null)
    .describe('A corrected value for one letter, which filter.id names.'),
});

const discardBody = z.strictObject({
  filter: filterSchema.describe('Which letters, at least one field of it; those that are open are discarded.'),
  why: z.string().trim().min(1).max(1_000).describe('Kept with the letters and in the audit log.'),
  dry_run: z.boolean().default(false).describe('Tell how many; write nothing.'),
});

const RECORD_LIMIT_MS = 60_000;
const idParam = z.object({ id: z.string().regex(/^\d{1,18}$/) });

/** Dead letters, and what becomes of them. */
export function dlqRoutes(source: () => Operations | null): RouteGroup {
  const operations = (): Operations => source() ?? notStarted();
  return (plain, guard) => {
    const app = plain.withTypeProvider<ZodTypeProvider>();

    app.get(
      '/dlq/records',
      {
        schema: {
          summary: 'The newest dead letters',
          tags: ['dead letters'],
          security,
          querystring: filterSchema.extend(page),
          response: {
            200: z.object({ records: z.array(letter), total: z.number(), limit: z.number(), offset: z.number() }),
            ...problems,
          },
        },
      },
      async (request) => {
        const caller = guard('read', request);
        const { limit, offset, ...rest } = request.query;
        const filter = filterOf(rest);
        const { letters } = operations();
        const [records, total] = [await letters.newest(filter, limit, offset), await letters.count(filter)];
        const masking = await operations().masking(caller);
        return {
          records: records.map((each) => letterDocument(masking.letter(each))) as z.output<typeof letter>[],
          total,
          limit,
          offset,
        };
      },
    );

    app.get(
      '/dlq/stats',
      {
        schema: {
          summary: 'Dead letters by table, code and hour',
          tags: ['dead letters'],
          security,
          querystring: filterSchema,
          response: { 200: stats, ...problems },
        },
      },
      async (request) => {
        const caller = guard('read', request);
        const filter = filterOf(request.query);
        const [found, keeping] = [await operations().letters.stats(filter), await operations().keeping(filter)];
        const masking = await operations().masking(caller);
        const groups = found.groups.map((group) => masking.group(group));
        return statsDocument({ ...found, groups }, keeping) as z.output<typeof stats>;
      },
    );

    app.get(
      '/dlq/records/:id',
      {
        schema: {
          summary: 'One dead letter with its record and its history',
          description: 'Columns that are marked as sensitive are masked unless the token has the scope `operate`.',
          tags: ['dead letters'],
          security,
          params: idParam,
          response: { 200: letterWithRecord, ...problems },
        },
      },
      async (request) => {
        const caller = guard('read', request);
        const { letters, bytes } = operations();
        const [found] = await letters.page({ id: BigInt(request.params.id) }, 0n, 1);
        if (found === undefined) {
          throw new HttpProblem(404, 'LETTER_UNKNOWN', `There is no dead letter ${request.params.id}.`);
        }
        const record = (await bytes.read([found], AbortSignal.timeout(RECORD_LIMIT_MS))).get(found.id) ?? null;
        const masking = await operations().masking(caller);
        const payload = record === null ? null : payloadOf(record.value, found.path, masking.of(found.table).columns);
        const history = (await letters.attempts(found.id)).map((each) => ({
          ...each,
          reason: masking.reason(found.table, each.code, each.reason),
        }));
        return {
          ...(letterDocument(masking.letter(found)) as z.output<typeof letter>),
          payload: payload?.text ?? null,
          payload_encoding: payload?.encoding ?? null,
          cause: payload?.cause ?? null,
          cause_lines: payload?.causeLines ?? null,
          history: history.map(attemptDocument) as z.output<typeof attempt>[],
        };
      },
    );

    app.post(
      '/dlq/redrive',
      {
        schema: {
          summary: 'Send dead letters through the door again',
          tags: ['dead letters'],
          security,
          body: redriveBody,
          response: { 202: job, ...problems },
        },
      },
      async (request, reply) => {
        const caller = guard('operate', request);
        const { filter, dry_run: dryRun, rate, limit, correction } = request.body;
        const begun = await operations().redrive({
          filter: filterOf(filter),
          dryRun,
          limit,
          correction,
          ratePerSecond: rate,
          requestedBy: caller.name,
        });
        return reply.code(202).send(shownJob(begun));
      },
    );

    app.post(
      '/dlq/discard',
      {
        schema: {
          summary: 'Leave dead letters for good',
          description: 'They are open no more and stay listed; a redrive that names them by status or ID takes them.',
          tags: ['dead letters'],
          security,
          body: discardBody,
          response: { 200: z.object({ discarded: z.number().int(), dry_run: z.boolean() }), ...problems },
        },
      },
      async (request) => {
        const caller = guard('operate', request);
        const { filter, why, dry_run: dryRun } = request.body;
        const decision = { by: caller.name, why, dryRun };
        return { discarded: await operations().discard(filterOf(filter), decision), dry_run: dryRun };
      },
    );
  };
}
