import { hostname } from 'node:os';
import type { Configuration } from '../../config/index.ts';
import { createConsumer, createKafkajsPort, type Consumer, type KafkaPort } from '../../consume/index.ts';
import { createDlqProducer, type DeadLetterSink } from '../../deadletter/index.ts';
import { systemClock, type Clock } from '../../shared/clock.ts';
import { RowReader } from '../../source/row-reader.ts';
import { readSchema } from '../../source/schema.ts';
import { createPool, type ReadRows } from '../../target/index.ts';
import { showBreakers } from '../telemetry/breaker-metrics.ts';
import { closeAll } from '../connect/closing.ts';
import { decoderOf } from '../connect/decoder-of.ts';
import { createHttpServer } from '../http/server.ts';
import { dlqRoutes } from '../http/dlq-routes.ts';
import { comparisonRoutes } from '../http/comparison-routes.ts';
import { reconciliationRoutes } from '../http/reconciliation-routes.ts';
import { reportRoutes } from '../http/report-routes.ts';
import { jobRoutes } from '../http/job-routes.ts';
import { resolveRoutes } from '../http/resolve-routes.ts';
import { ruleRoutes } from '../http/rule-routes.ts';
import { healthRoutes } from '../http/health-routes.ts';
import { listen } from '../http/listen.ts';
import { statusRoutes } from '../http/status-routes.ts';
import { verifyDelivery } from '../delivery/delivery-windows.ts';
import { comparisonMetrics, showThresholds } from '../end-state/comparison-metrics.ts';
import { writeHeartbeats } from '../heartbeats/write-heartbeats.ts';
import { shareComparisons } from '../jobs/share-comparisons.ts';
import { kafkaClientOf } from '../connect/kafka-client.ts';
import type { Logger } from '../telemetry/logger.ts';
import { createMetrics } from '../telemetry/metrics.ts';
import { Operations } from './operations.ts';
import { prepare, type Prepared } from '../connect/preparation.ts';
import { DependencyBoard, type DependencyName } from './readiness.ts';
import { RereadBoard } from './reread-board.ts';
import { ServiceView } from './service-view.ts';
import { StalenessTracker } from '../telemetry/staleness.ts';
import { ServiceResolve } from '../end-state/service-resolve.ts';
import { RuleRuns } from '../rules/rule-runs.ts';
import { ruleMetrics } from '../rules/rule-metrics.ts';
import { runRules } from '../rules/rule-schedule.ts';
import { rulesOf } from '../rules/rules-of.ts';
import { createStreamObserver } from '../telemetry/stream-observer.ts';
import { upkeepOf, watchCassandra, watchKafka, watchPostgres } from '../upkeep/upkeep.ts';
import type { RunningParts } from './running-parts.ts';
import { SchemaWatch } from '../schema/schema-watch.ts';
import type { Service } from './service.ts';
import { checkTargets } from '../schema/target-check.ts';
import { extendTarget } from '../schema/target-ddl.ts';

/** The source as re-reads ask it. */
const readRowsOf =
  (reader: RowReader): ReadRows =>
  (table, keys, signal) =>
    reader.read(table, keys, signal);

export interface RunServiceOptions {
  readonly logger: Logger;
  /** Asks for a clean stop: the transaction in flight ends, nothing more is begun. */
  readonly signal: AbortSignal;
  readonly clock?: Clock;
  /** Names this member to operators; default host and process. */
  readonly owner?: string;
}

/**
 * The service: the one place that puts its parts together. HTTP comes first, so that readiness can say what the start
 * waits for. Resolves after a clean stop; rejects with a LockstepError of kind `config` where what the configuration names
 * does not exist, before anything is consumed.
 */
