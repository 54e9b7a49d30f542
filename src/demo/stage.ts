/** Sets the stage: stack, shop, target tables, and Lockstep in a process of its own. */
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import type cassandra from 'cassandra-driver';
import getPort from 'get-port';
import type { Kafka, Producer } from 'kafkajs';
import pg from 'pg';
import { messageOf } from '../shared/errors.ts';
import { openStack, type Stack, type StackEndpoints, type StackEvent } from '../stack/index.ts';
import type { Closing } from './closing.ts';
import { DemoError } from './demo-error.ts';
import type { DemoOptions } from './demo-options.ts';
import { connectProducer, createTopics, demoKafka } from './kafka/kafka.ts';
import type { Board } from './screen/board.ts';
import { writeConfigurationFile } from './service/configuration-file.ts';
import { LockstepService } from './service/lockstep-service.ts';
import { runCommand } from './service/run-command.ts';
import { PARTITIONS_PER_TOPIC, SHOP_DDL, SHOP_TABLES, topicOf } from './shop/schema.ts';
import { connectSource } from './workload/source-client.ts';
import { SourceWriter } from './workload/writer.ts';

/** Everything that runs, and the demo's own connections to it. */
export interface Stage {
  readonly stack: Stack;
  readonly endpoints: StackEndpoints;
  /** No earlier demo left anything in this directory. */
  readonly fresh: boolean;
  readonly kafka: Kafka;
  readonly producer: Producer;
  readonly source: cassandra.Client;
  readonly writer: SourceWriter;
  readonly postgres: pg.Pool;
  readonly service: LockstepService;
  readonly topics: readonly string[];
  readonly configurationFile: string;
}

/** The demo reads PostgreSQL in a few places at once. */
const POOL_SIZE = 4;

function showStackEvent(board: Board, event: StackEvent): void {
  switch (event.kind) {
    case 'preparing':
      board.begin(event.what);
      break;
    case 'prepared':
      board.end(event.what, 'done');
      break;
    case 'starting':
      board.begin(event.part);
      break;
    case 'healthy':
      board.end(event.part, 'done');
      break;
    case 'failed':
      board.end(event.part, 'failed', event.message.split('\n')[0] ?? '');
      break;
    case 'stopping':
    case 'stopped':
      break;
  }
}

async function step<T>(board: Board, name: string, work: () => Promise<T>): Promise<T> {
  board.begin(name);
  try {
    const result = await work();
    board.end(name, 'done');
    return result;
  } catch (error) {
    board.end(name, 'failed', messageOf(error).split('\n')[0] ?? '');
    throw error;
  }
}

async function startStack(
  options: DemoOptions,
  board: Board,
  closing: Closing,
  signal: AbortSignal,
): Promise<Pick<Stage, 'stack' | 'endpoints' | 'fresh'>> {
  const stack = await openStack({ provider: options.provider, dir: options.dir });
  const before = await stack.status();
  if (before.running) {
    throw new DemoError(
      'DEMO_STACK',
      `a stack is running in ${stack.dir}`,
      `Stop it (lockstep stack down --dir ${stack.dir}) or give the demo another place (--dir DIR).`,
    );
  }
  if (!options.keep) await step(board, 'clearing the last demo', () => stack.destroy());
  closing.add(() => stack.down());
  const endpoints = await stack.up({
    signal,
    lifetime: 'owned',
    onProgress: (event) => {
      showStackEvent(board, event);
    },
  });
  return { stack, endpoints, fresh: !options.keep || before.endpoints === null };
}

/**
 * Sets the stage. What is opened is closed by `closing`, also when this fails half-way.
 *
 * The agent is started once more after the tables are made: tables with a user-defined type that are made while it runs
 * are never captured (3.4.1.Final logs "Unknown type" and goes on without them; seen).
 */
export async function setStage(
  options: DemoOptions,
  board: Board,
  closing: Closing,
  signal: AbortSignal,
): Promise<Stage> {
  board.enter('stack', 'starting the stack');
  const { stack, endpoints, fresh } = await startStack(options, board, closing, signal);
  await mkdir(stack.dir, { recursive: true });

  board.enter('shop');
  const topics = SHOP_TABLES.map((table) => topicOf(endpoints.agent.topicPrefix, table));
  const kafka = demoKafka(endpoints.kafka.brokers);
  const source = await connectSource(endpoints.cassandra);
  closing.add(() => source.shutdown());
  signal.throwIfAborted();
  await step(board, 'tables in Cassandra', async () => {
    for (const statement of SHOP_DDL) await source.execute(statement);
  });
  await step(board, 'topics in Kafka', () => createTopics(kafka, topics, PARTITIONS_PER_TOPIC));

  const apiPort = await getPort({ host: '127.0.0.1' });
  const configurationFile = join(stack.dir, 'lockstep.yaml');
  await writeConfigurationFile(configurationFile, {
    brokers: endpoints.kafka.brokers,
    contactPoints: endpoints.cassandra.contactPoints,
    localDataCenter: endpoints.cassandra.localDataCenter,
    postgresUrl: endpoints.postgres.url,
    agentHealthUrl: endpoints.agent.healthUrl,
    topicPrefix: endpoints.agent.topicPrefix,
    apiPort,
  });
  await step(board, 'tables in PostgreSQL, changelog and heartbeats in Cassandra (schema apply)', () =>
    runCommand(['schema', 'apply', '-c', configurationFile], join(stack.dir, 'schema-apply.log'), signal),
  );
  signal.throwIfAborted();
  await step(board, 'agent, with the tables', async () => {
    await stack.stopPart('agent');
    await stack.startPart('agent');
  });
  signal.throwIfAborted();

  const postgres = new pg.Pool({
    connectionString: endpoints.postgres.url,
    max: POOL_SIZE,
    application_name: 'lockstep-demo',
  });
  postgres.on('error', () => undefined);
  closing.add(() => postgres.end());
  const producer = await connectProducer(kafka);
  closing.add(() => producer.disconnect());
  const service = new LockstepService({ configurationFile, apiPort, logFile: join(stack.dir, 'lockstep.log') });
  closing.add(() => service.stop());
  await step(board, 'Lockstep', async () => {
    await service.start();
    await service.waitUntilReady(signal);
  });
  return {
    stack,
    endpoints,
    fresh,
    kafka,
    producer,
    source,
    writer: new SourceWriter(source),
    postgres,
    service,
    topics,
    configurationFile,
  };
}
