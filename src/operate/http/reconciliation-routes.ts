import { z } from 'zod';
import type { ZodTypeProvider } from 'fastify-type-provider-zod';
import type { WindowFilter } from '../../target/stores/window-store.ts';
import type { Operations } from '../service/operations.ts';
import { windowDocument } from '../delivery/window-document.ts';
import { page, problems, security, time } from './contract.ts';
import { notStarted, type RouteGroup } from './server.ts';

const VERDICTS = ['PASS', 'DRIFT', 'INCONCLUSIVE'] as const;
const count = z.number().int();

const window = z.object({
  table: z.string(),
  start: time,
  end: time,
  verdict: z.enum(VERDICTS),
  reason: z.string().nullable(),
  changelog: count,
  processed: count,
  filtered: count,
  dead_lettered: count,
  missing: count,
  unexpected: count,
  late: count,
  replayed: count,
  reopened: count,
  rounds: count,
  verified_at: time,
});

const query = z.strictObject({
  table: z.string().optional(),
  from: time.optional().describe('Windows that end after this time.'),
  to: time.optional().describe('Windows that begin before this time.'),
  verdict: z.enum(VERDICTS).optional(),
  ...page,
});

function filterOf({ table, from, to, verdict, limit, offset }: z.output<typeof query>): WindowFilter {
  return {
    ...(table === undefined ? {} : { table }),
    ...(from === undefined ? {} : { fromMs: Date.parse(from) }),
    ...(to === undefined ? {} : { toMs: Date.parse(to) }),
    ...(verdict === undefined ? {} : { verdict }),
    limit,
    offset,
  };
}

/** Delivery windows with the accounting identity changelog = processed + filtered + dead_lettered + missing. */
export function reconciliationRoutes(source: () => Operations | null): RouteGroup {
  return (plain, guard) => {
    plain.withTypeProvider<ZodTypeProvider>().get(
      '/reconciliation/windows',
      {
        schema: {
          summary: 'Delivery windows, the newest first',
          tags: ['reconciliation'],
          security,
          querystring: query,
          response: {
            200: z.object({ windows: z.array(window), total: count, limit: count, offset: count }),
            ...problems,
          },
        },
      },
      async (request) => {
        guard('read', request);
        const { windows } = source() ?? notStarted();
        const filter = filterOf(request.query);
        const [rows, total] = [await windows.list(filter), await windows.count(filter)];
        const { limit, offset } = filter;
        return { windows: rows.map(windowDocument) as z.output<typeof window>[], total, limit, offset };
      },
    );
  };
}
