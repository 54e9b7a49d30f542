import pg from 'pg';
import { maskUrl, type Configuration } from '../../config/index.ts';
import { messageOf } from '../../shared/errors.ts';
import { jobSchemaOf } from '../jobs/job-queue.ts';
import { fault, ok, skipped, warn, type Check, type Finding } from './check.ts';

/** One row of an answer; every value as text. */
export type Row = Readonly<Record<string, string | null>>;

/** What the checks ask of PostgreSQL; tests answer without one. */
export interface PostgresProbe {
  connect(): Promise<void>;
  query(sql: string, parameters?: readonly string[]): Promise<readonly Row[]>;
  close(): Promise<void>;
}

const CONNECT_TIMEOUT_MS = 8_000;
const STATEMENT_TIMEOUT_MS = 8_000;

/** Oldest PostgreSQL that is tested; older ones end their support before this. */
const OLDEST_VERSION = 14;

/** The probe behind which a real PostgreSQL is: one connection, values as text. */
export function createPostgresProbe(url: string): PostgresProbe {
  const client = new pg.Client({
    connectionString: url,
    application_name: 'lockstep doctor',
    connectionTimeoutMillis: CONNECT_TIMEOUT_MS,
    statement_timeout: STATEMENT_TIMEOUT_MS,
    types: { getTypeParser: () => (value: string) => value } as unknown as pg.CustomTypesConfig,
  });
  let lost: Error | null = null;
  // Checks run beside one another and the connection is one: queries take turns.
  let last: Promise<unknown> = Promise.resolve();
  client.on('error', (error) => {
    lost = error;
  });
  return {
    connect: async () => {
      await client.connect();
    },
    query(sql, parameters = []) {
      const turn = last.then(async () => {
        if (lost !== null) throw lost;
        return (await client.query<Row>(sql, [...parameters])).rows;
      });
      last = turn.catch(() => undefined);
      return turn;
    },
    close: () => client.end(),
  };
}

/** Schema and name of `schema.table`; a bare name is in `public`. */
export function splitTarget(target: string): readonly [schema: string, table: string] {
  const dot = target.indexOf('.');
  return dot < 0 ? ['public', target] : [target.slice(0, dot), target.slice(dot + 1)];
}

const SETTINGS_SQL = `
  SELECT current_setting('server_version_num') AS version_number, current_setting('server_version') AS version,
         current_setting('server_encoding') AS encoding, current_setting('fsync') AS fsync,
         current_setting('full_page_writes') AS full_page_writes,
         current_setting('synchronous_commit') AS synchronous_commit,
         pg_is_in_recovery() AS standby, current_user AS role, current_database() AS database`;

const SCHEMA_SQL = `
  SELECT n.nspname IS NOT NULL AS present,
         has_database_privilege(current_database(), 'CREATE') AS may_create_schema,
         coalesce(has_schema_privilege(n.oid, 'USAGE'), false) AS usage,
         coalesce(has_schema_privilege(n.oid, 'CREATE'), false) AS may_create
  FROM (SELECT $1::text AS wanted) w LEFT JOIN pg_namespace n ON n.nspname = w.wanted`;

const TABLE_SQL = `
  SELECT c.relkind AS kind, has_schema_privilege(n.oid, 'USAGE') AS usage,
         has_table_privilege(c.oid, 'SELECT') AS "SELECT", has_table_privilege(c.oid, 'INSERT') AS "INSERT",
         has_table_privilege(c.oid, 'UPDATE') AS "UPDATE", has_table_privilege(c.oid, 'DELETE') AS "DELETE"
  FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
  WHERE n.nspname = $1 AND c.relname = $2 AND c.relkind IN ('r', 'p', 'v', 'm', 'f')`;

const isTrue = (value: string | null | undefined) => value === 't' || value === 'true' || value === 'on';

