import pg from 'pg';
import { afterAll, beforeAll, beforeEach, describe, expect, inject, test } from 'vitest';
import { bindTable } from '../../src/catalog/bind.ts';
import { checkTarget } from '../../src/catalog/check-target.ts';
import { planDdl, type DdlPlan } from '../../src/catalog/ddl.ts';
import { declaredTable } from '../../src/catalog/declared-schema.ts';
import { tableMappingSchema } from '../../src/catalog/table-mapping.ts';
import type { Table } from '../../src/catalog/table.ts';
import { readTargetDatabase, readTargetTable, withTargetNotNull } from '../../src/catalog/target-schema.ts';

const SCHEMA = 'Catalog "test"';
const QUOTED = '"Catalog ""test"""';

let client: pg.Client;
beforeAll(async () => {
  client = new pg.Client(inject('postgresUrl'));
  await client.connect();
});
beforeEach(async () => {
  await client.query(`DROP SCHEMA IF EXISTS ${QUOTED} CASCADE`);
});
afterAll(async () => {
  await client.query(`DROP SCHEMA IF EXISTS ${QUOTED} CASCADE`);
  await client.end();
});

const COLUMNS = {
  region: 'text',
  customer: 'uuid',
  at: 'timeuuid',
  name: 'text',
  Total: 'decimal',
  tags: 'set<text>',
  payload: 'blob',
  during: 'time',
};

function tableOf(more: object = {}, schemaMore: object = {}): Table {
  const mapping = tableMappingSchema.parse({
    source: 'shop.orders',
    topic: 't',
    target: `${SCHEMA}.orders`,
    schema: {
      partitionKey: ['region', 'customer'],
      clusteringKey: ['at'],
      statics: ['name'],
      columns: COLUMNS,
      ...schemaMore,
    },
    ...more,
  });
  if (mapping.schema === null) throw new Error('declared');
  const declared = declaredTable(mapping.source, mapping.schema);
  const binding = declared.kind === 'refused' ? declared : bindTable(declared.source, mapping);
  if (binding.kind !== 'bound') throw new AggregateError(binding.errors, binding.errors.join('\n'));
  return binding.table;
}

const live = (name = 'orders') => readTargetTable(client, SCHEMA, name);

async function plan(table: Table): Promise<DdlPlan> {
  const { schemas } = await readTargetDatabase(client);
  return planDdl(table, await live(), { schemaExists: schemas.has(SCHEMA), statics: await live('orders__static') });
}

async function apply(table: Table): Promise<void> {
  const { steps, refusals } = await plan(table);
  expect(refusals).toEqual([]);
  for (const { sql } of steps) await client.query(sql);
}

async function codes(table: Table, severity?: 'error'): Promise<string[]> {
  const findings = checkTarget(table, await live(), await live('orders__static'));
  return findings.filter((finding) => severity === undefined || finding.severity === severity).map(({ code }) => code);
}

describe('a table that does not exist', () => {
  test('is created with what it needs, and then nothing is to do and nothing to find', async () => {
    const table = tableOf();
    expect((await plan(table)).steps.map(({ sql }) => sql)).toMatchInlineSnapshot(`
      [
        "CREATE SCHEMA "Catalog ""test"""",
        "CREATE TABLE "Catalog ""test"""."orders" (
        "region" text COLLATE "C" NOT NULL,
        "customer" uuid NOT NULL,
        "at" uuid NOT NULL,
        "Total" numeric,
        "tags" jsonb,
        "payload" bytea,
        "during" time without time zone,
        "_cdc_versions" bigint[] NOT NULL DEFAULT '{}',
        "_cdc_expiries" bigint[],
        "_cdc_token" bigint,
        "_cdc_order" bytea,
        PRIMARY KEY ("region", "customer", "at")
      ) WITH (fillfactor = 70)",
        "CREATE INDEX "orders_cdc_token" ON "Catalog ""test"""."orders" ("_cdc_token", "region", "customer", "at")",
        "CREATE INDEX "orders_cdc_order" ON "Catalog ""test"""."orders" ("region", "customer", "_cdc_order")",
        "CREATE TABLE "Catalog ""test"""."orders__static" (
        "region" text COLLATE "C" NOT NULL,
        "customer" uuid NOT NULL,
        "name" text,
        "_cdc_versions" bigint[] NOT NULL DEFAULT '{}',
        "_cdc_expiries" bigint[],
        "_cdc_token" bigint,
        PRIMARY KEY ("region", "customer")
      ) WITH (fillfactor = 70)",
        "CREATE INDEX "orders__static_cdc_token" ON "Catalog ""test"""."orders__static" ("_cdc_token", "region", "customer")",
      ]
    `);
    await apply(table);
    expect(await plan(table)).toEqual({ steps: [], refusals: [] });
    expect(await codes(table)).toEqual([]);
  });

  test('keeps text keys apart and in order by bytes, whatever the locale', async () => {
    await apply(tableOf());
    const { rows } = await client.query<{ name: string }>(
      `SELECT attname AS name FROM pg_attribute JOIN pg_collation l ON l.oid = attcollation
       WHERE attrelid = '${QUOTED}.orders'::regclass AND l.collname = 'C'`,
    );
    expect(rows.map(({ name }) => name)).toEqual(['region']);
  });

  test('has no _cdc_order where PostgreSQL orders the clustering key as the source does', async () => {
    await apply(tableOf({}, { clusteringKey: ['during'] }));
    expect((await live())?.columns.map(({ name }) => name)).not.toContain('_cdc_order');
  });

  test('updates every row in place: no index holds what an update changes', async () => {
    await apply(tableOf());
    const table = `${QUOTED}.orders`;
    await client.query(`ALTER TABLE ${table} SET (autovacuum_enabled = off)`);
    await client.query(
      `INSERT INTO ${table} (region, customer, at, _cdc_versions, _cdc_token) SELECT 'r', gen_random_uuid(), gen_random_uuid(), '{1,2,3}', i
       FROM generate_series(1, 2000) AS i`,
    );
    // A tenth of the rows: their new versions fit the 30 % that fillfactor leaves in each page.
    await client.query(
      `UPDATE ${table} SET "Total" = 5, _cdc_versions = '{1,2,4}', _cdc_expiries = '{NULL,5}' WHERE _cdc_token % 10 = 0`,
    );
    await client.query('SELECT pg_stat_force_next_flush()');
    const { rows } = await client.query<{ updated: number; hot: number }>(
      `SELECT n_tup_upd::integer AS updated, n_tup_hot_upd::integer AS hot FROM pg_stat_user_tables
       WHERE relid = '${table}'::regclass`,
    );
    expect(rows).toEqual([{ updated: 200, hot: 200 }]);
  });
});

