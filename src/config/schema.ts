import { z } from 'zod';
import { tableMappingSchema } from '../catalog/table-mapping.ts';
import { DURATION_PATTERN, parseDuration } from './duration.ts';
import type { SchemaNode } from './schema-node.ts';

/**
 * The one schema of `lockstep.yaml`: types, defaults, validation, the published JSON Schema, environment variables, masks
 * and docs/configuration.md are made from it. `title` says what a value is ("expected …"), `description` what it does,
 * `examples` what one looks like, `writeOnly` marks a secret.
 */

const text = z.string().min(1);
const host = text.meta({ title: 'host:port', examples: ['localhost:9092'] });
const secret = text.meta({ title: 'a secret text', writeOnly: true });
const filePath = text.meta({ title: 'a path of a PEM file' });
const wholeNumber = (minimum: number, maximum: number) => z.int().min(minimum).max(maximum);
const port = wholeNumber(0, 65_535);
const duration = z
  .string()
  .regex(DURATION_PATTERN)
  .meta({ title: 'a duration with its unit (ms, s, m, h, d)', examples: ['500ms', '60s', '1h'] })
  .transform(parseDuration);
const httpUrl = z.url({ protocol: /^https?$/ }).meta({ title: 'an http or https URL' });

const tls = z.strictObject({
  caFile: filePath.nullable().default(null).describe('Certificates of the authorities that are trusted.'),
  certFile: filePath.nullable().default(null).describe('Certificate that this client shows.'),
  keyFile: filePath.nullable().default(null).describe('Private key of that certificate.'),
  serverName: text.nullable().default(null).describe('Name expected in the server certificate, if not the host name.'),
  rejectUnauthorized: z.boolean().default(true).describe('Refuse servers whose certificate can not be verified.'),
});
const tlsSwitch = z
  .union([z.boolean(), tls])
  .meta({ title: 'true, false or a mapping with caFile, certFile, keyFile' })
  .default(false);

const kafka = z
  .strictObject({
    brokers: z.array(host).min(1).default(['localhost:9092']).describe('Brokers to learn the cluster from.'),
    groupId: text.default('lockstep').describe('Consumer group. Members of one group share the partitions.'),
    clientId: text.default('lockstep').describe('Name under which brokers list this client.'),
    ssl: tlsSwitch.describe('TLS to the brokers.'),
    sasl: z
      .strictObject({
        mechanism: z.enum(['plain', 'scram-sha-256', 'scram-sha-512']).describe('SASL mechanism of the listener.'),
        username: text.describe('User name.'),
        password: secret.describe('Password.'),
      })
      .nullable()
      .default(null)
      .describe('SASL authentication, or null for none.'),
    sessionTimeout: duration
      .prefault('15s')
      .describe('A member that is silent for this long loses its partitions to the others.'),
  })
  .prefault({})
  .describe('The Kafka cluster that holds the captured changes.');

const schemaRegistry = z
  .strictObject({
    url: httpUrl.nullable().default(null).describe('Confluent-compatible registry; null where records are plain JSON.'),
    username: text.nullable().default(null).describe('User name for basic authentication.'),
    password: secret.nullable().default(null).describe('Password for basic authentication.'),
  })
  .prefault({})
  .describe('The schema registry of the capture side, if it uses one.');

const cassandra = z
  .strictObject({
    contactPoints: z
      .array(text.meta({ title: 'host:port', examples: ['localhost:9042'] }))
      .min(1)
      .default(['localhost:9042'])
      .describe('Nodes to learn the cluster from.'),
    localDataCenter: text.default('datacenter1').describe('Data centre whose nodes are asked.'),
    keyspace: text.nullable().default(null).describe('Keyspace that commands work on when they are given none.'),
    consistency: z
      .enum(['ONE', 'LOCAL_ONE', 'TWO', 'THREE', 'QUORUM', 'LOCAL_QUORUM', 'EACH_QUORUM', 'ALL'])
      .default('LOCAL_QUORUM')
      .describe('Consistency of re-reads and scans. Read + write replicas must exceed the replication factor.'),
    username: text.nullable().default(null).describe('User name for password authentication.'),
    password: secret.nullable().default(null).describe('Password for password authentication.'),
    ssl: tlsSwitch.describe('TLS to the nodes.'),
    agents: z
      .array(
        z.strictObject({
          url: httpUrl
            .meta({ title: 'an http or https URL', examples: ['http://cassandra-1:8000/health'] })
            .describe('Health URL of one capture agent.'),
        }),
      )
      .default([])
      .describe('Capture agents, one per Cassandra node; `lockstep doctor` asks each for its health.'),
  })
  .describe('The Cassandra cluster that the changes come from.');