export async function runService(configuration: Configuration, options: RunServiceOptions): Promise<void> {
  const { logger, signal, clock = systemClock, owner = `${hostname()}:${process.pid}` } = options;
  const { cassandra } = configuration.source;
  // A rule that is wrong by itself is told of before anything starts.
  rulesOf(configuration);
  const metrics = createMetrics();
  showThresholds(metrics, configuration.reconciliation);
  const names: DependencyName[] = ['kafka', 'postgres', ...(cassandra === null ? [] : (['cassandra'] as const))];
  const dependencies = new DependencyBoard(names, clock, ({ name, state, reason }) => {
    metrics.stream.dependencyUp.set({ dependency: name }, state === 'up' ? 1 : 0);
    if (state === 'down') logger.warn({ dependency: name, reason }, `${name} is down`);
    else if (state === 'up') logger.info({ dependency: name }, `${name} is up`);
  });
  const staleness = new StalenessTracker(clock.nowMs());
  const rereadBoard = new RereadBoard();
  const view = new ServiceView({ configuration, owner, clock, dependencies, staleness, rereads: rereadBoard });

  const kafka = kafkaClientOf(configuration.kafka, logger);
  const { url, poolSize } = configuration.target.postgres;
  const pool = createPool({
    url,
    poolSize,
    onIdleError: (error) => {
      dependencies.down('postgres', error.message);
    },
  });
  const app = createHttpServer({
    tokens: configuration.api.tokens,
    routes: [
      healthRoutes(() => view.readiness(), metrics),
      statusRoutes(view, () => operations),
      dlqRoutes(() => operations),
      reconciliationRoutes(() => operations),
      comparisonRoutes(() => operations),
      reportRoutes(() => operations),
      resolveRoutes(() => operations),
      ruleRoutes(() => operations),
      jobRoutes(() => operations),
    ],
    logger,
  });
  // What has to be closed at the end, whatever of it came about.
  let prepared: Prepared | null = null;
  let deadLetters: DeadLetterSink | null = null;
  let port: KafkaPort | null = null;
  let operations: Operations | null = null;
  const ended = new AbortController();
  const running = AbortSignal.any([signal, ended.signal]);
  const background: Promise<void>[] = [];
  const start = (...services: readonly Service[]) => {
    for (const service of services) background.push(service.run(running));
  };

  try {
    const address = await listen(app, configuration.api.host, configuration.api.port);
    logger.info({ address, owner }, 'lockstep is starting');
    start(watchPostgres(pool, dependencies));

    prepared = await prepare({
      configuration,
      pool,
      dependencies,
      logger,
      clock,
      signal: running,
      onRetry: (code, reason) => {
        metrics.stream.retries.inc({ kind: code });
        view.waitsFor(reason);
      },
    });

    const { groupId, sessionTimeout } = configuration.kafka;
    deadLetters = createDlqProducer({
      kafka,
      topic: configuration.deadLetter.topic,
      origin: { connectorName: groupId, taskId: owner },
    });
    port = createKafkajsPort({ kafka, groupId, logger, sessionTimeoutMs: sessionTimeout });
    const { tables, target } = prepared;
    const tableOfTopic = new Map(tables.map((table) => [table.topic, table.name]));
    const consumer: Consumer = createConsumer({
      kafka: port,
      door: target.door,
      store: target.shards,
      topics: new Map(tables.map((table) => [table.topic, { table: table.name, decoder: decoderOf(table) }])),
      deadLetters,
      breaker: configuration.deadLetter.breaker,
      observer: createStreamObserver({ metrics, dependencies, logger, clock, staleness, tableOfTopic }),
      logger,
      owner,
      limits: configuration.apply,
      clock,
      schemaDoubt: (topic, columns) => watch.doubt(topic, columns),
      noteKeyForm: async (topic, form) => {
        if (await target.shards.noteKeyForm(topic, form)) {
          logger.warn(
            { topic, form },
            'record keys are written in another form: keys moved between partitions, as in growth',
          );
        }
      },
    });
    const { cassandra: session } = prepared;
    const watch: SchemaWatch = new SchemaWatch({
      tables: prepared.mapped,
      clock,
      readKeyspace: session === null ? null : (keyspace) => readSchema(session, keyspace),
      checkTargets: (tables) => checkTargets(url, tables),
      extendTarget: (table) => extendTarget(url, table),
      target,
      consumer,
      decoderOf,
      logger,
      onChange: (table, outcome) => {
        metrics.stream.schemaChanges.inc({ table, outcome });
      },
      onIgnored: (table, columns) => {
        metrics.stream.schemaIgnoredColumns.set({ table }, columns);
      },
    });
    await watch.recognise();
    operations = new Operations({ configuration, prepared, pool, kafka, logger, signal: running });
    view.started(consumer, target.shards);
    showBreakers(metrics, () => consumer.shards());
    const parts: RunningParts = {
      configuration,
      prepared,
      consumer,
      port,
      pool,
      metrics,
      dependencies,
      staleness,
      rereadBoard,
      readRows: session === null ? null : readRowsOf(new RowReader(session, clock)),
      clock,
      logger,
    };
    operations.workWith({ rules: new RuleRuns(parts, running), resolve: new ServiceResolve(parts) });
    start(watchKafka(parts), watch, ...upkeepOf(parts, kafka));
    const delivery = verifyDelivery(parts, kafka);
    if (delivery !== null) start(delivery);
    const heartbeats = writeHeartbeats(parts);
    if (heartbeats !== null) start(heartbeats);
    start(comparisonMetrics(parts), ruleMetrics(parts));
    const rules = runRules(parts);
    if (rules !== null) start(rules);
    const shared = shareComparisons(parts, owner);
    if (shared !== null) {
      start(shared.service);
      operations.compareWith(shared.comparisons);
    }
    if (prepared.cassandra !== null) start(watchCassandra(prepared.cassandra, dependencies));
    logger.info({ tables: [...tableOfTopic.values()] }, 'lockstep is running');

    signal.addEventListener(
      'abort',
      () => {
        view.stopping();
      },
      { once: true },
    );
    await consumer.run(signal);
  } catch (error) {
    // A stop during the start is a stop.
    if (!signal.aborted) throw error;
  } finally {
    ended.abort();
    await closeAll(
      [
        ['background work', () => Promise.all(background)],
        ['redrives', () => operations?.close()],
        ['dead letters', () => deadLetters?.close()],
        ['Kafka', () => port?.close()],
        ['Cassandra', () => prepared?.cassandra?.shutdown()],
        ['PostgreSQL', () => pool.end()],
        ['HTTP', () => app.close()],
      ],
      logger,
    );
    logger.info('lockstep has stopped');
  }
}
