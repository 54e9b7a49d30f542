import type { Metrics } from '../telemetry/metrics.ts';
import type { Readiness } from '../service/readiness.ts';
import type { RouteGroup } from './server.ts';

/** Health and metrics: what probes and Prometheus ask, without a token. */
export function healthRoutes(readiness: () => Readiness, metrics: Metrics): RouteGroup {
  return (app) => {
    // Alive = this process answers. Whether its systems do is readiness: restarting us would not bring them back.
    app.get(
      '/health/live',
      { schema: { summary: 'This process answers', tags: ['health'] } },
      async (_request, reply) => reply.send({ status: 'ok' }),
    );

    app.get(
      '/health/ready',
      { schema: { summary: 'Ready, or why not', tags: ['health'] } },
      async (_request, reply) => {
        const { ready, reasons, dependencies, shards } = readiness();
        return reply.code(ready ? 200 : 503).send({
          status: ready ? 'ready' : 'not_ready',
          reasons,
          dependencies: Object.fromEntries(
            dependencies.map(({ name, state, reason, sinceMs }) => [
              name,
              { state, reason, since: new Date(sinceMs).toISOString() },
            ]),
          ),
          shards: shards.map(({ topic, partition, state, reason }) => ({ topic, partition, state, reason })),
        });
      },
    );

    app.get(
      '/metrics',
      { schema: { summary: 'Metrics in the format of Prometheus', tags: ['health'] } },
      async (_request, reply) => reply.type(metrics.registry.contentType).send(await metrics.render()),
    );
  };
}
