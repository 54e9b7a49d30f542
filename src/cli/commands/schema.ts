import type { Client } from 'cassandra-driver';
import { Command } from 'commander';
import pg from 'pg';
import { STATIC_SUFFIX } from '../../catalog/bind.ts';
import { checkDatabase } from '../../catalog/check-target.ts';
import { planDdl, type DdlPlan } from '../../catalog/ddl.ts';
import type { Table } from '../../catalog/table.ts';
import { readTargetDatabase, readTargetTable } from '../../catalog/target-schema.ts';
import { DEFAULT_CONFIGURATION_FILE, loadConfiguration, type Configuration } from '../../config/index.ts';
import { streamMappings } from '../../operate/heartbeats/heartbeat-table-mapping.ts';
import {
  createSourceTables,
  needsSourceTables,
  planSourceTables,
  type SourceStep,
} from '../../operate/schema/source-ddl.ts';
import { APPLY_LOCK, executeDdl } from '../../operate/schema/target-ddl.ts';
import { resolveTables, togetherAsConfigError } from '../../operate/schema/source-tables.ts';
import { LockstepError } from '../../shared/errors.ts';
import { connectCassandra } from '../../source/cassandra-client.ts';
import { readSchema } from '../../source/schema.ts';
import { classifyPostgresError } from '../../target/index.ts';
import { EXIT } from '../exit-code.ts';

interface SchemaOptions {
  readonly config?: string;
  readonly json?: true;
}

/** The plan of one table, as it is printed. */
interface TablePlan extends DdlPlan {
  readonly source: string;
  readonly target: string;
}

/** A person waits: a source that does not answer is told of soon. */
const CONNECT_ATTEMPTS = 2;
const CONNECT_TIMEOUT_MS = 8_000;

/** The source, where something has to be asked of it. */
async function withSource<T>(configuration: Configuration, work: (client: Client | null) => Promise<T>): Promise<T> {
  const settings = configuration.source.cassandra;
  const asks = configuration.tables.some((mapping) => mapping.schema === null) || needsSourceTables(configuration);
  const client = settings !== null && asks ? await connectCassandra(settings, { attempts: CONNECT_ATTEMPTS }) : null;
  try {
    return await work(client);
  } finally {
    await client?.shutdown();
  }
}

/** The configured tables and that of the heartbeats, bound. */
async function boundTables(configuration: Configuration, client: Client | null): Promise<readonly Table[]> {
  const read = client === null ? null : (keyspace: string) => readSchema(client, keyspace);
  const { resolved, errors } = await resolveTables(streamMappings(configuration), read);
  if (errors.length > 0) throw togetherAsConfigError(errors);
  return resolved.map(({ table }) => table);
}

async function planAll(client: pg.Client, tables: readonly Table[]): Promise<readonly TablePlan[]> {
  const database = await readTargetDatabase(client);
  const schemas = new Set(database.schemas);
  const plans: TablePlan[] = [];
  for (const table of tables) {
    const { targetSchema: schema, targetTable: name } = table;
    const live = await readTargetTable(client, schema, name);
    const statics = await readTargetTable(client, schema, name + STATIC_SUFFIX);
    const plan = planDdl(table, live, { schemaExists: schemas.has(schema), statics });
    // The first table of a schema creates it for the others.
    schemas.add(schema);
    const refusals = [...checkDatabase(database), ...plan.refusals];
    plans.push({ source: table.name, target: `${schema}.${name}`, steps: plan.steps, refusals });
  }
  return plans;
}

const refusedAny = (plans: readonly TablePlan[]): boolean => plans.some(({ refusals }) => refusals.length > 0);

interface WholePlan {
  readonly source: readonly SourceStep[];
  readonly plans: readonly TablePlan[];
  readonly applied: boolean;
}

/** Plans, and applies where nothing is refused: all tables or none. */
function planOrApply(configuration: Configuration, apply: boolean): Promise<WholePlan> {
  return withSource(configuration, async (cassandra) => {
    const source =
      cassandra === null || !needsSourceTables(configuration) ? [] : await planSourceTables(cassandra, configuration);
    const tables = await boundTables(configuration, cassandra);
    const client = new pg.Client({
      connectionString: configuration.target.postgres.url,
      application_name: 'lockstep schema',
      connectionTimeoutMillis: CONNECT_TIMEOUT_MS,
    });
    // A connection that breaks rejects the query under way; the event has nothing to add.
    client.on('error', () => undefined);
    try {
      await client.connect();
      if (apply) await client.query('SELECT pg_advisory_lock($1)', [APPLY_LOCK]);
      const plans = await planAll(client, tables);
      if (!apply || refusedAny(plans)) return { source, plans, applied: false };
      if (cassandra !== null) await createSourceTables(cassandra, source);
      for (const { steps } of plans) await executeDdl(client, steps);
      return { source, plans, applied: true };
    } catch (error) {
      if (error instanceof LockstepError) throw error;
      throw classifyPostgresError(error, apply ? 'applying the schema' : 'reading the target schema');
    } finally {
      await client.end().catch(() => undefined);
    }
  });
}

/** What the source lacks, as comments, because the rest is SQL for psql. */
function sourceText({ table, why, statements }: SourceStep): string {
  const lines = statements.flatMap((statement) => `${statement};`.split('\n')).map((line) => `--   ${line}`);
  return [`-- source: ${table}: ${why} (CQL)`, ...lines].join('\n');
}

/** A plan as SQL that can be piped into psql; what is refused stands in comments. */
function planText({ source, target, steps, refusals }: TablePlan): string {
  const lines = [`-- ${source} -> ${target}${steps.length + refusals.length === 0 ? ': nothing to do' : ''}`];
  for (const { code, message, remedy } of refusals)
    lines.push(`-- REFUSED ${code}: ${message}`, `--   remedy: ${remedy}`);
  for (const { sql, why } of steps) lines.push(`-- ${why}`, `${sql};`);
  return lines.join('\n');
}

async function run(options: SchemaOptions, apply: boolean): Promise<void> {
  const configuration = loadConfiguration({ path: options.config, env: process.env });
  const { source, plans, applied } = await planOrApply(configuration, apply);
  if (options.json === true) {
    process.stdout.write(`${JSON.stringify({ applied, tables: plans, source })}\n`);
  } else {
    process.stdout.write(`${[...source.map(sourceText), ...plans.map(planText)].join('\n\n')}\n`);
    if (applied) process.stderr.write('applied\n');
  }
  if (refusedAny(plans)) process.exitCode = EXIT.no;
}

function subcommand(name: 'plan' | 'apply', description: string): Command {
  return new Command(name)
    .description(description)
    .option('-c, --config <file>', `configuration file (default ${DEFAULT_CONFIGURATION_FILE})`)
    .option('--json', 'print one JSON document')
    .action((options: SchemaOptions) => run(options, name === 'apply'));
}

/** `lockstep schema plan|apply`: target DDL from the source's schema; heartbeats and changelog in the source. Exit 1 where something is refused. */
export function schemaCommand(): Command {
  return new Command('schema')
    .description('target tables from the schema of the source, and what Lockstep needs in the source')
    .addCommand(subcommand('plan', 'prints the SQL that brings the target to what the tables need; changes nothing'))
    .addCommand(subcommand('apply', 'executes it, if nothing of it is refused'));
}
