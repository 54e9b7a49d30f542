/** Where proving happens: the stack, a proxy before each of its parts that Lockstep talks to, and connections past them. */
import type cassandra from 'cassandra-driver';
import getPort from 'get-port';
import type { Kafka, Producer } from 'kafkajs';
import pg from 'pg';
import type { Closing } from '../../../src/demo/closing.ts';
import { connectProducer, demoKafka } from '../../../src/demo/kafka/kafka.ts';
import { connectSource } from '../../../src/demo/workload/source-client.ts';
import { openStack, type Stack, type StackEndpoints } from '../../../src/stack/index.ts';
import { TcpProxy } from '../../support/tcp-proxy.ts';

/** The parts that Lockstep reaches through a proxy. */
export const PROXIED = ['postgres', 'kafka', 'cassandra'] as const;
export type Proxied = (typeof PROXIED)[number];

export interface Site {
  readonly stack: Stack;
  readonly endpoints: StackEndpoints;
  readonly nodes: 1 | 2;
  /** One proxy, or one per Cassandra node. */
  readonly proxies: Readonly<Record<Proxied, readonly TcpProxy[]>>;
  /** What Lockstep is configured with: every address leads through a proxy. */
  readonly proxied: {
    readonly brokers: readonly string[];
    readonly contactPoints: readonly string[];
    readonly postgresUrl: string;
  };
  readonly kafka: Kafka;
  readonly producer: Producer;
  readonly source: cassandra.Client;
  readonly postgres: pg.Pool;
}

const POOL_SIZE = 4;

const portOf = (address: string | undefined): number => Number(address?.split(':')[1]);

async function openProxies(endpoints: StackEndpoints, kafkaProxyPort: number): Promise<Site['proxies']> {
  const { behindProxy } = endpoints.kafka;
  if (behindProxy === null) throw new Error('Kafka has no listener behind a proxy');
  const nodes = endpoints.cassandra.contactPoints.map((point) => point.split(':') as [string, string]);
  // The driver takes one port for all nodes, so their proxies share one on different addresses, as the nodes do.
  const sharedPort = await getPort({ host: '127.0.0.1' });
  const cassandra = await Promise.all(
    nodes.map(([host, port]) =>
      TcpProxy.listen({ listenHost: host, listenPort: sharedPort, upstreamHost: host, upstreamPort: Number(port) }),
    ),
  );
  return {
    postgres: [await TcpProxy.listen({ upstreamPort: Number(new URL(endpoints.postgres.url).port) })],
    kafka: [await TcpProxy.listen({ listenPort: kafkaProxyPort, upstreamPort: portOf(behindProxy) })],
    cassandra,
  };
}

/** Starts everything but Lockstep, over empty data. What is opened is closed by `closing`. */
export async function openSite(
  { dir, nodes }: { readonly dir: string; readonly nodes: 1 | 2 },
  closing: Closing,
  signal: AbortSignal,
): Promise<Site> {
  const kafkaProxyPort = await getPort({ host: '127.0.0.1' });
  const stack = await openStack({ provider: 'native', dir, native: { nodes, kafkaProxyPort } });
  await stack.destroy();
  closing.add(() => stack.down());
  const endpoints = await stack.up({ signal, lifetime: 'owned' });
  const proxies = await openProxies(endpoints, kafkaProxyPort);
  closing.add(() => Promise.all(PROXIED.flatMap((name) => proxies[name].map((proxy) => proxy.close()))));

  const postgresUrl = new URL(endpoints.postgres.url);
  postgresUrl.port = String(proxies.postgres[0]?.port);
  const kafka = demoKafka(endpoints.kafka.brokers);
  const source = await connectSource(endpoints.cassandra);
  closing.add(() => source.shutdown());
  const producer = await connectProducer(kafka);
  closing.add(() => producer.disconnect());
  const postgres = new pg.Pool({ connectionString: endpoints.postgres.url, max: POOL_SIZE });
  postgres.on('error', () => undefined);
  closing.add(() => postgres.end());
  return {
    stack,
    endpoints,
    nodes,
    proxies,
    proxied: {
      brokers: [`127.0.0.1:${kafkaProxyPort}`],
      contactPoints: endpoints.cassandra.contactPoints.map(
        (point, index) => `${point.split(':')[0] ?? ''}:${proxies.cassandra[index]?.port ?? 0}`,
      ),
      postgresUrl: postgresUrl.href,
    },
    kafka,
    producer,
    source,
    postgres,
  };
}

/** Ends the agents in good order and starts them again: they read on from where they were. */
export async function restartAgents({ stack, nodes }: Site): Promise<void> {
  for (const agent of nodes === 1 ? (['agent'] as const) : (['agent', 'agent2'] as const)) {
    await stack.stopPart(agent);
    await stack.startPart(agent);
  }
}
