import { mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { ConfigurationError, type ConfigurationProblem } from './configuration-error.ts';
import { loadConfiguration, parseConfiguration } from './load.ts';
import type { Environment } from './interpolation.ts';

const TABLE = `tables:
  - source: shop.orders
    topic: cass1.shop.orders
    target: public.orders
    schema: { columns: { id: uuid }, partitionKey: [id] }
`;

const parse = (text: string, env: Environment = {}) => parseConfiguration(text, 'lockstep.yaml', env);

function problems(text: string, env: Environment = {}): readonly ConfigurationProblem[] {
  try {
    parse(text, env);
  } catch (error) {
    if (error instanceof ConfigurationError) return error.problems;
    throw error;
  }
  return [];
}

describe('a valid configuration', () => {
  it('fills in every default', () => {
    expect(parse(TABLE)).toMatchObject({
      kafka: { brokers: ['localhost:9092'], groupId: 'lockstep', clientId: 'lockstep', ssl: false, sasl: null },
      schemaRegistry: { url: null },
      source: { cassandra: null },
      target: { postgres: { url: 'postgres://localhost:5432/shop', controlSchema: 'public', poolSize: 8 } },
      tables: [{ source: 'shop.orders', format: 'debezium-cassandra', columns: {} }],
      apply: { maxBatchChanges: 2000, maxBatchBytes: 8_388_608, maxBytesInFlight: 67_108_864 },
      deadLetter: { topic: 'lockstep.dlq', breaker: { maxRatio: 0.5, minRecords: 100 } },
      reconciliation: { enabled: true, intervalMinutes: 60, windows: { size: 60_000 }, repair: { mode: 'review' } },
      api: { host: '127.0.0.1', port: 8080, tokens: [] },
    });
  });

  it('accepts the example of the interface as it stands', () => {
    const text = `
kafka: { brokers: [localhost:9092], groupId: lockstep, clientId: lockstep, ssl: false, sasl: null }
schemaRegistry: { url: null }
source: { cassandra: { contactPoints: [localhost:9042], localDataCenter: datacenter1, keyspace: shop, consistency: LOCAL_QUORUM } }
target: { postgres: { url: postgres://localhost:5432/shop, controlSchema: public, poolSize: 8 } }
tables:
  - { source: shop.orders, topic: cass1.shop.orders, target: public.orders, format: debezium-cassandra, columns: {} }
apply: { maxBatchChanges: 2000, maxBatchBytes: 8388608, maxBytesInFlight: 67108864 }
deadLetter: { topic: lockstep.dlq, breaker: { maxRatio: 0.5, minRecords: 100 } }
reconciliation: { enabled: true, schedules: [], windows: { size: 60s }, repair: { mode: review } }
api: { host: 127.0.0.1, port: 8080, tokens: [{ name: ops, token: secret, scopes: [read, operate] }] }
`;
    expect(parse(text).source.cassandra?.keyspace).toBe('shop');
  });

  it.each([
    ['500ms', 500],
    ['60s', 60_000],
    ['1.5h', 5_400_000],
    ['7d', 604_800_000],
  ])('reads the duration %s as milliseconds', (text, ms) => {
    expect(parse(`${TABLE}reconciliation: { windows: { size: ${text} } }`).reconciliation.windows.size).toBe(ms);
  });
});

describe('a wrong configuration', () => {
  it('names the unknown key, its value, its line, the known keys and the nearest one', () => {
    expect(problems(`${TABLE}kafka:\n  brokerz: [a:1]\n`)).toEqual([
      {
        code: 'CONFIG_UNKNOWN_KEY',
        path: 'kafka.brokerz',
        where: 'lockstep.yaml:7',
        found: 'an unknown key with the value ["a:1"]',
        expected: 'one of brokers, groupId, clientId, ssl, sasl, sessionTimeout',
        remedy: 'Did you mean kafka.brokers?',
      },
    ]);
  });

  it('tells where a key belongs that stands in the wrong place', () => {
    expect(problems(`${TABLE}poolSize: 4`)[0]?.remedy).toBe('That key belongs at target.postgres.poolSize.');
  });

  it('names value, expectation and remedy of a value of the wrong kind', () => {
    expect(problems(`${TABLE}api:\n  port: 99999\n`)).toEqual([
      {
        code: 'CONFIG_VALUE',
        path: 'api.port',
        where: 'lockstep.yaml:7',
        found: '99999',
        expected: 'a whole number from 0 to 65535',
        remedy: 'Set api.port to a whole number from 0 to 65535 (default 8080).',
      },
    ]);
  });

  it('refuses a duration without a unit', () => {
    expect(problems(`${TABLE}reconciliation: { windows: { size: 60 } }`)[0]).toMatchObject({
      path: 'reconciliation.windows.size',
      found: '60',
      expected: 'a duration with its unit (ms, s, m, h, d), such as 500ms or 60s or 1h',
    });
  });

  it('names a missing key', () => {
    expect(problems('tables: [{ source: shop.orders, topic: t }]')[0]).toMatchObject({
      code: 'CONFIG_MISSING',
      path: 'tables[0].target',
      where: 'lockstep.yaml:1',
      found: 'nothing',
    });
  });

  it('looks into the alternative of a union that was meant', () => {
    expect(problems(`${TABLE}kafka: { ssl: { caFil: ca.pem } }`)[0]).toMatchObject({
      path: 'kafka.ssl.caFil',
      remedy: 'Did you mean kafka.ssl.caFile?',
    });
  });

  it('reports everything at once, contradictions between keys included', () => {
    const text = `
tables:
  - { source: shop.orders, topic: t1, target: public.orders, schema: { columns: { id: uuid }, partitionKey: [id] } }
  - { source: shop.users, topic: t1, target: public.orders, schema: { columns: { id: uuid }, partitionKey: [id] } }
deadLetter: { topic: t1 }
reconciliation: { driftCriticalThreshold: 0.5, tables: [shop.nope] }
apply: { maxBytesInFlight: 65536 }
log: { level: loud }
`;
    expect(problems(text).map(({ path }) => path)).toEqual([
      'log.level',
      'tables[1].topic',
      'tables[1].target',
      'deadLetter.topic',
      'reconciliation.driftCriticalThreshold',
      'reconciliation.tables[0]',
      'apply.maxBytesInFlight',
    ]);
  });

  it('asks for a declared schema where there is no source', () => {
    const text = 'tables: [{ source: shop.orders, topic: t, target: public.orders }]';
    expect(problems(text)).toMatchObject([{ code: 'CONFIG_CONFLICT', path: 'tables[0].schema' }]);
    expect(problems(`${text}\nsource: { cassandra: {} }`)).toEqual([]);
  });

  it('refuses a schema registry, whose records are not read yet', () => {
    const text =
      'schemaRegistry: { url: "http://registry:8081" }\ntables: [{ source: a.b, topic: t, target: public.b }]';
    expect(problems(text)).toContainEqual(
      expect.objectContaining({ path: 'schemaRegistry.url', found: 'http://registry:8081' }),
    );
  });

  it('reports the first syntax error with its line, and every duplicate key', () => {
    expect(problems('tables: [\nkafka: {')).toMatchObject([{ code: 'CONFIG_SYNTAX', where: 'lockstep.yaml:2' }]);
    expect(problems(`${TABLE}log: {}\nlog: {}\napi: {}\napi: {}`)).toMatchObject([
      { where: 'lockstep.yaml:7', expected: 'each key once in its mapping' },
      { where: 'lockstep.yaml:9' },
    ]);
  });

  it('says which file it could not read', () => {
    const path = join(mkdtempSync(join(tmpdir(), 'lockstep-config-')), 'none.yaml');
    expect(() => loadConfiguration({ path, env: {} })).toThrow(path);
    writeFileSync(path, TABLE);
    expect(loadConfiguration({ path, env: {} }).tables).toHaveLength(1);
  });
});

describe('references to the environment', () => {
  it('are replaced in texts, in flow mappings too, and read as what the key takes', () => {
    const text = `${TABLE}
api: { port: \${PORT}, host: \${HOST:-0.0.0.0} }
kafka: { brokers: \${BROKERS}, sasl: { mechanism: plain, username: u, password: \${PASSWORD} } }
deadLetter: { topic: "\${PREFIX}.dlq" }`;
    const env = { PORT: '9000', BROKERS: 'a:1, b:2', PASSWORD: '0123', PREFIX: 'x' };
    expect(parse(text, env)).toMatchObject({
      api: { port: 9000, host: '0.0.0.0' },
      kafka: { brokers: ['a:1', 'b:2'], sasl: { password: '0123' } },
      deadLetter: { topic: 'x.dlq' },
    });
  });

  it('keep their value from changing the structure of the document', () => {
    const env = { SECRET: 'a: b # c, d } ${OTHER}' };
    const text = `${TABLE}kafka: { sasl: { mechanism: plain, username: u, password: \${SECRET} } }`;
    expect(parse(text, env).kafka.sasl?.password).toBe('a: b # c, d } ${OTHER}');
  });

  it('are errors that name the variable where it is missing and has no default', () => {
    expect(problems(`${TABLE}api: { port: \${PORT} }`)).toMatchObject([
      { code: 'CONFIG_ENVIRONMENT', path: 'api.port', remedy: expect.stringContaining('Set PORT') },
    ]);
    // In a comment, or replaced by a variable of ours, a reference is of no consequence.
    expect(problems(`# \${NOPE}\n${TABLE}`)).toEqual([]);
    expect(problems(`${TABLE}api: { port: \${PORT} }`, { LOCKSTEP_API_PORT: '1' })).toEqual([]);
  });

  it('are errors where they are malformed, and literal after a second dollar', () => {
    expect(problems(`${TABLE}api: { host: "\${NO PE}" }`)).toMatchObject([{ code: 'CONFIG_ENVIRONMENT' }]);
    expect(parse(`${TABLE}api: { host: $\${HOST} }`).api.host).toBe('${HOST}');
  });
});

describe('overrides by the environment', () => {
  it('reach every kind of key, in both spellings, and win over the file', () => {
    const env = {
      LOCKSTEP_KAFKA_GROUPID: '12',
      LOCKSTEP_KAFKA_CLIENT_ID: 'c',
      LOCKSTEP_KAFKA_BROKERS: 'a:1,b:2',
      LOCKSTEP_KAFKA_SASL_MECHANISM: 'plain',
      LOCKSTEP_KAFKA_SASL_USERNAME: 'u',
      LOCKSTEP_KAFKA_SASL_PASSWORD: '007',
      LOCKSTEP_SCHEMAREGISTRY_URL: 'null',
      LOCKSTEP_APPLY_MAXBATCHCHANGES: '5',
      LOCKSTEP_API_TOKENS: '[{"name":"a","token":"t"}]',
      LOCKSTEP_API_TOKENS_0_NAME: 'b',
      LOCKSTEP_TABLES_0_TOPIC: 'other',
    };
    expect(parse(`${TABLE}kafka: { groupId: file }`, env)).toMatchObject({
      kafka: {
        groupId: '12',
        clientId: 'c',
        brokers: ['a:1', 'b:2'],
        sasl: { mechanism: 'plain', username: 'u', password: '007' },
      },
      schemaRegistry: { url: null },
      apply: { maxBatchChanges: 5 },
      api: { tokens: [{ name: 'b', token: 't', scopes: ['read'] }] },
      tables: [{ topic: 'other', source: 'shop.orders' }],
    });
  });

  it('include the variables that operators know, below those of ours', () => {
    const env = {
      RECONCILIATION_ENABLED: 'false',
      RECONCILIATION_INTERVAL_MINUTES: '15',
      RECONCILIATION_DRIFT_WARNING_THRESHOLD: '2.5',
      RECONCILIATION_DRIFT_CRITICAL_THRESHOLD: '10',
      RECONCILIATION_SAMPLE_SIZE: '50',
      RECONCILIATION_TABLES: 'shop.orders',
      LOCKSTEP_RECONCILIATION_SAMPLE_SIZE: '60',
    };
    expect(parse(TABLE, env).reconciliation).toMatchObject({
      enabled: false,
      intervalMinutes: 15,
      driftWarningThreshold: 2.5,
      driftCriticalThreshold: 10,
      sampleSize: 60,
      tables: ['shop.orders'],
    });
  });

  it('are named in the error where their value is wrong', () => {
    expect(problems(TABLE, { LOCKSTEP_API_PORT: 'http' })).toMatchObject([
      { path: 'api.port', where: 'environment variable LOCKSTEP_API_PORT', found: '"http"' },
    ]);
  });

  it('are errors where they name no key or contradict each other; what Kubernetes sets is left alone', () => {
    expect(problems(TABLE, { LOCKSTEP_KAFKA_GRUPID: 'x' })).toMatchObject([
      { code: 'CONFIG_ENVIRONMENT', remedy: expect.stringContaining('LOCKSTEP_KAFKA_GROUPID') },
    ]);
    expect(problems(TABLE, { LOCKSTEP_KAFKA_GROUPID: 'x', LOCKSTEP_KAFKA_GROUP_ID: 'y' })).toMatchObject([
      { code: 'CONFIG_CONFLICT', path: 'kafka.groupId' },
    ]);
    const services = {
      LOCKSTEP_API_PORT: 'tcp://10.0.0.1:8080',
      LOCKSTEP_API_SERVICE_HOST: '10.0.0.1',
      LOCKSTEP_API_PORT_8080_TCP_ADDR: '10.0.0.1',
      LOCKSTEP_HOME: '/somewhere',
    };
    expect(parse(TABLE, services).api.port).toBe(8080);
  });
});