const source = z
  .strictObject({
    cassandra: cassandra
      .nullable()
      .default(null)
      .describe('Connection to the source; null where there is none, then every table declares its schema.'),
  })
  .prefault({})
  .describe('Where the tables are captured from.');

const target = z
  .strictObject({
    postgres: z
      .strictObject({
        url: z
          .url({ protocol: /^postgres(ql)?$/ })
          .meta({ title: 'a postgres:// URL', examples: ['postgres://user:password@host:5432/database'] })
          .default('postgres://localhost:5432/shop')
          .describe('Connection URL. Parameters of libpq such as `?sslmode=verify-full` work.'),
        controlSchema: text.default('public').describe('Schema of the `_cdc_*` tables. Created if it is missing.'),
        poolSize: wholeNumber(2, 200).default(8).describe('Connections at most.'),
      })
      .prefault({})
      .describe('The PostgreSQL database that is kept in step.'),
  })
  .prefault({})
  .describe('Where the tables are kept in step.');

const apply = z
  .strictObject({
    maxBatchChanges: wholeNumber(1, 100_000).default(2000).describe('Changes in one transaction at most.'),
    maxBatchBytes: wholeNumber(1024, 2 ** 30)
      .default(8_388_608)
      .describe('Bytes of records in one transaction at most. A single larger record still goes, alone.'),
    maxBytesInFlight: wholeNumber(65_536, 2 ** 34)
      .default(67_108_864)
      .describe('Bytes of records held in memory at most; above it the consumer pauses its partitions.'),
    producerMetadataAge: duration
      .prefault('10m')
      .describe(
        'After a topic grew, producers may write to its old partitions for this long (their metadata.max.age.ms and some more); until those records are applied, writers of the table take turns.',
      ),
  })
  .prefault({})
  .describe('How changes are put together into transactions.');

const retention = z
  .strictObject({
    horizon: duration
      .prefault('60d')
      .describe(
        'Tombstones and the memory of rows that are gone are kept for this long after they were processed. More than ledger or deadLetters (the longer one) and gc_grace_seconds of the source tables together.',
      ),
    ledger: duration.prefault('30d').describe('Processed change IDs are kept for this long.'),
    deadLetters: duration.prefault('30d').describe('retention.ms of the dead-letter topic where Lockstep creates it.'),
  })
  .prefault({})
  .describe('How long Lockstep remembers what it did.');

const rereads = z
  .strictObject({
    rowsPerSecond: wholeNumber(1, 1_000_000)
      .default(2000)
      .describe('Rows that this member reads again from the source per second at most.'),
    concurrency: wholeNumber(1, 32).default(2).describe('Shards whose rows are read at the same time.'),
  })
  .prefault({})
  .describe('Reading rows again whose changes had lost their meaning on the way; only with source.cassandra.');

const deadLetter = z
  .strictObject({
    topic: text
      .regex(/^[a-zA-Z0-9._-]{1,249}$/)
      .meta({ title: 'a Kafka topic name' })
      .default('lockstep.dlq')
      .describe('Topic that keeps the bytes of records that were given up on.'),
    waitForOthers: duration
      .prefault('10m')
      .describe(
        'How long a record that another row may mend (a foreign key, a second unique index, an incomplete row) is tried again by itself before it counts as a dead letter.',
      ),
    breaker: z
      .strictObject({
        maxRatio: z.number().gt(0).max(1).default(0.5).describe('Share of dead letters above which a shard stops.'),
        minRecords: wholeNumber(1, 1_000_000).default(100).describe('Records looked at before the share counts.'),
      })
      .prefault({})
      .describe('Stops a shard when so much of it fails that the cause is not in single records.'),
  })
  .prefault({})
  .describe('Where records that can never apply are set aside.');

