/** The Debezium agent that turns Cassandra's commit log into Kafka records. */
import { mkdir, readdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { agentDriverConfig, agentProperties } from '../../connector-files.ts';
import { packageFile } from '../../package-root.ts';
import { TOPIC_PREFIX } from '../../stack.ts';
import { JVM_OPTIONS, securityManagerOption, type NativePart, type StartContext } from '../part.ts';
import type { NativeState } from '../state-file.ts';
import { cassandraConfigFile, CLUSTER_NAME } from './cassandra.ts';

/** A probe that takes longer is a no. */
const PROBE_LIMIT_MS = 1_000;

const home = (dir: string): string => join(dir, 'agent');

/** URL of the agent's health check. */
export const agentHealthUrl = (state: NativeState): string => `http://127.0.0.1:${state.ports.agent}/health`;

/** Whether the agent says that all its processors run. It can't tell that it lost a change. */
export async function agentAnswers(healthUrl: string): Promise<boolean> {
  try {
    const response = await fetch(healthUrl, { signal: AbortSignal.timeout(PROBE_LIMIT_MS) });
    const body = await response.text();
    return response.ok && /true/i.test(body);
  } catch {
    return false;
  }
}

async function agentJar(context: StartContext): Promise<string> {
  const jars = (await readdir(context.jars.agent)).filter((name) => name.endsWith('.jar'));
  const [jar] = jars;
  if (jar === undefined || jars.length !== 1) throw new Error(`expected one jar in ${context.jars.agent}, found ${jars.length}`);
  return join(context.jars.agent, jar);
}

export const agent: NativePart = {
  name: 'agent',
  stopSignal: 'SIGTERM',
  stopLimitMs: 15_000,
  startLimitMs: 120_000,
  remedy: 'It needs Cassandra and Kafka to be healthy, and read-write access to the cassandra folder of the stack directory.',
  endpoint: agentHealthUrl,
  isHealthy: (state) => agentAnswers(agentHealthUrl(state)),

  async prepare(context) {
    const { ports } = context.state;
    await agentJar(context);
    for (const folder of ['relocation', 'offsets']) await mkdir(join(home(context.dir), folder), { recursive: true });
    await writeFile(join(home(context.dir), 'application.conf'), await agentDriverConfig(`127.0.0.1:${ports.cassandra}`));
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
