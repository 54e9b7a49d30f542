import { describe, expect, it } from 'vitest';
import type { SourceTable } from '../../catalog/source-table.ts';
import { parseConfiguration, type Configuration } from '../../config/index.ts';
import type { KeepingSummary } from '../../deadletter/letter-keeping.ts';
import type { KafkaProbe, TopicFacts } from '../connect/kafka-probe.ts';
import { agentChecks } from './agent-checks.ts';
import { cassandraChecks, type CassandraProbe } from './cassandra-checks.ts';
import { runChecks, type Check, type CheckResult } from './check.ts';
import { kafkaChecks } from './kafka-checks.ts';
import { letterChecks } from './letter-checks.ts';
import { postgresChecks, type PostgresProbe, type Row } from './postgres-checks.ts';

const configuration = parseConfiguration(
  `
source: { cassandra: { agents: [{ url: "http://node:8000/health" }] } }
tables: [{ source: shop.orders, topic: cass1.shop.orders, target: public.orders }]`,
  'f.yaml',
  {},
);
const given = () => configuration;

/** Runs checks as if the configuration had been found valid. */
async function run(checks: readonly Check[]): Promise<readonly CheckResult[]> {
  const valid: Check = { id: 'configuration', needs: [], run: () => Promise.resolve([]) };
  return runChecks([valid, ...checks]);
}

function statuses(results: readonly CheckResult[]): Record<string, string> {
  return Object.fromEntries(results.map(({ id, status }) => [id, status]));
}

describe('Kafka', () => {
  const topic = (settings: Record<string, string>, more: Partial<TopicFacts> = {}): TopicFacts => ({
    partitions: 4,
    leaderless: 0,
    settings: new Map(Object.entries(settings)),
    ...more,
  });
  const probe = (topics: Record<string, TopicFacts>): KafkaProbe => ({
    connect: async () => ({ brokers: 1, version: null }),
    topic: async (name) => topics[name] ?? null,
    requiredDlqBytes: async () => 1_100_000,
    ensureDlq: async () => false,
    ensureTopic: async () => false,
    close: async () => undefined,
  });
  const check = (topics: Record<string, TopicFacts>) => run(kafkaChecks(given, () => probe(topics)));
  const plain = topic({ 'cleanup.policy': 'delete' });

  it('is well with a plain topic and a DLQ topic that takes what may come', async () => {
    const dlq = topic({ 'cleanup.policy': 'compact,delete', 'max.message.bytes': '1200000' });
    expect(statuses(await check({ 'cass1.shop.orders': plain, 'lockstep.dlq': dlq }))).toEqual({
      'kafka.reachable': 'ok',
      'kafka.topics': 'ok',
      'kafka.dlq': 'ok',
    });
  });

  it.each<[string, Record<string, TopicFacts>, RegExp]>([
    ['a missing topic', {}, /does not exist/],
    ['a compacted topic', { 'cass1.shop.orders': topic({ 'cleanup.policy': 'compact' }) }, /compaction/],
    ['partitions without leader', { 'cass1.shop.orders': { ...plain, leaderless: 2 } }, /2 of 4 partitions/],
  ])('refuses %s, by name and with a remedy', async (_, topics, found) => {
    const results = await check(topics);
    expect(results).toContainEqual(
      expect.objectContaining({
        id: 'kafka.topics',
        status: 'fault',
        subject: 'cass1.shop.orders',
        found: expect.stringMatching(found),
      }),
    );
    expect(results.find(({ status }) => status === 'fault')?.remedy).toBeTruthy();
  });

  it.each([
    [
      'less than the configuration says',
      { 'retention.ms': '86400000' },
      /retention\.deadLetters/,
      /retention\.ms=2592000000/,
    ],
    ['as many bytes as fit', { 'retention.bytes': '1000000' }, /flood/, /retention\.bytes=-1/],
  ])('warns of a DLQ topic that keeps %s', async (_, settings, found, remedy) => {
    const dlq = topic({ 'cleanup.policy': 'compact,delete', 'max.message.bytes': '1200000', ...settings });
    expect(await check({ 'cass1.shop.orders': plain, 'lockstep.dlq': dlq })).toContainEqual(
      expect.objectContaining({
        id: 'kafka.dlq',
        status: 'warn',
        found: expect.stringMatching(found),
        remedy: expect.stringMatching(remedy),
      }),
    );
  });

  it('refuses a DLQ topic that the largest record does not fit into', async () => {
    const dlq = topic({ 'cleanup.policy': 'compact,delete', 'max.message.bytes': '1000' });
    expect(await check({ 'cass1.shop.orders': plain, 'lockstep.dlq': dlq })).toContainEqual(
      expect.objectContaining({ id: 'kafka.dlq', status: 'fault', remedy: expect.stringContaining('1100000') }),
    );
  });
});

