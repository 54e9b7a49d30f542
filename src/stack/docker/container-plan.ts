/** What each part is as a container. Pure, so that it can be checked where there is no engine. */
import { createHash } from 'node:crypto';
import { stringify } from 'yaml';
import { agentDriverConfig, agentProperties, cassandraCaptureSettings } from '../connector-files.ts';
import { KAFKA_SETTINGS } from '../native/parts/kafka.ts';
import { POSTGRES_SETTINGS } from '../native/parts/postgres.ts';
import { POSTGRES_DATABASE, POSTGRES_USER, TOPIC_PREFIX, type PartName } from '../stack.ts';
import type { DockerState } from './docker-state.ts';

/** Where a broker listens for the other containers. */
const INTERNAL_KAFKA = 'kafka:19092';

/** The user that Cassandra's image runs as; the agent must be the same to move its commit-log files. */
const CASSANDRA_USER = '999:999';

/** One container. */
export interface ContainerPlan {
  readonly image: string;
  readonly environment: Readonly<Record<string, string>>;
  /** Port in the container, and on this machine's loopback interface. */
  readonly port: { readonly container: number; readonly host: number };
  /** Suffix of a named volume to mount point. */
  readonly volumes: Readonly<Record<string, string>>;
  /** Files put into the container before it starts, by path. */
  readonly files: Readonly<Record<string, string>>;
  readonly command: readonly string[];
  readonly user?: string;
}

/** cassandra.yaml in the containers. The image's entry point fills in the addresses. */
export async function containerCassandraConfig(): Promise<string> {
  const data = '/var/lib/cassandra';
  return stringify({
    cluster_name: 'Test Cluster',
    num_tokens: 1,
    initial_token: '0',
    partitioner: 'org.apache.cassandra.dht.Murmur3Partitioner',
    data_file_directories: [`${data}/data`],
    commitlog_directory: `${data}/commitlog`,
    cdc_raw_directory: `${data}/cdc_raw`,
    hints_directory: `${data}/hints`,
    saved_caches_directory: `${data}/saved_caches`,
    ...(await cassandraCaptureSettings()),
    endpoint_snitch: 'SimpleSnitch',
    seed_provider: [
      { class_name: 'org.apache.cassandra.locator.SimpleSeedProvider', parameters: [{ seeds: '127.0.0.1:7000' }] },
    ],
    listen_address: 'localhost',
    broadcast_address: 'localhost',
    rpc_address: 'localhost',
    broadcast_rpc_address: 'localhost',
    native_transport_port: 9042,
    storage_port: 7000,
    authenticator: 'AllowAllAuthenticator',
    authorizer: 'AllowAllAuthorizer',
  });
}

/** agent.properties in the container. */
export function containerAgentProperties(): Promise<string> {
  return agentProperties({
    'connector.name': TOPIC_PREFIX,
    'topic.prefix': TOPIC_PREFIX,
    'commit.log.relocation.dir': '/var/lib/cassandra/agent/relocation',
    'offset.backing.store.dir': '/var/lib/cassandra/agent/offsets',
    'kafka.producer.bootstrap.servers': INTERNAL_KAFKA,
  });
}

function kafkaEnvironment(hostPort: number): Record<string, string> {
  const settings: Record<string, string | number> = {
    'node.id': 1,
    'process.roles': 'broker,controller',
    'controller.quorum.voters': '1@kafka:9093',
    // The name a client is given must lead it back: one for this machine, one for the other containers.
    listeners: 'HOST://:9092,INTERNAL://:19092,CONTROLLER://:9093',
    'advertised.listeners': `HOST://127.0.0.1:${hostPort},INTERNAL://${INTERNAL_KAFKA}`,
    'listener.security.protocol.map': 'CONTROLLER:PLAINTEXT,INTERNAL:PLAINTEXT,HOST:PLAINTEXT',
    'inter.broker.listener.name': 'INTERNAL',
    'controller.listener.names': 'CONTROLLER',
    'log.dirs': '/var/lib/kafka/data',
    ...KAFKA_SETTINGS,
  };
  return Object.fromEntries(
    Object.entries(settings).map(([key, value]) => [`KAFKA_${key.replaceAll('.', '_').toUpperCase()}`, String(value)]),
  );
}

/** The agent image's name: another Dockerfile or pin gives another image. */
export function agentImageName(contextFiles: readonly string[]): string {
  const hash = createHash('sha256');
  for (const text of contextFiles) hash.update(text).update('\0');
  return `lockstep-stack-agent:${hash.digest('hex').slice(0, 12)}`;
}

/** All four containers. */
export async function planContainers(
  state: DockerState,
  agentImage: string,
): Promise<Readonly<Record<PartName, ContainerPlan>>> {
  const { ports } = state;
  const cassandraYaml = await containerCassandraConfig();
  return {
    kafka: {
      image: 'apache/kafka:4.1.1',
      environment: kafkaEnvironment(ports.kafka),
      port: { container: 9092, host: ports.kafka },
      volumes: { kafka: '/var/lib/kafka/data' },
      files: {},
      command: [],
    },
    cassandra: {
      image: 'cassandra:5.0.8',
      environment: {
        MAX_HEAP_SIZE: '1G',
        HEAP_NEWSIZE: '256M',
        JVM_EXTRA_OPTS: '-Dcassandra.ring_delay_ms=0 -Dcassandra.skip_wait_for_gossip_to_settle=0',
      },
      port: { container: 9042, host: ports.cassandra },
      volumes: { cassandra: '/var/lib/cassandra' },
      files: { '/etc/cassandra/cassandra.yaml': cassandraYaml },
      command: [],
    },
    postgres: {
      image: 'postgres:18',
      environment: {
        POSTGRES_USER,
        POSTGRES_PASSWORD: state.postgresPassword,
        POSTGRES_DB: POSTGRES_DATABASE,
        POSTGRES_INITDB_ARGS: '--encoding=UTF8 --locale=C.UTF-8 --data-checksums',
      },
      port: { container: 5432, host: ports.postgres },
      // Since 18 the image keeps its data in a folder per major version below this.
      volumes: { postgres: '/var/lib/postgresql' },
      files: {},
      command: ['postgres', ...Object.entries(POSTGRES_SETTINGS).flatMap(([key, value]) => ['-c', `${key}=${value}`])],
    },
    agent: {
      image: agentImage,
      environment: {},
      port: { container: 8000, host: ports.agent },
      // The node's own directories: the agent reads its commit log and takes files out of cdc_raw.
      volumes: { cassandra: '/var/lib/cassandra' },
      files: {
        '/etc/cassandra/cassandra.yaml': cassandraYaml,
        '/etc/debezium-cassandra/agent.properties': await containerAgentProperties(),
        '/etc/debezium-cassandra/application.conf': await agentDriverConfig('cassandra:9042'),
      },
      command: [],
      user: CASSANDRA_USER,
    },
  };
}