function settingsFindings(row: Row): readonly Finding[] {
  const findings: Finding[] = [];
  const major = Math.floor(Number(row['version_number']) / 10_000);
  if (major < OLDEST_VERSION) {
    findings.push(
      warn(`version ${row['version']} is older than any that is tested`, `Use PostgreSQL ${OLDEST_VERSION} or newer.`),
    );
  }
  if (isTrue(row['standby'])) {
    findings.push(fault('the server is a standby and takes no writes', 'Point target.postgres.url at the primary.'));
  }
  if (row['encoding'] !== 'UTF8') {
    findings.push(
      fault(
        `the database's encoding is ${row['encoding']}: not every text of the source can be stored`,
        'Create the database with ENCODING UTF8.',
      ),
    );
  }
  for (const name of ['fsync', 'full_page_writes'] as const) {
    if (isTrue(row[name])) continue;
    findings.push(
      warn(
        `${name} is off: a crash of the server can damage rows and positions`,
        `Set ${name} = on in postgresql.conf.`,
      ),
    );
  }
  if (row['synchronous_commit'] === 'off') {
    findings.push(
      warn(
        'synchronous_commit is off by default here: other sessions may lose what they committed',
        'Set synchronous_commit = on for this role or database.',
      ),
    );
  }
  const summary = `encoding ${row['encoding']}, fsync ${row['fsync']}, synchronous_commit ${row['synchronous_commit']}`;
  return findings.length === 0 ? [ok(summary)] : findings;
}

function schemaFinding(schema: string, row: Row | undefined, role: string): Finding {
  if (row === undefined || !isTrue(row['present'])) {
    return isTrue(row?.['may_create_schema'])
      ? ok('does not exist yet; lockstep run creates it', schema)
      : fault(
          'does not exist, and this role may not create it',
          `CREATE SCHEMA "${schema}" AUTHORIZATION "${role}";`,
          schema,
        );
  }
  const lacking = [isTrue(row['usage']) ? '' : 'USAGE', isTrue(row['may_create']) ? '' : 'CREATE'].filter(Boolean);
  return lacking.length === 0
    ? ok(`${role} may use it and create in it`, schema)
    : fault(
        `${role} lacks ${lacking.join(', ')}`,
        `GRANT ${lacking.join(', ')} ON SCHEMA "${schema}" TO "${role}";`,
        schema,
      );
}

/** pg-boss creates its schema and tables, and upgrades them with a newer version of Lockstep. */
const JOB_TABLES_SQL = `
  SELECT c.relname AS name, pg_has_role(c.relowner, 'USAGE') AS owned
  FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
  WHERE n.nspname = $1 AND c.relkind IN ('r', 'p') ORDER BY c.relname`;

/** What the job queue needs. Without it the stream goes on, and nothing is compared. */
async function jobSchemaFinding(schema: string, probe: PostgresProbe, role: string): Promise<Finding> {
  const [row] = await probe.query(SCHEMA_SQL, [schema]);
  const found = schemaFinding(schema, row, role);
  if (found.status === 'fault') {
    const remedy = isTrue(row?.['present']) ? found.remedy : `CREATE SCHEMA "${schema}" AUTHORIZATION "${role}";`;
    return fault(`the job queue can not work, so no comparison runs: ${found.found}`, remedy ?? '', schema);
  }
  if (!isTrue(row?.['present']))
    return ok('the job queue’s schema does not exist yet; lockstep run creates it', schema);
  const tables = await probe.query(JOB_TABLES_SQL, [schema]);
  const strange = tables.filter(({ owned }) => !isTrue(owned)).map(({ name }) => name);
  if (strange.length > 0) {
    return fault(
      `the job queue can not work, so no comparison runs: ${role} does not own ${strange.slice(0, 3).join(', ')}`,
      `Let one role own them (REASSIGN OWNED), or DROP SCHEMA "${schema}" CASCADE: lockstep run makes it anew, and runs that were under way are begun again.`,
      schema,
    );
  }
  return ok(
    tables.length === 0
      ? `${role} may create the job queue’s tables in it`
      : `${role} owns the job queue’s ${tables.length} tables`,
    schema,
  );
}