describe('a table that exists', () => {
  test('gets columns and indexes added, and keeps its rows', async () => {
    await client.query(`CREATE SCHEMA ${QUOTED}`);
    await client.query(
      `CREATE TABLE ${QUOTED}.orders (region text COLLATE "C", customer uuid, at uuid, tags jsonb, mine integer DEFAULT 3,
         PRIMARY KEY (region, customer, at));
       INSERT INTO ${QUOTED}.orders VALUES ('r', gen_random_uuid(), gen_random_uuid(), '["a"]')`,
    );
    const table = tableOf();
    const { steps } = await plan(table);
    expect(steps.map(({ sql, transactional }) => [sql.split('\n')[0], transactional])).toEqual([
      [`ALTER TABLE ${QUOTED}."orders"`, true],
      [`ALTER TABLE ${QUOTED}."orders" SET (fillfactor = 70)`, true],
      [expect.stringContaining('CREATE INDEX CONCURRENTLY "orders_cdc_token"'), false],
      [expect.stringContaining('CREATE INDEX CONCURRENTLY "orders_cdc_order"'), false],
      [`CREATE TABLE ${QUOTED}."orders__static" (`, true],
      [expect.stringContaining('CREATE INDEX "orders__static_cdc_token"'), true],
    ]);
    await apply(table);
    expect(await codes(table)).toEqual([]);
    const { rows } = await client.query(`SELECT tags, _cdc_versions FROM ${QUOTED}.orders`);
    expect(rows).toEqual([{ tags: ['a'], _cdc_versions: [] }]);
  });

  test('a column added in the source is added', async () => {
    await apply(tableOf());
    const more = tableOf({}, { columns: { ...COLUMNS, note: 'text' } });
    expect(await codes(more)).toEqual(['TARGET_COLUMN_MISSING']);
    expect((await plan(more)).steps.map(({ sql }) => sql)).toEqual([
      `ALTER TABLE ${QUOTED}."orders"\n  ADD COLUMN "note" text`,
    ]);
  });

  test('an index that a failed build left invalid is built again', async () => {
    const table = tableOf();
    await apply(table);
    await client.query(
      `UPDATE pg_index SET indisvalid = false WHERE indexrelid = '${QUOTED}.orders_cdc_token'::regclass`,
    );
    expect(await codes(table)).toEqual(['TARGET_INDEX_INVALID']);
    await apply(table);
    expect(await codes(table)).toEqual([]);
  });

  const changes: [string, string, string][] = [
    ['TARGET_TYPE', `ALTER TABLE ${QUOTED}.orders ALTER tags TYPE text`, 'error'],
    ['TARGET_KEY_COLUMN_MISSING TARGET_PRIMARY_KEY', `ALTER TABLE ${QUOTED}.orders DROP at`, 'error'],
    ['TARGET_PRIMARY_KEY', `ALTER TABLE ${QUOTED}.orders DROP CONSTRAINT orders_pkey`, 'error'],
    [
      'TARGET_PRIMARY_KEY',
      `ALTER TABLE ${QUOTED}.orders DROP CONSTRAINT orders_pkey, ADD PRIMARY KEY (region, customer, at) DEFERRABLE`,
      'error',
    ],
    ['TARGET_NOT_NULL', `ALTER TABLE ${QUOTED}.orders ADD mine integer NOT NULL`, 'error'],
    ['', `ALTER TABLE ${QUOTED}.orders ADD mine integer NOT NULL DEFAULT 4`, 'error'],
    ['', `ALTER TABLE ${QUOTED}.orders ADD mine integer GENERATED ALWAYS AS IDENTITY`, 'error'],
    [
      'TARGET_GENERATED',
      `ALTER TABLE ${QUOTED}.orders DROP tags, ADD tags jsonb GENERATED ALWAYS AS ('[]'::jsonb) STORED`,
      'error',
    ],
    ['TARGET_BOOKKEEPING_TYPE', `ALTER TABLE ${QUOTED}.orders ALTER _cdc_token TYPE text`, 'error'],
    ['TARGET_COLLATION', `ALTER TABLE ${QUOTED}.orders ALTER region TYPE text COLLATE catalog_ci`, 'error'],
    ['TARGET_NOT_DURABLE', `ALTER TABLE ${QUOTED}.orders SET UNLOGGED`, 'error'],
    ['TARGET_RULES', `CREATE RULE r AS ON INSERT TO ${QUOTED}.orders DO NOTHING`, 'error'],
    ['TARGET_NOT_NULL_MAPPED', `ALTER TABLE ${QUOTED}.orders ALTER tags SET NOT NULL`, 'warning'],
    ['TARGET_UNIQUE', `CREATE UNIQUE INDEX ON ${QUOTED}.orders ("Total")`, 'warning'],
    ['TARGET_INDEX_ON_VERSIONS', `CREATE INDEX ON ${QUOTED}.orders (region) INCLUDE (_cdc_versions)`, 'warning'],
    ['TARGET_CONSTRAINTS', `ALTER TABLE ${QUOTED}.orders ADD CHECK ("Total" > 0)`, 'warning'],
    [
      'TARGET_KEY_ORDER',
      `ALTER TABLE ${QUOTED}.orders DROP CONSTRAINT orders_pkey, ADD PRIMARY KEY (at, region, customer)`,
      'warning',
    ],
    ['TARGET_FILLFACTOR', `ALTER TABLE ${QUOTED}.orders RESET (fillfactor)`, 'warning'],
    [
      'TARGET_TRIGGERS',
      `CREATE TRIGGER tr BEFORE UPDATE ON ${QUOTED}.orders FOR EACH ROW EXECUTE FUNCTION suppress_redundant_updates_trigger()`,
      'warning',
    ],
  ];
  test.each(changes)('%s is found after %s', async (expected, sql, severity) => {
    await client.query(
      "CREATE COLLATION IF NOT EXISTS catalog_ci (provider = icu, locale = 'und-u-ks-level2', deterministic = false)",
    );
    const table = tableOf();
    await apply(table);
    await client.query(sql);
    const found = checkTarget(table, await live(), await live('orders__static'));
    expect(
      found
        .map(({ code }) => code)
        .filter((code) => code !== 'TARGET_INDEX_MISSING')
        .join(' '),
    ).toBe(expected);
    for (const finding of found) expect(finding.remedy).not.toBe('');
    if (expected === '') return;
    expect(found.some((finding) => finding.severity === severity)).toBe(true);
    // What is not additive is refused, and then nothing at all is planned.
    if (severity === 'error') {
      const { steps, refusals } = await plan(table);
      expect(steps).toEqual([]);
      expect(refusals.length).toBeGreaterThan(0);
    }
  });

  test('a domain counts as its base type, with its NOT NULL', async () => {
    const table = tableOf();
    await apply(table);
    await client.query(`CREATE DOMAIN ${QUOTED}.money AS numeric NOT NULL CHECK (VALUE >= 0);
      ALTER TABLE ${QUOTED}.orders ALTER "Total" TYPE ${QUOTED}.money`);
    const target = await live();
    expect(target?.columns.find(({ name }) => name === 'Total')).toMatchObject({ type: 'numeric', notNull: true });
    if (target === null) throw new Error('missing');
    expect(
      withTargetNotNull(table, target)
        .regular.filter(({ notNull }) => notNull)
        .map(({ name }) => name),
    ).toEqual(['Total']);
    expect(await codes(table, 'error')).toEqual([]);
  });

  test('a view and a missing table are told apart', async () => {
    const table = tableOf();
    expect(await codes(table)).toEqual(['TARGET_MISSING', 'TARGET_MISSING']);
    await client.query(`CREATE SCHEMA ${QUOTED}; CREATE VIEW ${QUOTED}.orders AS SELECT 1 AS region`);
    expect(await codes(table)).toEqual(['TARGET_NOT_A_TABLE', 'TARGET_MISSING']);
  });

  test('a user without privileges is told which', async () => {
    const table = tableOf();
    await apply(table);
    await client.query(`DROP ROLE IF EXISTS catalog_reader; CREATE ROLE catalog_reader;
      GRANT USAGE ON SCHEMA ${QUOTED} TO catalog_reader; GRANT SELECT, INSERT ON ${QUOTED}.orders TO catalog_reader`);
    await client.query('SET ROLE catalog_reader');
    const target = await live();
    await client.query('RESET ROLE');
    await client.query(`DROP OWNED BY catalog_reader; DROP ROLE catalog_reader`);
    expect(target?.missingPrivileges).toEqual(['UPDATE', 'DELETE']);
  });
});