describe('dead letters that are open', () => {
  const none = { count: 0, ids: [] };
  const keeping: KeepingSummary = {
    topic: 'lockstep.dlq',
    retentionMs: 2_592_000_000,
    retentionBytes: null,
    records: 9,
    bytes: 9_000,
    open: 5,
    oldestOpenMs: 0,
    gone: none,
    leaving: none,
    firstLeavesMs: null,
  };
  it.each<[string, string, KeepingSummary | null]>([
    ['no letter yet', 'skipped', null],
    ['letters with time left', 'ok', keeping],
    ['letters that leave soon', 'warn', { ...keeping, leaving: { count: 2, ids: [3n, 4n] }, firstLeavesMs: 5 }],
    ['letters without their records', 'fault', { ...keeping, gone: { count: 1, ids: [1n] } }],
    ['a topic that is nearly full', 'warn', { ...keeping, retentionBytes: 10_000 }],
  ])('%s: %s', async (_, status, summary) => {
    const probe = { keeping: async () => summary, close: async () => undefined };
    const reachable = ['kafka.reachable', 'postgres.reachable'].map((id): Check => ({
      id,
      needs: [],
      run: () => Promise.resolve([]),
    }));
    const results = await run([...reachable, ...letterChecks(given, () => probe)]);
    expect(statuses(results)).toEqual({ 'dlq.letters': status });
  });
});

describe('PostgreSQL', () => {
  const settings: Row = {
    version_number: '180004',
    version: '18.4',
    encoding: 'UTF8',
    fsync: 'on',
    full_page_writes: 'on',
    synchronous_commit: 'on',
    standby: 'f',
    role: 'lockstep',
    database: 'shop',
  };
  const schema: Row = { present: 't', may_create_schema: 'f', usage: 't', may_create: 't' };
  const table: Row = { kind: 'r', usage: 't', SELECT: 't', INSERT: 't', UPDATE: 't', DELETE: 't' };
  const check = (answers: { settings?: Row; schema?: Row; table?: Row | null; jobTables?: readonly Row[] } = {}) => {
    const probe: PostgresProbe = {
      connect: async () => undefined,
      query: async (sql) => {
        if (sql.includes('server_version_num')) return [answers.settings ?? settings];
        if (sql.includes('may_create_schema')) return [answers.schema ?? schema];
        if (sql.includes('relowner')) return answers.jobTables ?? [];
        if (sql.includes('relkind')) return answers.table === null ? [] : [answers.table ?? table];
        return [{ name: null }];
      },
      close: async () => undefined,
    };
    return run(postgresChecks(given, () => probe));
  };

  it('is well with a usual server', async () => {
    expect((await check()).every(({ status }) => status === 'ok')).toBe(true);
  });

  it.each<[string, Parameters<typeof check>[0], Partial<CheckResult>]>([
    ['a standby', { settings: { ...settings, standby: 't' } }, { id: 'postgres.settings', status: 'fault' }],
    [
      'another encoding',
      { settings: { ...settings, encoding: 'SQL_ASCII' } },
      { id: 'postgres.settings', status: 'fault' },
    ],
    ['fsync off', { settings: { ...settings, fsync: 'off' } }, { id: 'postgres.settings', status: 'warn' }],
    [
      'a control schema without CREATE',
      { schema: { ...schema, may_create: 'f' } },
      { id: 'postgres.control_schema', status: 'fault', remedy: 'GRANT CREATE ON SCHEMA "public" TO "lockstep";' },
    ],
    [
      'a target without DELETE',
      { table: { ...table, DELETE: 'f' } },
      { id: 'postgres.privileges', status: 'fault', remedy: 'GRANT DELETE ON "public"."orders" TO "lockstep";' },
    ],
    ['a missing target', { table: null }, { id: 'postgres.privileges', status: 'fault', subject: 'public.orders' }],
    ['a view', { table: { ...table, kind: 'v' } }, { id: 'postgres.privileges', status: 'fault' }],
    [
      'a job queue whose tables are another role’s',
      {
        jobTables: [
          { name: 'job', owned: 't' },
          { name: 'version', owned: 'f' },
        ],
      },
      {
        id: 'postgres.job_schema',
        status: 'fault',
        subject: 'lockstep_jobs',
        found: expect.stringContaining('version') as string,
      },
    ],
    [
      'a job queue that may not be made',
      { schema: { ...schema, present: 'f', may_create_schema: 'f' } },
      { id: 'postgres.job_schema', status: 'fault', remedy: 'CREATE SCHEMA "lockstep_jobs" AUTHORIZATION "lockstep";' },
    ],
    [
      'a job queue that is ready',
      { jobTables: [{ name: 'job', owned: 't' }] },
      { id: 'postgres.job_schema', status: 'ok', found: 'lockstep owns the job queue’s 1 tables' },
    ],
  ])('reports %s', async (_, answers, expected) => {
    expect(await check(answers)).toContainEqual(expect.objectContaining(expected));
  });
});

