import type { Client } from 'cassandra-driver';
import type { Pool } from 'pg';
import { bindTable } from '../../catalog/bind.ts';
import type { TableMapping } from '../../catalog/table-mapping.ts';
import type { Table } from '../../catalog/table.ts';
import type { Configuration } from '../../config/index.ts';
import type { Clock } from '../../shared/clock.ts';
import { LockstepError, messageOf } from '../../shared/errors.ts';
import { connectCassandra } from '../../source/cassandra-client.ts';
import { readSchema } from '../../source/schema.ts';
import { openTarget, type Target } from '../../target/index.ts';
import { CONNECT_BACKOFF } from '../upkeep/backoff.ts';
import { streamMappings } from '../heartbeats/heartbeat-table-mapping.ts';
import { probeClientOf } from './kafka-client.ts';
import { createKafkaProbe } from './kafka-probe.ts';
import type { Logger } from '../telemetry/logger.ts';
import type { DependencyBoard, DependencyName } from '../service/readiness.ts';
import { ignoring } from '../schema/schema-change.ts';
import { retry } from '../service/service.ts';
import { resolveTables, togetherAsConfigError, withRereads, type ResolvedTable } from '../schema/source-tables.ts';
import { checkTargets, type CheckedTargets } from '../schema/target-check.ts';
import { createControlTarget, extendTarget, missingColumns } from '../schema/target-ddl.ts';

export interface PreparationOptions {
  readonly configuration: Configuration;
  readonly pool: Pool;
  readonly dependencies: DependencyBoard;
  readonly logger: Logger;
  readonly clock: Clock;
  readonly signal: AbortSignal;
  /** A step failed and will be repeated: its error code (cdc_retries_total) and what to tell operators. */
  readonly onRetry: (code: string, reason: string) => void;
}

/** What the stream needs, checked and open. */
export interface Prepared {
  readonly tables: readonly Table[];
  /** The same with what the source says about each, and its mapping: what schema changes are judged against. */
  readonly mapped: readonly { readonly resolved: ResolvedTable; readonly mapping: TableMapping }[];
  readonly target: Target;
  /** Null where no source is configured. */
  readonly cassandra: Client | null;
}

/**
 * Everything that must hold before the first record is read. A system that can't be reached is waited for (visible in
 * readiness, metrics and log); what no waiting mends — a missing table or topic, a mapping that does not fit — rejects
 * with a LockstepError of kind `config`.
 */
export async function prepare(options: PreparationOptions): Promise<Prepared> {
  // The systems are asked beside one another: one that is down must not hide what is wrong with another.
  const failed = new AbortController();
  const linked = { ...options, signal: AbortSignal.any([options.signal, failed.signal]) };
  const stopOthers = (error: unknown): never => {
    failed.abort();
    throw error;
  };
  const parts = [
    prepareTarget(linked).catch(stopOthers),
    withRetries(linked, 'kafka', 'looking for the topics', () => prepareTopics(linked)).catch(stopOthers),
  ] as const;
  const [target, topics] = await Promise.allSettled(parts);
  if (target.status === 'fulfilled' && topics.status === 'fulfilled') return target.value;
  if (target.status === 'fulfilled') await target.value.cassandra?.shutdown().catch(() => undefined);
  const reasons = [target, topics].flatMap((part) => (part.status === 'rejected' ? [part.reason as unknown] : []));
  // What was stopped for the sake of the other part has nothing to say.
  throw reasons.find((reason) => reason instanceof LockstepError) ?? reasons[0];
}

/** Repeats a step until it succeeds, and keeps readiness, metrics and log informed. */
async function withRetries<T>(
  { dependencies, logger, signal, onRetry }: PreparationOptions,
  name: DependencyName,
  what: string,
  attempt: () => Promise<T>,
): Promise<T> {
  const result = await retry(attempt, {
    backoff: CONNECT_BACKOFF,
    signal,
    onRetry: (error, failures, delayMs) => {
      const reason = messageOf(error);
      // A system that answers "no" (a missing privilege) is up; only the start waits for it.
      if (!(error instanceof LockstepError) || error.kind === 'transient') dependencies.down(name, reason);
      onRetry(error instanceof LockstepError ? error.code : 'UNREACHABLE', `${what}: ${reason}`);
      logger.warn({ dependency: name, attempt: failures, retryMs: delayMs, err: error }, `${what} failed, retrying`);
    },
  });
  dependencies.up(name);
  return result;
}

