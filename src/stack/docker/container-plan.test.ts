import { describe, expect, it } from 'vitest';
import { parse } from 'yaml';
import { parseProperties } from '../connector-files.ts';
import { PART_NAMES } from '../stack.ts';
import { agentImageName, planContainers } from './container-plan.ts';
import { stackName, type DockerState } from './docker-state.ts';
import { textOfLog } from './loopback-container.ts';

const state: DockerState = {
  version: 1,
  provider: 'docker',
  ports: {
    kafka: 20_001,
    kafkaController: 20_002,
    cassandra: 20_003,
    cassandraStorage: 20_004,
    postgres: 20_005,
    agent: 20_006,
  },
  postgresPassword: 'secret',
};

describe('the containers', () => {
  it('are pinned', async () => {
    const plans = await planContainers(state, 'lockstep-stack-agent:abc');
    expect(PART_NAMES.map((name) => plans[name].image)).toEqual([
      'apache/kafka:4.1.1',
      'cassandra:5.0.8',
      'postgres:18',
      'lockstep-stack-agent:abc',
    ]);
  });

  it("tell clients on this machine the published port, and other containers the broker's name", async () => {
    const { kafka } = await planContainers(state, 'agent');
    expect(kafka.environment).toMatchObject({
      KAFKA_ADVERTISED_LISTENERS: 'HOST://127.0.0.1:20001,INTERNAL://kafka:19092',
      KAFKA_NUM_PARTITIONS: '4',
    });
    expect(kafka.port).toEqual({ container: 9092, host: 20_001 });
  });

  it("give the agent the node's own directories, configuration and user", async () => {
    const { agent, cassandra } = await planContainers(state, 'agent');
    expect(agent.volumes).toEqual(cassandra.volumes);
    expect(agent.files['/etc/cassandra/cassandra.yaml']).toBe(cassandra.files['/etc/cassandra/cassandra.yaml']);
    expect(agent.user).toBe('999:999');
    const properties = parseProperties(agent.files['/etc/debezium-cassandra/agent.properties'] ?? '');
    expect(properties.get('kafka.producer.bootstrap.servers')).toBe('kafka:19092');
    expect(agent.files['/etc/debezium-cassandra/application.conf']).toContain('cassandra:9042');
  });

  it("keep cdc_raw on the commit log's volume", async () => {
    const { cassandra } = await planContainers(state, 'agent');
    const yaml = parse(cassandra.files['/etc/cassandra/cassandra.yaml'] ?? '') as Record<string, string>;
    expect(yaml).toMatchObject({
      cdc_enabled: true,
      commitlog_directory: '/var/lib/cassandra/commitlog',
      cdc_raw_directory: '/var/lib/cassandra/cdc_raw',
    });
  });

  it('keep what PostgreSQL committed', async () => {
    const { postgres } = await planContainers(state, 'agent');
    expect(postgres.command).toContain('fsync=on');
    expect(postgres.volumes).toEqual({ postgres: '/var/lib/postgresql' });
  });
});

describe('names', () => {
  it('differ between directories and between images of other content', () => {
    expect(stackName('/a')).not.toBe(stackName('/b'));
    expect(agentImageName(['x', 'y'])).not.toBe(agentImageName(['xy', '']));
  });
});

describe("an engine's log", () => {
  it('is read without its frame headers', () => {
    const frame = (text: string): Buffer =>
      Buffer.concat([Buffer.from([1, 0, 0, 0, 0, 0, 0, text.length]), Buffer.from(text)]);
    expect(textOfLog(Buffer.concat([frame('one\n'), frame('two\n')]))).toBe('one\ntwo\n');
  });
});