const strategy = z.enum(['ROW_COUNT', 'CHECKSUM', 'TIMESTAMP_RANGE', 'SAMPLE']);

const decimal = z
  .union([z.string().regex(/^\d+(\.\d+)?$/), z.number().min(0)])
  .meta({ title: 'a decimal number of at least 0', examples: ['0.01'] })
  .transform(String);

const rule = z.strictObject({
  name: text.meta({ examples: ['revenue-per-day'] }).describe('Name of the rule in findings, metrics and reports.'),
  cql: text
    .meta({ examples: ['SELECT day, sum(total) AS total FROM shop.orders GROUP BY day'] })
    .describe('What the source is asked: one SELECT that names its columns.'),
  sql: text
    .meta({ examples: ['SELECT day, sum(total) AS total FROM orders GROUP BY day'] })
    .describe('What the target is asked, in a transaction that can only read. The same columns as the CQL.'),
  key: z
    .array(text)
    .min(1)
    .meta({ examples: [['day']] })
    .describe('Columns by which rows of the two answers are told apart; every other column is compared.'),
  tolerance: z
    .strictObject({
      absolute: decimal.nullable().default(null).describe('Numbers may be apart by this much.'),
      relative: decimal
        .nullable()
        .default(null)
        .describe('Numbers may be apart by this share of the source’s: 0.001 is 0.1 %.'),
    })
    .prefault({})
    .describe('How far numbers may be apart; neither of the two = not at all. They are compared as decimals.'),
  severity: z.enum(['warning', 'critical']).default('warning').describe('Severity of the alert.'),
  schedule: text
    .nullable()
    .default('0 * * * *')
    .meta({ title: 'a cron expression', examples: ['*/15 * * * *'] })
    .describe('When it runs, in UTC; null = only on demand.'),
  tables: z
    .array(text)
    .default([])
    .describe(
      'Tables that it reads, as in tables[].source: a difference counts once their changes have arrived; empty = all.',
    ),
  allowEmpty: z.boolean().default(false).describe('Answers without a row on both sides may pass.'),
  timeout: duration.prefault('60s').describe('How long each of the two queries may take.'),
});

