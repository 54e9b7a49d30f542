import { Command } from 'commander';
import pg from 'pg';
import { STATIC_SUFFIX } from '../../catalog/bind.ts';
import { checkDatabase } from '../../catalog/check-target.ts';
import { planDdl, type DdlPlan } from '../../catalog/ddl.ts';
import type { Table } from '../../catalog/table.ts';
import { readTargetDatabase, readTargetTable } from '../../catalog/target-schema.ts';
import { DEFAULT_CONFIGURATION_FILE, loadConfiguration, type Configuration } from '../../config/index.ts';
import { APPLY_LOCK, executeDdl } from '../../operate/target-ddl.ts';
import { resolveTables, togetherAsConfigError } from '../../operate/source-tables.ts';
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

/** The configured tables, bound; the source is only asked where a table does not declare its schema. */
async function boundTables(configuration: Configuration): Promise<readonly Table[]> {
  const settings = configuration.source.cassandra;
  const asks = settings !== null && configuration.tables.some((mapping) => mapping.schema === null);
  const client = asks ? await connectCassandra(settings, { attempts: CONNECT_ATTEMPTS }) : null;
  try {
    const read = client === null ? null : (keyspace: string) => readSchema(client, keyspace);
    const { resolved, errors } = await resolveTables(configuration.tables, read);
    if (errors.length > 0) throw togetherAsConfigError(errors);
    return resolved.map(({ table }) => table);
  } finally {
    await client?.shutdown();
  }
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

/** Plans, and applies where nothing is refused: all tables or none. */
async function planOrApply(
  configuration: Configuration,
  apply: boolean,
): Promise<{ readonly plans: readonly TablePlan[]; readonly applied: boolean }> {
  const tables = await boundTables(configuration);
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
    if (!apply || refusedAny(plans)) return { plans, applied: false };
    for (const { steps } of plans) await executeDdl(client, steps);
    return { plans, applied: true };
  } catch (error) {
    throw classifyPostgresError(error, apply ? 'applying the schema' : 'reading the target schema');
  } finally {
    await client.end().catch(() => undefined);
  }
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
  const { plans, applied } = await planOrApply(configuration, apply);
  if (options.json === true) {
    process.stdout.write(`${JSON.stringify({ applied, tables: plans })}\n`);
  } else {
    process.stdout.write(`${plans.map(planText).join('\n\n')}\n`);
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

/** `lockstep schema plan|apply`: target DDL from the source's schema. Exit 1 where something is refused. */
export function schemaCommand(): Command {
  return new Command('schema')
    .description('target tables from the schema of the source')
    .addCommand(subcommand('plan', 'prints the SQL that brings the target to what the tables need; changes nothing'))
    .addCommand(subcommand('apply', 'executes it, if nothing of it is refused'));
}
