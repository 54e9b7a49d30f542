/** The section `reconciliation` of the schema (schema.ts). */
import { z } from 'zod';
import { tableMappingSchema } from '../catalog/table-mapping.ts';
import { duration, text, wholeNumber } from './schema-parts.ts';

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

export const reconciliation = z
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
    driftWarningThreshold: z
      .number()
      .min(0)
      .max(100)
      .default(1)
      .describe(
        'Drift in percent above which alert_fired is true and ReconciliationDriftWarning fires. Variable RECONCILIATION_DRIFT_WARNING_THRESHOLD.',
      ),
    driftCriticalThreshold: z
      .number()
      .min(0)
      .max(100)
      .default(5)
      .describe(
        'Drift in percent above which ReconciliationDriftCritical fires. Variable RECONCILIATION_DRIFT_CRITICAL_THRESHOLD.',
      ),
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
          .describe(
            'off: findings only, nobody writes a row; review: a person confirms, by asking for a repair (`reconcile run --repair`, a trigger with repair) or finding by finding (`reconcile resolve`); auto: schedules that repair do so, within the limits.',
          ),
        tables: z
          .record(text, z.enum(['off', 'review', 'auto']))
          .default({})
          .describe('Modes of single tables, by their source names; they count wherever a repair is asked for.'),
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
