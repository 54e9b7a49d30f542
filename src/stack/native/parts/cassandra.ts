/** Cassandra, a single node with change data capture on. */
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { stringify } from 'yaml';
import { cassandraCaptureSettings } from '../../connector-files.ts';
import { packageFile } from '../../package-root.ts';
import { cassandraAnswers } from '../../probes.ts';
import { JVM_OPTIONS, securityManagerOption, type NativePart } from '../part.ts';

/** Name of the cluster; the agent checks it. */
export const CLUSTER_NAME = 'Test Cluster';

export const cassandraHome = (dir: string): string => join(dir, 'cassandra');
export const cassandraConfigFile = (dir: string): string => join(cassandraHome(dir), 'cassandra.yaml');

/** cassandra.yaml of the native node. `capture` is the fragment from `connectors/debezium-cassandra`. */
export function renderCassandraConfig(
  home: string,
  port: number,
  storagePort: number,
  capture: Readonly<Record<string, unknown>>,
): string {
  return stringify({
    cluster_name: CLUSTER_NAME,
    // One node owns the whole ring; one token spares it a ring to compute.
    num_tokens: 1,
    initial_token: '0',
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
        parameters: [{ seeds: `127.0.0.1:${storagePort}` }],
      },
    ],
    listen_address: '127.0.0.1',
    rpc_address: '127.0.0.1',
    native_transport_port: port,
    storage_port: storagePort,
    authenticator: 'AllowAllAuthenticator',
    authorizer: 'AllowAllAuthorizer',
  });
}

export const cassandra: NativePart = {
  name: 'cassandra',
  stopSignal: 'SIGTERM',
  stopLimitMs: 30_000,
  startLimitMs: 300_000,
  remedy:
    'It needs about 1.5 GB of free memory; if the log names a corrupt commit log, move that file out of cassandra/commitlog of the stack directory.',
  endpoint: (state) => `127.0.0.1:${state.ports.cassandra}`,
  isHealthy: (state) => cassandraAnswers(state.ports.cassandra),

  async prepare(context) {
    const home = cassandraHome(context.dir);
    await mkdir(home, { recursive: true });
    await writeFile(
      cassandraConfigFile(context.dir),
      renderCassandraConfig(
        home,
        context.state.ports.cassandra,
        context.state.ports.cassandraStorage,
        await cassandraCaptureSettings(),
      ),
    );
  },

  launch(context) {
    const home = cassandraHome(context.dir);
    return {
      command: context.java.command,
      args: [
        `@${packageFile('connectors', 'native', 'java17.args')}`,
        ...securityManagerOption(context.java),
        '-Xms1g',
        '-Xmx1g',
        ...JVM_OPTIONS,
        `-javaagent:${join(context.jars.cassandra, 'jamm-0.4.0.jar')}`,
        '-Djdk.attach.allowAttachSelf=true',
        '-Dio.netty.tryReflectionSetAccessible=true',
        `-Dcassandra.config=${pathToFileURL(cassandraConfigFile(context.dir)).href}`,
        `-Dcassandra.storagedir=${home}`,
        `-Dcassandra.logdir=${join(home, 'logs')}`,
        '-Dcassandra-foreground=yes',
        // Nobody to wait for: the node is alone in its ring.
        '-Dcassandra.ring_delay_ms=0',
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