describe('Cassandra', () => {
  const table: SourceTable = {
    keyspace: 'shop',
    name: 'orders',
    id: null,
    columns: [],
    droppedColumns: [],
    defaultTtlSeconds: 0,
    cdc: true,
    unsupported: null,
  };
  const check = (
    answers: {
      settings?: Record<string, string>;
      tables?: readonly SourceTable[];
      vectors?: string[];
      grace?: number;
    } = {},
    from: () => Configuration = given,
  ) => {
    const settings = answers.settings ?? { cdc_enabled: 'true', cdc_on_repair_enabled: 'false' };
    const probe: CassandraProbe = {
      connect: async () => ({ version: '5.0.8', nodes: 1, down: [] }),
      settings: async () => [{ node: 'n1', settings: new Map(Object.entries(settings)) }],
      vectorColumns: async () => answers.vectors ?? [],
      readKeyspace: async () => answers.tables ?? [table],
      gcGraceSeconds: async () => new Map([['orders', answers.grace ?? 864_000]]),
      heartbeats: async () => null,
      prepare: async () => undefined,
      isConnected: () => true,
      close: async () => undefined,
    };
    return run(cassandraChecks(from, () => probe));
  };

  it('is well with capture on', async () => {
    expect((await check()).every(({ status }) => status === 'ok')).toBe(true);
  });

  it.each<[string, Parameters<typeof check>[0], Partial<CheckResult>]>([
    [
      'cdc_enabled off',
      { settings: { cdc_on_repair_enabled: 'false' } },
      { id: 'cassandra.cdc_settings', status: 'fault' },
    ],
    [
      'cdc_on_repair_enabled on',
      { settings: { cdc_enabled: 'true' } },
      { id: 'cassandra.cdc_settings', status: 'fault' },
    ],
    [
      'a table without cdc',
      { tables: [{ ...table, cdc: false }] },
      { id: 'cassandra.tables', status: 'fault', remedy: 'ALTER TABLE shop.orders WITH cdc = true;' },
    ],
    ['a missing table', { tables: [] }, { id: 'cassandra.tables', status: 'fault', subject: 'shop.orders' }],
    [
      'vector columns',
      { vectors: ['ai.docs.v'] },
      { id: 'cassandra.vector_columns', status: 'warn', subject: 'ai.docs.v' },
    ],
    [
      'a horizon that is shorter than retention and gc_grace_seconds together',
      { grace: 30 * 86_400 },
      { id: 'cassandra.horizon', status: 'fault', subject: 'shop.orders' },
    ],
  ])('reports %s', async (_, answers, expected) => {
    expect(await check(answers)).toContainEqual(expect.objectContaining(expected));
  });

  it('is skipped where there is no source', async () => {
    const without = { ...configuration, source: { cassandra: null } };
    expect((await check({}, () => without)).every(({ status }) => status === 'skipped')).toBe(true);
  });
});

describe('capture agents', () => {
  const check = (status: number, body: string) => run(agentChecks(given, async () => ({ status, body })));

  it.each<[number, string, string]>([
    [200, 'true', 'ok'],
    [200, '{"healthy":true}', 'ok'],
    [200, 'false', 'fault'],
    [503, '', 'fault'],
  ])('that answer %i %s are %s', async (status, body, expected) => {
    expect(await check(status, body)).toMatchObject([{ id: 'agent.health', status: expected }]);
  });

  it('that can not be reached are at fault', async () => {
    const results = await run(agentChecks(given, () => Promise.reject(new Error('ECONNREFUSED'))));
    expect(results).toMatchObject([{ status: 'fault', subject: 'http://node:8000/health' }]);
  });
});
