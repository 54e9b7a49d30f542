/** The Debezium agent that turns Cassandra's commit log into Kafka records. */
import { mkdir, readdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { agentDriverConfig, agentProperties } from '../../connector-files.ts';
import { agentHealthUrl } from '../../endpoints.ts';
import { packageFile } from '../../package-root.ts';
import { agentAnswers } from '../../probes.ts';
import { TOPIC_PREFIX } from '../../stack.ts';
import { JVM_OPTIONS, securityManagerOption, type NativePart, type StartContext } from '../part.ts';
import type { NativeState } from '../state-file.ts';
import { cassandraConfigFile, CLUSTER_NAME } from './cassandra.ts';

const home = (dir: string): string => join(dir, 'agent');

const healthUrl = (state: NativeState): string => agentHealthUrl(state.ports.agent);

async function agentJar(context: StartContext): Promise<string> {
  const jars = (await readdir(context.jars.agent)).filter((name) => name.endsWith('.jar'));
  const [jar] = jars;
  if (jar === undefined || jars.length !== 1)
    throw new Error(`expected one jar in ${context.jars.agent}, found ${jars.length}`);
  return join(context.jars.agent, jar);
}

export const agent: NativePart = {
  name: 'agent',
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
      await agentDriverConfig(`127.0.0.1:${ports.cassandra}`),
    );
    await writeFile(
      join(home(context.dir), 'agent.properties'),
      await agentProperties({
        'connector.name': TOPIC_PREFIX,
        'topic.prefix': TOPIC_PREFIX,
        'cassandra.config': cassandraConfigFile(context.dir),
        'cassandra.driver.config.file': join(home(context.dir), 'application.conf'),
        'cassandra.cluster.name': CLUSTER_NAME,
        'commit.log.relocation.dir': join(home(context.dir), 'relocation'),
        'offset.backing.store.dir': join(home(context.dir), 'offsets'),
        'http.port': ports.agent,
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
