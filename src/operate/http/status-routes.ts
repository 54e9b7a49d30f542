import { messageOf } from '../../shared/errors.ts';
import type { ShardView } from '../shard-view.ts';
import { HttpProblem } from './problem.ts';
import type { RouteGroup } from './server.ts';

/** One table in `/status`. */
export interface TableStatus {
  readonly table: string;
  readonly topic: string;
  readonly target: string;
  /** Shards of this member. */
  readonly shards: number;
  readonly stopped_shards: number;
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

/** `/status` and `/shards`, scope `read`. */
export function statusRoutes(source: StatusSource): RouteGroup {
  return (app, guard) => {
    app.get('/status', async (request, reply) => {
      guard('read', request);
      return reply.send(source.status());
    });

    app.get('/shards', async (request, reply) => {
      guard('read', request);
      const shards = await source.shards().catch((error: unknown) => {
        throw new HttpProblem(
          503,
          'POSITIONS_UNREADABLE',
          messageOf(error),
          'Positions are in PostgreSQL: see /health/ready.',
        );
      });
      if (shards === null) {
        throw new HttpProblem(
          503,
          'STARTING',
          'The service is still starting.',
          '/health/ready says what it waits for.',
        );
      }
      return reply.send({ shards });
    });
  };
}