const reconciliation = z
  .strictObject({
    enabled: z.boolean().default(true).describe('Whether scheduled jobs run. Variable RECONCILIATION_ENABLED.'),
    intervalMinutes: wholeNumber(1, 525_600)
      .default(60)
      .describe(
        'Minutes between two incremental comparisons of a table: what was written since the last one that covered it.',
      ),
    captureDelay: duration
      .nullable()
      .prefault('60s')
      .describe(
        'How long the capture may hold a change, where no heartbeats tell. A difference that a change in the capture would explain counts as drift only after this; null = never, such differences stay inconclusive.',
      ),
    heartbeats: z
      .strictObject({
        table: z
          .string()
          .regex(/^\w+\.\w+$/)
          .meta({ title: 'keyspace.table', examples: ['lockstep.heartbeat'] })
          .default('lockstep.heartbeat')
          .describe(
            'Table of the heartbeats in the source; `lockstep schema apply` creates it. Its keyspace has one replica, so that each node’s heartbeat can come through that node’s agent alone.',
          ),
        topic: text
          .regex(/^[a-zA-Z0-9._-]{1,249}$/)
          .meta({ title: 'a Kafka topic name', examples: ['cass1.lockstep.heartbeat'] })
          .describe('The topic that its changes arrive on. Created where it is missing.'),
        every: duration
          .prefault('10s')
          .describe('How often a heartbeat is written for each node; more are written when something is to be proven.'),
      })
      .nullable()
      .default(null)
      .describe(
        'Heartbeats through the capture: they prove that what the source had has left every capture agent. Without them that is guessed from captureDelay.',
      ),
    driftWarningThreshold: z.number().min(0).max(100).default(1).describe('Drift in percent that warns.'),
    driftCriticalThreshold: z.number().min(0).max(100).default(5).describe('Drift in percent that is critical.'),
    rowsPerSecond: wholeNumber(1, 100_000_000)
      .nullable()
      .default(null)
      .describe('Rows of the source that a comparison reads a second at most; null = as quick as both sides are.'),
    sampleSize: wholeNumber(1, 100_000_000).default(1000).describe('Rows that the strategy SAMPLE compares.'),
    tables: z
      .array(text.meta({ title: 'the source name of a table', examples: ['shop.orders'] }))
      .default([])
      .describe('Tables that scheduled jobs look at; empty = all.'),
    counters: z
      .array(
        tableMappingSchema.pick({ source: true, columns: true }).extend({
          target: tableMappingSchema.shape.target.describe('The copy. Lockstep neither creates nor writes it.'),
        }),
      )
      .default([])
      .describe(
        'Tables of counters, which are not captured: a copy that something else keeps in PostgreSQL is compared (`lockstep reconcile run --table …`) and never repaired. `captureDelay` is how far the copy may be behind.',
      ),
    schedules: z
      .array(
        z.strictObject({
          cron: text.meta({ title: 'a cron expression', examples: ['0 3 * * *'] }).describe('When, in UTC.'),
          strategy: strategy.describe('How source and target are compared.'),
          repair: z
            .boolean()
            .default(false)
            .describe(
              'Repairs what drifts in tables whose repair mode is auto; the others’ findings wait for a person.',
            ),
          tables: z.array(text).default([]).describe('Tables; empty = those of `reconciliation.tables`.'),
        }),
      )
      .prefault([
        { cron: '*/15 * * * *', strategy: 'ROW_COUNT' },
        { cron: '0 */4 * * *', strategy: 'SAMPLE', repair: true },
        { cron: '0 2 * * *', strategy: 'CHECKSUM' },
      ])
      .describe(
        'Comparisons at fixed times, beside the incremental ones. A time that finds the one before it still running is left out.',
      ),
    workers: wholeNumber(0, 32)
      .default(1)
      .describe('Ranges that this member scans at a time; 0 leaves them to other members.'),
    throttle: z
      .strictObject({
        rowsPerSecond: wholeNumber(1, 100_000_000)
          .nullable()
          .default(20_000)
          .describe('Rows that all members together read from the source; null = any number.'),
        sourceLatency: duration
          .nullable()
          .prefault('100ms')
          .describe(
            'Scans pause, longer and longer, while a read of one row takes more than this; null = nobody looks.',
          ),
      })
      .prefault({})
      .describe(
        'What scheduled and triggered comparisons may ask of the source. Those of the command line are not held up.',
      ),
    windows: z
      .strictObject({
        size: duration.prefault('60s').describe('Span of write time of one delivery window.'),
        horizons: z
          .array(duration)
          .min(1)
          .prefault(['5m', '1h', '24h'])
          .describe('Ages at which a window is verified: soon for what was lost, later for what came late. Ascending.'),
        changelog: z
          .enum(['off', 'kafka', 'cassandra'])
          .default('off')
          .describe(
            'What the ledger is compared with. kafka: the topics themselves, which shows what was passed over behind Kafka; cassandra: the changelog table that applications write in the batch of their data, which also shows what the capture lost.',
          ),
        replay: z
          .enum(['off', 'review', 'auto'])
          .default('auto')
          .describe(
            'What happens to missing changes. off: they are told of; review: their rows are compared, and what differs is a finding for a person; auto: they go through the door, and rows of which only the key is known are read again from the source and repaired, within reconciliation.repair.maxRows a verification.',
          ),
        skew: duration
          .prefault('5m')
          .describe(
            'How far clocks of writers, capture and broker may be apart; the kafka changelog reads that much more.',
          ),
      })
      .prefault({})
      .describe('Delivery windows: is there an outcome for every change that the source has made?'),
    repair: z
      .strictObject({
        mode: z
          .enum(['off', 'review', 'auto'])
          .default('review')
          .describe('off: findings only; review: a person confirms each repair; auto: repairs within their limits.'),
        tables: z
          .record(text, z.enum(['off', 'review', 'auto']))
          .default({})
          .describe('Modes of single tables, by their source names.'),
        maxRows: wholeNumber(1, 10_000)
          .default(1000)
          .describe('Rows that one run repairs at most; more drift than that is left to a person.'),
        maxRowsPerDay: wholeNumber(1, 1_000_000)
          .default(5000)
          .describe(
            'Rows of a table that are repaired by themselves within 24 h; then repairs stop until a person has looked.',
          ),
        rowsPerSecond: wholeNumber(1, 100_000)
          .nullable()
          .default(null)
          .describe('Rows that are repaired in a second; null = as many as a fifth of the table’s gate allows.'),
        maxPercent: z
          .number()
          .min(0)
          .max(100)
          .default(5)
          .describe(
            'Drift in percent of the compared rows above which nothing is repaired; up to ten rows always are.',
          ),
      })
      .prefault({})
      .describe('What happens to drift that was found.'),
    rules: z
      .array(rule)
      .default([])
      .describe('Business rules: aggregates that source and target must agree on, compared key by key.'),
  })
  .prefault({})
  .describe('Comparing source and target on a schedule.');

