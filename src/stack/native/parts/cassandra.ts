/** Cassandra with change data capture on: one node, or a ring of two. */
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { stringify } from 'yaml';
import { cassandraCaptureSettings } from '../../connector-files.ts';
import { SECOND_NODE_ADDRESS } from '../../endpoints.ts';
import { packageFile } from '../../package-root.ts';
import { cassandraAnswers } from '../../probes.ts';
import { JVM_OPTIONS, securityManagerOption, type NativePart } from '../part.ts';

/** Name of the cluster; the agent checks it. */
export const CLUSTER_NAME = 'Test Cluster';

/** One node of the ring. Nodes share their ports, so they differ in their addresses. */
export interface CassandraNode {
  readonly name: 'cassandra' | 'cassandra2';
  readonly address: string;
  /** Its token in a ring of two; a single node owns the whole ring by any. */
  readonly token: string;
}

export const FIRST_NODE: CassandraNode = { name: 'cassandra', address: '127.0.0.1', token: String(-(2n ** 63n)) };
export const SECOND_NODE: CassandraNode = { name: 'cassandra2', address: SECOND_NODE_ADDRESS, token: '0' };

const cassandraHome = (dir: string, { name }: CassandraNode): string => join(dir, name);
export const cassandraConfigFile = (dir: string, node: CassandraNode): string =>
  join(cassandraHome(dir, node), 'cassandra.yaml');

/** Two JVMs of this size and what else the stack runs fit into 8 GB. */
const HEAP_OF_ONE = '1g';
const HEAP_OF_TWO = '768m';
/** How long a joining node waits for gossip: enough on a loopback interface. */
const RING_DELAY_MS = 3_000;

/** cassandra.yaml of a native node. `capture` is the fragment from `connectors/debezium-cassandra`. */
export function renderCassandraConfig(
  home: string,
  port: number,
  storagePort: number,
  capture: Readonly<Record<string, unknown>>,
  { address, token }: Pick<CassandraNode, 'address' | 'token'> = { address: FIRST_NODE.address, token: '0' },
): string {
  return stringify({
    cluster_name: CLUSTER_NAME,
    // One token a node: with two nodes each owns half of the ring.
    num_tokens: 1,
    initial_token: token,
    partitioner: 'org.apache.cassandra.dht.Murmur3Partitioner',
    data_file_directories: [join(home, 'data')],
    commitlog_directory: join(home, 'commitlog'),
    // Same file system as the commit log: segments get here by a hard link.
    cdc_raw_directory: join(home, 'cdc_raw'),
    hints_directory: join(home, 'hints'),
    saved_caches_directory: join(home, 'saved_caches'),
    ...capture,
    disk_access_mode: 'standard',
    memtable_allocation_type: 'heap_buffers',
    endpoint_snitch: 'SimpleSnitch',
    seed_provider: [
      {
        class_name: 'org.apache.cassandra.locator.SimpleSeedProvider',
        parameters: [{ seeds: `${FIRST_NODE.address}:${storagePort}` }],
      },
    ],
    listen_address: address,
    rpc_address: address,
    native_transport_port: port,
    storage_port: storagePort,
    authenticator: 'AllowAllAuthenticator',
    authorizer: 'AllowAllAuthorizer',
  });
}

function cassandraPart(node: CassandraNode): NativePart {
  return {
    name: node.name,
    stopSignal: 'SIGTERM',
    stopLimitMs: 30_000,
    startLimitMs: 300_000,
    remedy:
      'It needs about 1.5 GB of free memory; if the log names a corrupt commit log, move that file out of the commitlog folder of the stack directory.',
    endpoint: (state) => `${node.address}:${state.ports.cassandra}`,
    isHealthy: (state) => cassandraAnswers(state.ports.cassandra, node.address),

    async prepare(context) {
      const home = cassandraHome(context.dir, node);
      await mkdir(home, { recursive: true });
      await writeFile(
        cassandraConfigFile(context.dir, node),
        renderCassandraConfig(
          home,
          context.state.ports.cassandra,
          context.state.ports.cassandraStorage,
          await cassandraCaptureSettings(),
          { address: node.address, token: context.options.nodes === 2 ? node.token : '0' },
        ),
      );
    },

    launch(context) {
      const home = cassandraHome(context.dir, node);
      const alone = context.options.nodes !== 2;
      const heap = alone ? HEAP_OF_ONE : HEAP_OF_TWO;
      return {
        command: context.java.command,
        args: [
          `@${packageFile('connectors', 'native', 'java17.args')}`,
          ...securityManagerOption(context.java),
          `-Xms${heap}`,
          `-Xmx${heap}`,
          ...JVM_OPTIONS,
          `-javaagent:${join(context.jars.cassandra, 'jamm-0.4.0.jar')}`,
          '-Djdk.attach.allowAttachSelf=true',
          '-Dio.netty.tryReflectionSetAccessible=true',
          `-Dcassandra.config=${pathToFileURL(cassandraConfigFile(context.dir, node)).href}`,
          `-Dcassandra.storagedir=${home}`,
          `-Dcassandra.logdir=${join(home, 'logs')}`,
          '-Dcassandra-foreground=yes',
          // A node that is alone in its ring has nobody to wait for.
          `-Dcassandra.ring_delay_ms=${alone ? 0 : RING_DELAY_MS}`,
          '-Dcassandra.skip_wait_for_gossip_to_settle=0',
          `-Dlogback.configurationFile=${packageFile('connectors', 'native', 'logback.xml')}`,
          '-cp',
          join(context.jars.cassandra, '*'),
          'org.apache.cassandra.service.CassandraDaemon',
        ],
        cwd: home,
      };
    },
  };
}

export const cassandra = cassandraPart(FIRST_NODE);
/** Joins the first one's ring. */
export const cassandra2 = cassandraPart(SECOND_NODE);
