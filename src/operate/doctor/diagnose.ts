import { loadConfiguration, type Configuration, type Environment } from '../../config/index.ts';
import { assert } from '../../shared/assert.ts';
import { connectCassandra } from '../../source/cassandra-client.ts';
import { readSchema } from '../../source/schema.ts';
import { createPool } from '../../target/index.ts';
import { describeTarget } from '../../target/scan/rule-query.ts';
import { probeClientOf } from '../connect/kafka-client.ts';
import { createKafkaProbe, type KafkaProbe } from '../connect/kafka-probe.ts';
import { createLogger } from '../telemetry/logger.ts';
import { resolveTables } from '../schema/source-tables.ts';
import { checkTargets } from '../schema/target-check.ts';
import { agentChecks, fetchHealth } from './agent-checks.ts';
import { cassandraChecks, createCassandraProbe, type CassandraProbe } from './cassandra-checks.ts';
import { diagnosisOf, runChecks, type Check, type Diagnosis, type RunOptions } from './check.ts';
import { configurationChecks } from './configuration-checks.ts';
import { counterChecks } from './counter-checks.ts';
import { heartbeatChecks } from './heartbeat-checks.ts';
import { kafkaChecks } from './kafka-checks.ts';
import { letterChecks, type LetterProbe } from './letter-checks.ts';
import { createLetterProbe } from './letter-probe.ts';
import { ruleChecks } from './rule-checks.ts';
import { mappingChecks } from './mapping-checks.ts';
import { createPostgresProbe, postgresChecks, type PostgresProbe } from './postgres-checks.ts';

/** The target looks at the query of a rule; it is not asked. */
const RULE_TIMEOUT_MS = 8_000;
/** Longest wait for a connection to close when everything is answered. */
const CLOSE_TIMEOUT_MS = 1_000;

/** What stays open between the checks of one area; made on first use, closed at the end. */
class Lazy<T extends { close(): Promise<void> }> {
  readonly #make: () => T;
  #value: T | null = null;

  constructor(make: () => T) {
    this.#make = make;
  }

  readonly get = (): T => (this.#value ??= this.#make());

  peek(): T | null {
    return this.#value;
  }

  async close(): Promise<void> {
    // A connection that never came about fails to close, which is of no interest here.
    await this.#value?.close().catch(() => undefined);
  }
}

/**
 * Everything `lockstep doctor` looks at, in the order in which it is shown. Reads only: nothing is created or changed in
 * any of the systems.
 */
export async function diagnose(
  source: { readonly path: string | undefined; readonly env: Environment },
  options: RunOptions = {},
): Promise<Diagnosis> {
  const quiet = createLogger({ level: 'silent' });
  let loaded: Configuration | null = null;
  const load = (): Configuration => (loaded ??= loadConfiguration(source));
  const configuration = (): Configuration => {
    // Every check but the first needs `configuration`, so it has been loaded when this is called.
    assert(loaded !== null, 'a check ran without a configuration');
    return loaded;
  };
  const kafka = new Lazy<KafkaProbe>(() => createKafkaProbe(probeClientOf(configuration().kafka, quiet)));
  const postgres = new Lazy<PostgresProbe>(() => createPostgresProbe(configuration().target.postgres.url));
  const letters = new Lazy<LetterProbe>(() => createLetterProbe(configuration()));
  const cassandra = new Lazy<CassandraProbe>(() =>
    createCassandraProbe(() => {
      const settings = configuration().source.cassandra;
      assert(settings !== null, 'the source is not configured');
      return connectCassandra(settings, { attempts: 1 });
    }, readSchema),
  );
  const rulePool = new Lazy(() => {
    const pool = createPool({ url: configuration().target.postgres.url, poolSize: 1 });
    return { pool, close: () => pool.end() };
  });
  const readKeyspace = () => {
    const probe = cassandra.peek();
    return probe?.isConnected() === true ? (keyspace: string) => probe.readKeyspace(keyspace) : null;
  };
  const checks: readonly Check[] = [
    ...configurationChecks(load),
    ...kafkaChecks(configuration, kafka.get),
    ...postgresChecks(configuration, postgres.get),
    ...letterChecks(configuration, letters.get),
    ...cassandraChecks(configuration, cassandra.get),
    ...heartbeatChecks(configuration, cassandra.get, postgres.get),
    ...mappingChecks(configuration, { resolve: resolveTables, check: checkTargets }, readKeyspace),
    ...counterChecks(configuration, cassandra.get, postgres.get),
    ...ruleChecks(configuration, {
      prepare: (cql) => cassandra.get().prepare(cql),
      describe: (sql) => describeTarget(rulePool.get().pool, sql, RULE_TIMEOUT_MS),
    }),
    ...agentChecks(configuration, fetchHealth),
  ];
  try {
    return diagnosisOf(await runChecks(checks, options));
  } finally {
    const open = [kafka, postgres, letters, cassandra, rulePool];
    const closing = Promise.all(open.map((each) => each.close()));
    const limit = new Promise((resolve) => setTimeout(resolve, CLOSE_TIMEOUT_MS).unref());
    await Promise.race([closing, limit]);
  }
}
