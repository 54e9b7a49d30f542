/** The lockstep.yaml of a demo: what a user would write for the same stack. */
import { writeFile } from 'node:fs/promises';
import { stringify } from 'yaml';
import { SHOP_TABLES, KEYSPACE, TARGET_SCHEMA, topicOf } from '../shop/schema.ts';

/** What the file is made from. */
export interface ServiceSettings {
  readonly brokers: readonly string[];
  readonly contactPoints: readonly string[];
  readonly localDataCenter: string;
  readonly postgresUrl: string;
  readonly agentHealthUrl: string;
  readonly topicPrefix: string;
  readonly apiPort: number;
}

/**
 * A killed member keeps its partitions until the broker misses it. The least that brokers allow by default, so that a
 * restart is back within seconds.
 */
const SESSION_TIMEOUT = '6s';

/**
 * Every change of the shop has its entry in the changelog. Windows are small and looked at soon, because a demonstration is
 * short; the second look is for writes that name a time of up to 20 s ago.
 */
const WINDOWS = { changelog: 'cassandra', size: '5s', horizons: ['3s', '30s'] } as const;
const HEARTBEATS_EVERY = '2s';

/** Topic that dead letters go to. */
export const DLQ_TOPIC = 'lockstep.dlq';

/** The configuration as a document. */
export function serviceConfiguration(settings: ServiceSettings): Record<string, unknown> {
  return {
    kafka: { brokers: settings.brokers, groupId: 'lockstep', sessionTimeout: SESSION_TIMEOUT },
    source: {
      cassandra: {
        contactPoints: settings.contactPoints,
        localDataCenter: settings.localDataCenter,
        keyspace: KEYSPACE,
        consistency: 'LOCAL_QUORUM',
        agents: [{ url: settings.agentHealthUrl }],
      },
    },
    target: { postgres: { url: settings.postgresUrl } },
    tables: SHOP_TABLES.map((table) => ({
      source: `${KEYSPACE}.${table}`,
      topic: topicOf(settings.topicPrefix, table),
      target: `${TARGET_SCHEMA}.${table}`,
      // Writers use TTLs there; the others never do.
      ...(table === 'sessions' ? { usesTtl: true } : {}),
    })),
    deadLetter: { topic: DLQ_TOPIC },
    // The demonstration compares by itself, at its own moments; schedules would do so beside its measurements.
    reconciliation: {
      enabled: false,
      // With heartbeats nothing has to be guessed.
      captureDelay: null,
      heartbeats: { topic: `${settings.topicPrefix}.lockstep.heartbeat`, every: HEARTBEATS_EVERY },
      windows: WINDOWS,
      repair: { mode: 'auto' },
    },
    api: { host: '127.0.0.1', port: settings.apiPort },
  };
}

/** Writes the file; it holds the database's password, so only its owner may read it. */
export async function writeConfigurationFile(path: string, settings: ServiceSettings): Promise<void> {
  const heading = '# Written by `lockstep demo` for its own stack.\n';
  await writeFile(path, heading + stringify(serviceConfiguration(settings)), { mode: 0o600 });
}