const api = z
  .strictObject({
    host: text.default('127.0.0.1').describe('Address to listen on; `0.0.0.0` = every address.'),
    port: port.default(8080).describe('Port to listen on; 0 = any free one, told in the log.'),
    tokens: z
      .array(
        z.strictObject({
          name: text.describe('Who uses the token; written to the audit log.'),
          token: secret.describe('The bearer token. Long and random: `openssl rand -hex 32`.'),
          scopes: z
            .array(z.enum(['read', 'operate', 'erase']))
            .min(1)
            .default(['read'])
            .describe('What the token may do: look, change what runs, erase records.'),
        }),
      )
      .default([])
      .describe('Who may use the HTTP API. Health and metrics need no token.'),
  })
  .prefault({})
  .describe('The HTTP server: health, metrics, API.');

const log = z
  .strictObject({
    level: z
      .enum(['fatal', 'error', 'warn', 'info', 'debug', 'trace', 'silent'])
      .default('info')
      .describe('Least severity that is logged.'),
  })
  .prefault({})
  .describe('The log: JSON lines on standard error, readable text on a terminal.');

const sections = {
  kafka,
  schemaRegistry,
  source,
  target,
  tables: z
    .array(tableMappingSchema)
    .min(1)
    .meta({ title: 'a list of at least one table' })
    .describe('Tables that are kept in step, each fed by one topic.'),
  apply,
  rereads,
  retention,
  deadLetter,
  reconciliation,
  api,
  log,
};

export const configurationSchema = z.strictObject(sections);

/** Validated configuration: defaults filled in, durations in milliseconds, environment applied. */
export type Configuration = z.output<typeof configurationSchema>;

/**
 * The schema as JSON Schema of what is written in the file: the tree that everything else is derived from. Through JSON,
 * because zod's objects carry functions and undefined beside the schema.
 */
export const configurationNode = JSON.parse(
  JSON.stringify(z.toJSONSchema(configurationSchema, { io: 'input' })),
) as SchemaNode;

/** The sections that are valid by themselves: what checks across keys may look at even if others are not. */
export function validSections(value: unknown): Partial<Configuration> {
  if (typeof value !== 'object' || value === null) return {};
  const valid: Record<string, unknown> = {};
  for (const [name, schema] of Object.entries(sections)) {
    const result = schema.safeParse((value as Record<string, unknown>)[name]);
    if (result.success) valid[name] = result.data;
  }
  return valid;
}