/** Schema of the source, comparison with the live targets, control tables: all that needs no Kafka. */
export async function prepareTarget(options: PreparationOptions): Promise<Prepared> {
  const { configuration, pool, logger, clock, signal } = options;
  const { url, controlSchema } = configuration.target.postgres;
  const settings = configuration.source.cassandra;
  const cassandra =
    settings === null
      ? null
      : await withRetries(options, 'cassandra', 'connecting to Cassandra', () =>
          connectCassandra(settings, { attempts: 1, signal }),
        );
  try {
    const read =
      cassandra === null
        ? null
        : (keyspace: string) =>
            withRetries(options, 'cassandra', `reading the schema of ${keyspace}`, () =>
              readSchema(cassandra, keyspace),
            );
    const mappings = streamMappings(configuration);
    const { resolved: bound, errors } = await resolveTables(mappings, read);
    if (errors.length > 0) throw togetherAsConfigError(errors);
    const mappingOf = new Map(mappings.map((mapping) => [mapping.source, mapping]));
    const heartbeats = bound.find(({ table }) => table.name === configuration.reconciliation.heartbeats?.table);
    if (heartbeats !== undefined) {
      await withRetries(options, 'postgres', 'creating the target of heartbeats', () =>
        createControlTarget(url, heartbeats.table),
      );
    }
    const resolved = await Promise.all(
      bound.map((each) =>
        withRetries(options, 'postgres', `comparing the columns of ${each.table.name}`, () =>
          adaptColumns(url, each, mappingOf.get(each.table.name), logger),
        ),
      ),
    );

    const checked = await withRetries(options, 'postgres', 'comparing tables with their targets', () =>
      checkTargets(
        url,
        resolved.map(({ table }) => table),
      ),
    );
    refuseTargets(checked, logger);
    const tables = checked.tables.map(({ table }) => table);
    const target = await withRetries(options, 'postgres', 'preparing the control tables', () =>
      openTarget({ pool, controlSchema, tables, clock }),
    );
    const mapped = resolved.flatMap(({ source }, i) => {
      const table = tables[i];
      const mapping = table === undefined ? undefined : mappingOf.get(table.name);
      return table === undefined || mapping === undefined ? [] : [{ resolved: { source, table }, mapping }];
    });
    return { tables, mapped, target, cassandra };
  } catch (error) {
    await cassandra?.shutdown().catch(() => undefined);
    throw error;
  }
}

/** Columns that were added while nothing ran are treated as they would be while running. */
async function adaptColumns(
  url: string,
  resolved: ResolvedTable,
  mapping: TableMapping | undefined,
  logger: Logger,
): Promise<ResolvedTable> {
  const { table, source } = resolved;
  if (mapping?.schemaChange === 'evolve') {
    const { steps } = await extendTarget(url, table);
    for (const { sql, why } of steps) logger.info({ table: table.name, sql }, why);
  }
  if (mapping?.schemaChange !== 'ignore') return resolved;
  const columns = (await missingColumns(url, table)).filter((name) => mapping.columns[name] === undefined);
  if (columns.length === 0) return resolved;
  logger.warn({ table: table.name, columns }, 'columns that the target lacks are left out: schemaChange is ignore');
  const without = bindTable(source, ignoring(mapping, columns));
  if (without.kind === 'refused') throw togetherAsConfigError(without.errors);
  return {
    source: { ...source, columns: source.columns.filter(({ name }) => !columns.includes(name)) },
    table: withRereads(without.table, table.rereads !== undefined, mapping),
  };
}

/** Errors end the start; warnings are logged. */
function refuseTargets({ database, tables }: CheckedTargets, logger: Logger): void {
  const all = [
    ...database.map((finding) => ({ key: 'target.postgres.url', finding })),
    ...tables.flatMap(({ table, findings }) =>
      findings.map((finding) => ({ key: `tables: ${table.name}: target`, finding })),
    ),
  ];
  for (const { key, finding } of all) {
    const { severity, code, message, remedy } = finding;
    if (severity === 'warning') logger.warn({ key, code, remedy }, message);
  }
  const errors = all
    .filter(({ finding }) => finding.severity === 'error')
    .map(
      ({ key, finding: { code, message, remedy } }) =>
        new LockstepError(`${key}: ${message}`, { code, kind: 'config', remedy }),
    );
  if (errors.length > 0) throw togetherAsConfigError(errors);
}

/** Source topics exist and keep every record; the DLQ topic exists afterwards. */
async function prepareTopics({ configuration, logger }: PreparationOptions): Promise<void> {
  const probe = createKafkaProbe(probeClientOf(configuration.kafka, logger));
  try {
    await probe.connect();
    const errors: LockstepError[] = [];
    const { heartbeats } = configuration.reconciliation;
    if (heartbeats !== null && (await probe.ensureTopic(heartbeats.topic))) {
      logger.info({ topic: heartbeats.topic }, 'created the topic of heartbeats');
    }
    for (const { source, topic } of streamMappings(configuration)) {
      const facts = await probe.topic(topic);
      if (facts === null) {
        errors.push(
          new LockstepError(`tables: ${source}: topic: there is no topic ${topic}`, {
            code: 'TOPIC_MISSING',
            kind: 'config',
            remedy: `correct tables[].topic, create the topic, or let the capture agent write its first change of ${source}`,
          }),
        );
      } else if (facts.settings.get('cleanup.policy')?.includes('compact') === true) {
        errors.push(
          new LockstepError(`tables: ${source}: topic: ${topic} is compacted, which drops sparse updates of one key`, {
            code: 'TOPIC_COMPACTED',
            kind: 'config',
            remedy: `set cleanup.policy=delete on ${topic}, then compare the table with its source`,
          }),
        );
      }
    }
    if (errors.length > 0) throw togetherAsConfigError(errors);
    const { topic } = configuration.deadLetter;
    const created = await probe.ensureDlq(
      topic,
      configuration.tables.map((table) => table.topic),
      configuration.retention.deadLetters,
    );
    if (created) logger.info({ topic }, 'created the dead-letter topic');
  } catch (cause) {
    if (cause instanceof LockstepError) throw cause;
    throw new LockstepError('Kafka does not answer', { code: 'KAFKA_UNAVAILABLE', kind: 'transient', cause });
  } finally {
    await probe.close().catch(() => undefined);
  }
}