function tableFinding(target: string, row: Row | undefined, role: string): Finding {
  const [schema, table] = splitTarget(target);
  if (row === undefined) {
    return fault('does not exist', 'Run lockstep schema apply, or correct tables[].target.', target);
  }
  if (row['kind'] !== 'r' && row['kind'] !== 'p') {
    return fault('is a view or a foreign table, not a table', 'Name an ordinary table in tables[].target.', target);
  }
  if (!isTrue(row['usage'])) {
    return fault(`${role} lacks USAGE on its schema`, `GRANT USAGE ON SCHEMA "${schema}" TO "${role}";`, target);
  }
  const lacking = ['SELECT', 'INSERT', 'UPDATE', 'DELETE'].filter((privilege) => !isTrue(row[privilege]));
  return lacking.length === 0
    ? ok(`${role} may read and write it`, target)
    : fault(
        `${role} lacks ${lacking.join(', ')}`,
        `GRANT ${lacking.join(', ')} ON "${schema}"."${table}" TO "${role}";`,
        target,
      );
}

/** PostgreSQL: reachable, settings that keep what was committed, privileges, control tables. */
export function postgresChecks(configuration: () => Configuration, probe: () => PostgresProbe): readonly Check[] {
  const settings = async (): Promise<Row> => (await probe().query(SETTINGS_SQL))[0] ?? {};
  const roleOf = async () => (await settings())['role'] ?? 'the role';
  return [
    {
      id: 'postgres.reachable',
      needs: ['configuration'],
      async run() {
        const url = maskUrl(configuration().target.postgres.url);
        try {
          await probe().connect();
          const { version, role, database } = await settings();
          return [ok(`version ${version}, database ${database}, role ${role}`, url)];
        } catch (error) {
          const remedy = 'Start PostgreSQL or correct target.postgres.url (host, port, database, user, password, TLS).';
          return [fault(`PostgreSQL can not be reached: ${messageOf(error)}`, remedy, url)];
        }
      },
    },
    {
      id: 'postgres.settings',
      needs: ['postgres.reachable'],
      run: async () => settingsFindings(await settings()),
    },
    {
      id: 'postgres.control_schema',
      needs: ['postgres.reachable'],
      async run() {
        const schema = configuration().target.postgres.controlSchema;
        return [schemaFinding(schema, (await probe().query(SCHEMA_SQL, [schema]))[0], await roleOf())];
      },
    },
    {
      id: 'postgres.job_schema',
      needs: ['postgres.reachable'],
      async run() {
        const { source, target } = configuration();
        if (source.cassandra === null) return [skipped('there is no source, so nothing is compared')];
        return [await jobSchemaFinding(jobSchemaOf(target.postgres.controlSchema), probe(), await roleOf())];
      },
    },
    {
      id: 'postgres.migrations',
      needs: ['postgres.control_schema'],
      async run() {
        const schema = configuration().target.postgres.controlSchema;
        const journal = await probe().query(
          `SELECT to_regclass(format('%I.%I', $1::text, '_cdc_migrations')) AS name`,
          [schema],
        );
        if ((journal[0]?.['name'] ?? null) === null) return [ok('not migrated yet; lockstep run does it', schema)];
        const quoted = schema.replaceAll('"', '""');
        const applied = await probe().query(`SELECT name FROM "${quoted}"._cdc_migrations ORDER BY id`);
        return [ok(`${applied.length} applied, newest ${applied.at(-1)?.['name'] ?? 'none'}`, schema)];
      },
    },
    {
      id: 'postgres.privileges',
      needs: ['postgres.reachable'],
      async run() {
        const role = await roleOf();
        const findings: Finding[] = [];
        for (const { target } of configuration().tables) {
          findings.push(tableFinding(target, (await probe().query(TABLE_SQL, splitTarget(target)))[0], role));
        }
        return findings;
      },
    },
  ];
}
