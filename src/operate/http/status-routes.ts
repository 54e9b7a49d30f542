import type { ZodTypeProvider } from 'fastify-type-provider-zod';
import { z } from 'zod';
import { messageOf } from '../../shared/errors.ts';
import type { Operations } from '../service/operations.ts';
import type { BreakerDocument, ShardView } from '../service/shard-view.ts';
import { bigintText, problems, security, time } from './contract.ts';
import { HttpProblem } from './problem.ts';
import { notStarted, type RouteGroup } from './server.ts';

/** One table in `/status`. */
export interface TableStatus {
  readonly table: string;
  readonly topic: string;
  readonly target: string;
  /** Shards of this member. */
  readonly shards: number;
  readonly stopped_shards: number;
  /** Dead-letter breakers of these shards, by partition. */
  readonly breakers: readonly (BreakerDocument & { readonly partition: number })[];
  /** Records that wait in the shards of this member. */
  readonly backlog: string;
  readonly staleness_seconds: number;
  /** Rows that wait to be read again from the source, over all members. */
  readonly rereads_queued: number;
  /** Age of the oldest of them. */
  readonly reread_oldest_seconds: number;
}

/** Answer of `/status`: what this member does. */
export interface StatusDocument {
  readonly status: 'starting' | 'running' | 'stopping';
  readonly version: string;
  readonly member: string;
  readonly started_at: string;
  readonly uptime_seconds: number;
  readonly group: { readonly id: string; readonly state: string };
  readonly dependencies: Readonly<Record<string, { readonly state: string; readonly reason: string | null }>>;
  readonly tables: readonly TableStatus[];
}

/** Where the routes get their answers from. */
export interface StatusSource {
  status(): StatusDocument;
  /** Every shard of every topic, whoever works on it; reads PostgreSQL. Null while the service starts. */
  shards(): Promise<readonly ShardView[] | null>;
}

const dependency = z.object({ state: z.string(), reason: z.string().nullable() });

const breaker = z.object({
  state: z
    .enum(['closed', 'open', 'half-open'])
    .describe('half-open: records at the position are tried, and nothing of it is committed or set aside.'),
  share: z.number().describe('Of the recent records, those that could not be applied; 0 to 1.'),
  records: z.number().describe('How many recent records that is a share of.'),
  since: time.nullable().describe('When it opened; null while it is closed.'),
});

const statusDocument = z.object({
  status: z.enum(['starting', 'running', 'stopping']),
  version: z.string(),
  member: z.string(),
  started_at: time,
  uptime_seconds: z.number(),
  group: z.object({ id: z.string(), state: z.string() }),
  dependencies: z.record(z.string(), dependency),
  tables: z.array(
    z.object({
      table: z.string(),
      topic: z.string(),
      target: z.string(),
      shards: z.number(),
      stopped_shards: z.number(),
      breakers: z.array(breaker.extend({ partition: z.number() })),
      backlog: z.string(),
      staleness_seconds: z.number(),
      rereads_queued: z.number(),
      reread_oldest_seconds: z.number(),
    }),
  ),
});

const shardDocument = z.object({
  topic: z.string(),
  partition: z.number(),
  incarnation: z.number(),
  table: z.string().nullable(),
  state: z.string(),
  reason: z.string().nullable(),
  next_offset: bigintText,
  log_end: bigintText.nullable(),
  lag: bigintText.nullable(),
  owner: z.string().nullable(),
  epoch: bigintText,
  breaker: breaker.nullable().describe('Null where its owner has noted none: then it is closed.'),
  here: z.boolean().describe('Whether this member works on it; only then are log end and lag known here.'),
});

const shardParams = z.object({ topic: z.string(), partition: z.coerce.number().int().min(0) });

/** `/status` and `/shards`, scope `read`; resuming a stopped shard, scope `operate`. */
export function statusRoutes(source: StatusSource, operations: () => Operations | null = () => null): RouteGroup {
  return (plain, guard) => {
    const app = plain.withTypeProvider<ZodTypeProvider>();
    app.get(
      '/status',
      {
        schema: {
          summary: 'What this member does',
          tags: ['status'],
          security,
          response: { 200: statusDocument, ...problems },
        },
      },
      async (request) => {
        guard('read', request);
        return source.status() as unknown as z.output<typeof statusDocument>;
      },
    );

    app.get(
      '/shards',
      {
        schema: {
          summary: 'Positions, owners and states of all shards',
          tags: ['status'],
          security,
          response: { 200: z.object({ shards: z.array(shardDocument) }), ...problems },
        },
      },
      async (request) => {
        guard('read', request);
        const shards = await source.shards().catch((error: unknown) => {
          throw new HttpProblem(
            503,
            'POSITIONS_UNREADABLE',
            messageOf(error),
            'Positions are in PostgreSQL: see /health/ready.',
          );
        });
        return { shards: [...(shards ?? notStarted())] };
      },
    );

    app.post(
      '/shards/:topic/:partition/resume',
      {
        schema: {
          summary: 'Ask the owner of a stopped shard to try again now',
          tags: ['status'],
          security,
          params: shardParams,
          response: { 202: z.object({ topic: z.string(), partition: z.number() }), ...problems },
        },
      },
      async (request, reply) => {
        guard('operate', request);
        const { topic, partition } = request.params;
        const asked = await (operations() ?? notStarted()).shards.requestResume(topic, partition);
        if (asked === 0) throw new HttpProblem(404, 'SHARD_UNKNOWN', `There is no shard ${topic}/${partition}.`);
        return reply.code(202).send({ topic, partition });
      },
    );
  };
}
