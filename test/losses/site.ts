/** The stage of the losses: a table that has all that the connector loses, captured from a real Cassandra. */
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import type cassandra from 'cassandra-driver';
import type { Kafka } from 'kafkajs';
import pg from 'pg';
import type { Closing } from '../../src/demo/closing.ts';
import { demoKafka } from '../../src/demo/kafka/kafka.ts';
import { ballastDdl } from '../../src/demo/losses/commit-log.ts';
import type { LockstepService } from '../../src/demo/service/lockstep-service.ts';
import { connectSource } from '../../src/demo/workload/source-client.ts';
import { openStack, type Stack } from '../../src/stack/index.ts';
import { startCaptured } from '../support/captured-service.ts';
import { beginCommand, endOf, type Ended } from '../support/lockstep-command.ts';

export const LOSSY = 'lossy';

/** The agent reads every 100 ms; a machine that is busy with other things makes it slower by far. */
export const RECONCILIATION = { captureDelay: '10s', repair: { mode: 'auto', maxPercent: 100 } } as const;

export interface LossSite {
  readonly stack: Stack;
  readonly source: cassandra.Client;
  readonly postgres: pg.Pool;
  readonly postgresUrl: string;
  readonly kafka: Kafka;
  readonly service: LockstepService;
  readonly keyspace: string;
  readonly topic: string;
  readonly lockstep: (...args: readonly string[]) => Promise<Ended>;
}

/** Before the agent starts: it never learns of a table with a user-defined type that is made while it runs. */
export function lossyDdl(keyspace: string): readonly string[] {
  return [
    `CREATE TYPE ${keyspace}.place (city text, zip int)`,
    `CREATE TABLE ${keyspace}.${LOSSY} (pk int, ck int, v text, n int, home place, tags set<text>, s text static,
       PRIMARY KEY (pk, ck)) WITH cdc = true`,
    ballastDdl(keyspace),
  ];
}

interface Running {
  readonly stack: Stack;
  readonly source: cassandra.Client;
  readonly postgres: pg.Pool;
  readonly service: LockstepService;
  readonly configurationFile: string;
}

export function siteOf({ configurationFile, ...running }: Running, keyspace: string): LossSite {
  const { kafka, postgres, agent } = running.stack.endpoints();
  return {
    ...running,
    postgresUrl: postgres.url,
    kafka: demoKafka(kafka.brokers),
    keyspace,
    topic: `${agent.topicPrefix}.${keyspace}.${LOSSY}`,
    lockstep: (...args) => endOf(beginCommand(configurationFile, ...args)),
  };
}

/** A whole stack with nothing but this table, for the runs by hand. */
export async function openLossSite(dir: string, closing: Closing): Promise<LossSite> {
  const keyspace = 'losses';
  await mkdir(dir, { recursive: true });
  const stack = await openStack({ provider: 'native', dir: join(dir, 'stack') });
  await stack.destroy();
  closing.add(() => stack.destroy());
  const connected: cassandra.Client[] = [];
  const endpoints = await stack.up({
    beforeAgent: async ({ cassandra: found }) => {
      const client = await connectSource(found);
      connected.push(client);
      await client.execute(
        `CREATE KEYSPACE ${keyspace} WITH replication = {'class': 'SimpleStrategy', 'replication_factor': 1}`,
      );
      for (const statement of lossyDdl(keyspace)) await client.execute(statement);
    },
  });
  const [source] = connected;
  if (source === undefined) throw new Error('beforeAgent was called');
  closing.add(() => source.shutdown());
  const postgres = new pg.Pool({ connectionString: endpoints.postgres.url, max: 2 });
  postgres.on('error', () => undefined);
  closing.add(() => postgres.end());
  const captured = await startCaptured(dir, endpoints, keyspace, [LOSSY], { reconciliation: RECONCILIATION });
  closing.add(() => captured.service.stop());
  return siteOf({ stack, source, postgres, ...captured }, keyspace);
}
