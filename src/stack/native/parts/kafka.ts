/** Kafka, a single KRaft node that is broker and controller. */
import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { mkdir, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { renderProperties } from '../../connector-files.ts';
import { kafkaAnswers } from '../../probes.ts';
import { JVM_OPTIONS, type NativePart, type StartContext } from '../part.ts';
import type { NativeState } from '../state-file.ts';

const run = promisify(execFile);

/** Partitions of a topic made by its first record: enough to see shards move between members. */
const PARTITIONS = 4;

/** Settings that the native and the container stack share. */
export const KAFKA_SETTINGS: Readonly<Record<string, string | number>> = {
  'num.partitions': PARTITIONS,
  'auto.create.topics.enable': 'true',
  // The first member of a group starts at once instead of after 3 s.
  'group.initial.rebalance.delay.ms': 0,
  // One node: internal topics can have one replica, and a few partitions are made faster than fifty.
  'offsets.topic.replication.factor': 1,
  'offsets.topic.num.partitions': PARTITIONS,
  'transaction.state.log.replication.factor': 1,
  'transaction.state.log.min.isr': 1,
  'transaction.state.log.num.partitions': PARTITIONS,
  'share.coordinator.state.topic.replication.factor': 1,
  'share.coordinator.state.topic.min.isr': 1,
  'share.coordinator.state.topic.num.partitions': PARTITIONS,
};

/** server.properties of the native broker. */
export function renderKafkaConfig(
  dataDir: string,
  port: number,
  controllerPort: number,
  behindProxy: { readonly port: number; readonly proxyPort: number } | null = null,
): string {
  const detour = (address: number): string => (behindProxy === null ? '' : `,PROXIED://127.0.0.1:${address}`);
  return renderProperties([
    ['process.roles', 'broker,controller'],
    ['node.id', 1],
    ['controller.quorum.voters', `1@127.0.0.1:${controllerPort}`],
    [
      'listeners',
      `PLAINTEXT://127.0.0.1:${port},CONTROLLER://127.0.0.1:${controllerPort}${detour(behindProxy?.port ?? 0)}`,
    ],
    ['advertised.listeners', `PLAINTEXT://127.0.0.1:${port}${detour(behindProxy?.proxyPort ?? 0)}`],
    ['inter.broker.listener.name', 'PLAINTEXT'],
    ['controller.listener.names', 'CONTROLLER'],
    ['listener.security.protocol.map', 'CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT,PROXIED:PLAINTEXT'],
    ['log.dirs', dataDir],
    ...Object.entries(KAFKA_SETTINGS),
  ]);
}

const home = (dir: string): string => join(dir, 'kafka');
const configFile = (dir: string): string => join(home(dir), 'server.properties');
const classPath = (context: StartContext): string => join(context.jars.kafka, '*');

const broker = (state: NativeState): string => `127.0.0.1:${state.ports.kafka}`;

export const kafka: NativePart = {
  name: 'kafka',
  stopSignal: 'SIGTERM',
  stopLimitMs: 20_000,
  startLimitMs: 300_000,
  remedy:
    'If the log speaks of a missing or wrong cluster ID, its data is damaged: remove the kafka folder of the stack directory.',
  endpoint: broker,
  isHealthy: (state) => kafkaAnswers(state.ports.kafka),

  async prepare(context) {
    const { ports, kafkaClusterId } = context.state;
    const data = join(home(context.dir), 'data');
    await mkdir(home(context.dir), { recursive: true });
    const { kafkaProxyPort } = context.options;
    const behindProxy =
      kafkaProxyPort === undefined || ports.kafkaBehindProxy === undefined
        ? null
        : { port: ports.kafkaBehindProxy, proxyPort: kafkaProxyPort };
    await writeFile(configFile(context.dir), renderKafkaConfig(data, ports.kafka, ports.kafkaController, behindProxy));
    if (existsSync(join(data, 'meta.properties'))) return;
    // Left by a format that was interrupted; there is nothing in it yet.
    await rm(data, { recursive: true, force: true });
    await run(context.java.command, [
      '-Xshare:auto',
      '-XX:TieredStopAtLevel=1',
      '-Dorg.slf4j.simpleLogger.defaultLogLevel=warn',
      '-cp',
      classPath(context),
      'kafka.tools.StorageTool',
      'format',
      '-t',
      kafkaClusterId,
      '-c',
      configFile(context.dir),
    ]);
  },

  launch(context) {
    return {
      command: context.java.command,
      args: [
        '-Xms256m',
        '-Xmx1g',
        ...JVM_OPTIONS,
        '-Dorg.slf4j.simpleLogger.defaultLogLevel=warn',
        '-Dorg.slf4j.simpleLogger.showDateTime=true',
        '-Dorg.slf4j.simpleLogger.dateTimeFormat=yyyy-MM-dd HH:mm:ss.SSS',
        '-cp',
        classPath(context),
        'kafka.Kafka',
        configFile(context.dir),
      ],
      cwd: home(context.dir),
    };
  },
};
