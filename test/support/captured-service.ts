/** `lockstep run` over a whole stack: tables of a real Cassandra, captured through the agent and Kafka. */
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type cassandra from 'cassandra-driver';
import getPort from 'get-port';
import { stringify } from 'yaml';
import { createTopics, demoKafka } from '../../src/demo/kafka/kafka.ts';
import { LockstepService } from '../../src/demo/service/lockstep-service.ts';
import { runCommand } from '../../src/demo/service/run-command.ts';
import type { Stack } from '../../src/stack/index.ts';

/** Statements under way at a time. */
const WRITERS = 64;

/** Many statements, some at a time. */
export async function writeAll(
  client: cassandra.Client,
  n: number,
  statement: (i: number) => readonly [query: string, params: readonly unknown[]],
): Promise<void> {
  let next = 0;
  const writer = async (): Promise<void> => {
    for (let i = next++; i < n; i = next++) {
      const [query, params] = statement(i);
      await client.execute(query, [...params], { prepare: true });
    }
  };
  await Promise.all(Array.from({ length: WRITERS }, writer));
}

export interface CapturedService {
  readonly service: LockstepService;
  readonly configurationFile: string;
  readonly apiPort: number;
}

/** Topics, configuration and target tables for these tables of a keyspace, and a service that is ready. */
export async function startCaptured(
  dir: string,
  endpoints: ReturnType<Stack['endpoints']>,
  keyspace: string,
  tables: readonly string[],
  more: Record<string, unknown> = {},
): Promise<CapturedService> {
  const topics = tables.map((table) => `${endpoints.agent.topicPrefix}.${keyspace}.${table}`);
  await createTopics(demoKafka(endpoints.kafka.brokers), topics, 2);
  const apiPort = await getPort({ host: '127.0.0.1' });
  const configurationFile = join(dir, 'lockstep.yaml');
  const configuration = {
    kafka: { brokers: endpoints.kafka.brokers, sessionTimeout: '6s' },
    source: { cassandra: { ...endpoints.cassandra, consistency: 'LOCAL_QUORUM' } },
    target: { postgres: { url: endpoints.postgres.url } },
    tables: tables.map((table, i) => ({
      source: `${keyspace}.${table}`,
      topic: topics[i],
      target: `public.${table}`,
      usesTtl: true,
    })),
    ...more,
    // Tests compare at their own moments.
    reconciliation: { enabled: false, ...(more['reconciliation'] as object | undefined) },
    api: { host: '127.0.0.1', port: apiPort, ...(more['api'] as object | undefined) },
  };
  await writeFile(configurationFile, stringify(configuration), { mode: 0o600 });
  await runCommand(['schema', 'apply', '-c', configurationFile], join(dir, 'apply.log'), AbortSignal.timeout(60_000));
  const service = new LockstepService({ configurationFile, apiPort, logFile: join(dir, 'lockstep.log') });
  await service.start();
  await service.waitUntilReady(AbortSignal.timeout(90_000));
  return { service, configurationFile, apiPort };
}
