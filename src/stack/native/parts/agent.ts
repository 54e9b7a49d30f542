/** The Debezium agent that turns a Cassandra node's commit log into Kafka records: one beside each node. */
import { mkdir, readdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { agentDriverConfig, agentProperties } from '../../connector-files.ts';
import { agentHealthUrl } from '../../endpoints.ts';
import { packageFile } from '../../package-root.ts';
import { agentAnswers } from '../../probes.ts';
import { TOPIC_PREFIX } from '../../stack.ts';
import { JVM_OPTIONS, securityManagerOption, type NativePart, type StartContext } from '../part.ts';
import type { NativeState } from '../state-file.ts';
import { cassandraConfigFile, CLUSTER_NAME, FIRST_NODE, SECOND_NODE, type CassandraNode } from './cassandra.ts';

const name = (node: CassandraNode): 'agent' | 'agent2' => (node === FIRST_NODE ? 'agent' : 'agent2');

async function agentJar(context: StartContext): Promise<string> {
  const jars = (await readdir(context.jars.agent)).filter((name) => name.endsWith('.jar'));
  const [jar] = jars;
  if (jar === undefined || jars.length !== 1)
    throw new Error(`expected one jar in ${context.jars.agent}, found ${jars.length}`);
  return join(context.jars.agent, jar);
}

function agentPart(node: CassandraNode): NativePart {
  const home = (dir: string): string => join(dir, name(node));
  const port = ({ ports }: NativeState): number => ports[name(node)] ?? ports.agent;
  const healthUrl = (state: NativeState): string => agentHealthUrl(port(state));
  return {
    name: name(node),
    stopSignal: 'SIGTERM',
    stopLimitMs: 15_000,
    startLimitMs: 300_000,
    remedy:
      'It needs Cassandra and Kafka to be healthy, and read-write access to the cassandra folder of the stack directory.',
    endpoint: healthUrl,
    isHealthy: (state) => agentAnswers(healthUrl(state)),

    async prepare(context) {
      const { ports } = context.state;
      await agentJar(context);
      for (const folder of ['relocation', 'offsets']) await mkdir(join(home(context.dir), folder), { recursive: true });
      await writeFile(
        join(home(context.dir), 'application.conf'),
        await agentDriverConfig(`${node.address}:${ports.cassandra}`),
      );
      await writeFile(
        join(home(context.dir), 'agent.properties'),
        await agentProperties({
          'connector.name': TOPIC_PREFIX,
          'topic.prefix': TOPIC_PREFIX,
          // Unique per node: it is part of the agent's offsets.
          'cassandra.node.id': node === FIRST_NODE ? 'node1' : 'node2',
          'cassandra.config': cassandraConfigFile(context.dir, node),
          'cassandra.driver.config.file': join(home(context.dir), 'application.conf'),
          'cassandra.cluster.name': CLUSTER_NAME,
          'commit.log.relocation.dir': join(home(context.dir), 'relocation'),
          'offset.backing.store.dir': join(home(context.dir), 'offsets'),
          'http.port': port(context.state),
          'kafka.producer.bootstrap.servers': `127.0.0.1:${ports.kafka}`,
        }),
      );
    },

    launch(context) {
      return {
        command: context.java.command,
        args: [
          `@${packageFile('connectors', 'native', 'java17.args')}`,
          ...securityManagerOption(context.java),
          '-Xms128m',
          '-Xmx512m',
          ...JVM_OPTIONS,
          `-Dlogback.configurationFile=${packageFile('connectors', 'native', 'logback.xml')}`,
          '-cp',
          join(context.jars.agent, '*'),
          'io.debezium.connector.cassandra.CassandraConnectorTask',
          join(home(context.dir), 'agent.properties'),
        ],
        cwd: home(context.dir),
      };
    },
  };
}

export const agent = agentPart(FIRST_NODE);
export const agent2 = agentPart(SECOND_NODE);
