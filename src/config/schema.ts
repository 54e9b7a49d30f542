import { z } from 'zod';
import { tableMappingSchema } from '../catalog/table-mapping.ts';
import { reconciliation } from './reconciliation-schema.ts';
import { duration, text, wholeNumber } from './schema-parts.ts';
import type { SchemaNode } from './schema-node.ts';

/**
 * The one schema of `lockstep.yaml`: types, defaults, validation, the published JSON Schema, environment variables, masks
 * and docs/configuration.md are made from it. `title` says what a value is ("expected …"), `description` what it does,
 * `examples` what one looks like, `writeOnly` marks a secret.
 */

const host = text.meta({ title: 'host:port', examples: ['localhost:9092'] });
const secret = text.meta({ title: 'a secret text', writeOnly: true });
const filePath = text.meta({ title: 'a path of a PEM file' });
const port = wholeNumber(0, 65_535);
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
