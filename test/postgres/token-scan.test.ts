import type { PoolClient } from 'pg';
import { afterAll, beforeAll, beforeEach, describe, expect, inject, it } from 'vitest';
import { rowKey, type ChangeEvent } from '../../src/change/change-event.ts';
import { UNKNOWN_MARKER } from '../../src/change/row-state.ts';
import { splitRing, WHOLE_RING, type TokenRange } from '../../src/change/token-range.ts';
import { copyRows, place } from '../../src/target/scan/copied-rows.ts';
import { TokenScan, type TargetRow } from '../../src/target/scan/token-scan.ts';
import { withClient } from '../../src/target/transaction.ts';
import { column, openDoorRig, scalar, tableOf, type DoorRig } from '../support/door-rig.ts';

const table = tableOf('token_scan', [
  column('id', 'partition', scalar('int'), 'integer'),
  column('at', 'clustering', scalar('timestamp'), 'timestamp with time zone', { descending: true }),
  column('name', 'clustering', scalar('text'), 'text'),
  column('v', 'regular', scalar('text'), 'text'),
  column('n', 'regular', scalar('int'), 'integer'),
]);
const SIGNAL = new AbortController().signal;
const PARTITIONS = 40;
const ROWS = 13;

let rig: DoorRig;
beforeAll(async () => {
  rig = await openDoorRig(inject('postgresUrl'), [table], { schema: 'token_scan_control' });
});
afterAll(() => rig.close());
beforeEach(async () => {
  await rig.pool.query('TRUNCATE token_scan');
});

function write(id: number, n: number): ChangeEvent {
  const writeTime = BigInt(n + 1);
  return {
    kind: 'write',
    table: table.name,
    key: rowKey([String(id), `2026-01-01T00:00:0${n % 7}.000Z`, `"k,${n}\\`]),
    writeTime,
    ambiguity: null,
    marker: { writeTime, expiry: null },
    cells: [
      { writeTime, value: `v${n}`, expiry: null },
      { writeTime, value: String(n), expiry: n % 2 === 0 ? 2_000_000_000_000_000n : null },
    ],
  };
}

async function fill(): Promise<readonly ChangeEvent[]> {
  const changes = Array.from({ length: PARTITIONS * ROWS }, (_, i) =>
    write(i % PARTITIONS, Math.floor(i / PARTITIONS)),
  );
  await rig.apply(table, 0, changes);
  return changes;
}

function scan(pageRows: number): TokenScan {
  return new TokenScan(rig.pool, rig.target.tables[0]!, pageRows);
}

async function rowsOf(pages: AsyncIterable<readonly TargetRow[]>): Promise<TargetRow[]> {
  const rows: TargetRow[] = [];
  // Rows are read when somebody looks at them: here all of each is.
  for await (const page of pages) {
    for (const { token, key, state, values } of page) rows.push({ token, key, state, values });
  }
  return rows;
}

describe('the scan of the target', () => {
  it('gives every row once, with its token, values, write times and expiries, whatever the size of a page', async () => {
    const changes = await fill();
    const keys = new Set(changes.map((change) => (change.kind === 'write' ? change.key.text : '')));
    for (const pageRows of [1, 7, ROWS, 10_000]) {
      const rows = await rowsOf(scan(pageRows).range(WHOLE_RING, SIGNAL));
      expect(new Set(rows.map(({ key }) => key.text))).toEqual(keys);
      expect(rows).toHaveLength(keys.size);
      for (const { token, key } of rows) expect(token).toBe(rig.target.tables[0]!.tokenOf(key.values));
      const tokens = rows.map(({ token }) => token!);
      expect(tokens).toEqual([...tokens].sort((a, b) => (a < b ? -1 : a > b ? 1 : 0)));
    }
    const [row] = await rowsOf(scan(10).range(WHOLE_RING, SIGNAL));
    const n = Number(row!.values[1]);
    expect(row!.state).toMatchObject({
      marker: { writeTime: BigInt(n + 1), expiry: null },
      cells: [
        { value: `v${n}`, writeTime: BigInt(n + 1), expiry: null },
        { value: String(n), writeTime: BigInt(n + 1), expiry: n % 2 === 0 ? 2_000_000_000_000_000n : null },
      ],
    });
  });

  it('leaves out the bookkeeping of rows in which nothing expires, where only what shows is asked for', async () => {
    const bound = rig.target.tables[0]!;
    await fill();
    // As a row that was read from the source has it, and as one has it whose marker expires.
    const unknown = `array_fill(NULL::bigint, ARRAY[${bound.slots}])`;
    await rig.pool.query(`UPDATE token_scan SET _cdc_expiries = ${unknown} WHERE id % 4 = 1 AND _cdc_expiries IS NULL`);
    await rig.pool.query(`UPDATE token_scan SET _cdc_expiries[1] = ${UNKNOWN_MARKER} WHERE id % 4 = 1 AND n % 2 = 1`);
    await rig.pool.query(`UPDATE token_scan SET _cdc_expiries[1] = 2000000000000000 WHERE id % 4 = 3 AND n % 2 = 1`);
    const [all, shown] = [
      await rowsOf(scan(7).range(WHOLE_RING, SIGNAL)),
      await rowsOf(scan(7).range(WHOLE_RING, SIGNAL, 'where something expires')),
    ];
    expect(shown.map(({ state: _state, ...rest }) => rest)).toEqual(all.map(({ state: _state, ...rest }) => rest));
    let empty = 0;
    for (const [i, { state }] of shown.entries()) {
      const whole = all[i]!.state;
      const expires = [whole.marker, ...whole.cells].some(
        (entry) => entry !== null && entry.expiry !== null && entry.expiry !== UNKNOWN_MARKER,
      );
      if (!expires) empty += 1;
      expect(state).toEqual(expires ? whole : { ...whole, marker: null, cells: [null, null] });
    }
    expect(empty).toBeGreaterThan(50);
    expect(empty).toBeLessThan(PARTITIONS * ROWS - 50);
  });

  it('by ranges gives what the whole ring gives', async () => {
    await fill();
    const whole = await rowsOf(scan(50).range(WHOLE_RING, SIGNAL));
    const parts: TargetRow[] = [];
    for (const range of splitRing(9)) parts.push(...(await rowsOf(scan(5).range(range, SIGNAL))));
    expect(parts).toEqual(whole);
    // A bound is the token of a partition: it belongs to the range that ends there.
    const token = whole[100]!.token!;
    const halves: TokenRange[] = [
      { ...WHOLE_RING, upTo: token },
      { ...WHOLE_RING, after: token },
    ];
    const [left, right] = [
      await rowsOf(scan(5).range(halves[0]!, SIGNAL)),
      await rowsOf(scan(5).range(halves[1]!, SIGNAL)),
    ];
    expect([...left, ...right]).toEqual(whole);
    expect(left.at(-1)?.token).toBe(token);
  });

  it('finds rows that were inserted past the door, and what they show though no change wrote it', async () => {
    await fill();
    await rig.pool.query(
      `INSERT INTO token_scan (id, at, name, v) SELECT 1, '2026-02-01', 'rogue' || i, 'x' FROM generate_series(1, 5) AS i`,
    );
    const rows = await rowsOf(scan(2).tokenless(SIGNAL));
    expect(rows.map(({ key }) => key.values[2])).toEqual(['rogue1', 'rogue2', 'rogue3', 'rogue4', 'rogue5']);
    expect(rows[0]).toMatchObject({ token: null, values: ['x', null], state: { marker: null, cells: [null, null] } });
    expect(await rowsOf(scan(100).range(WHOLE_RING, SIGNAL))).toHaveLength(PARTITIONS * ROWS);
  });

  it('by keys finds those that are there', async () => {
    const changes = await fill();
    const keys = changes.slice(0, 30).map((change) => (change.kind === 'write' ? change.key : rowKey([])));
    const absent = rowKey(['1', '2027-01-01T00:00:00.000Z', 'no']);
    const rows = await scan(10).byKeys([...keys, absent]);
    expect(new Set(rows.map(({ key }) => key.text))).toEqual(new Set(keys.map(({ text }) => text)));
  });

  it('walks the index that schema apply makes, from within a partition too', async () => {
    await fill();
    await rig.pool.query('CREATE INDEX token_scan_cdc_token ON token_scan (_cdc_token, id, at, name)');
    await rig.pool.query('ANALYZE token_scan');
    expect(await scan(10).estimatedRows()).toBe(PARTITIONS * ROWS);
    const { rows } = await rig.pool.query<Record<string, string>>(
      `EXPLAIN SELECT t.id FROM token_scan AS t
       WHERE (t._cdc_token, t.id, t.at, t.name) > (1, 1, now(), 'x') AND t._cdc_token <= 9223372036854775807
       ORDER BY t._cdc_token, t.id, t.at, t.name LIMIT 5`,
    );
    const plan = rows.map((row) => row['QUERY PLAN']).join('\n');
    expect(plan).toMatch(/Index.*token_scan_cdc_token/);
    expect(plan).not.toContain('Sort');
  });
});

it('asks for pages by what rows weigh, and again where one is too large', async () => {
  const changes = await fill();
  const pages: number[] = [];
  const small = new TokenScan(rig.pool, rig.target.tables[0]!, 10_000, 2_000);
  const rows = await rowsOf(
    (async function* () {
      for await (const page of small.range(WHOLE_RING, SIGNAL)) {
        pages.push(page.length);
        yield page;
      }
    })(),
  );
  expect(new Set(rows.map(({ key }) => key.text)).size).toBe(changes.length);
  expect(rows).toHaveLength(changes.length);
  // The first that is asked for, of 512 rows, weighs more than sixteen times as much as it may.
  expect(pages[0]).toBe(32);
  expect(Math.max(...pages)).toBeLessThanOrEqual(32);
  expect(pages.length).toBeGreaterThan(changes.length / 32);
  // By their keys they weigh as much, and are asked for in parts.
  const byKeys = await small.byKeys(rows.map(({ key }) => key));
  expect(new Set(byKeys.map(({ key }) => key.text)).size).toBe(changes.length);
});

describe('a copy of what a query answers with', () => {
  const MOST = 1_000_000;
  const copy = (client: PoolClient, select: string, values: readonly string[] = [], most = MOST) =>
    copyRows(client, { select, values, width: 1 }, most);

  it('takes its values from outside of its text, whatever they are', async () => {
    const values = [`a'b\\\n"`, '-9223372036854775808', '{"x,y","\\\\","NULL"}'];
    const select = `SELECT ${place(1, 'text')} || ${place(2, 'bigint')} || ${place(3, 'text[]')}::text`;
    const copied = await withClient(rig.pool, (client) => copy(client, select, values));
    expect(copied?.texts(0)).toEqual([values[0]! + values[1]! + '{"x,y","\\\\","NULL"}']);
  });

  it('is none where it weighs too much, and its connection goes on', async () => {
    await withClient(rig.pool, async (client) => {
      const wide = `SELECT repeat('x', 1000) FROM generate_series(1, 100)`;
      expect(await copy(client, wide, [], 50_000)).toBeNull();
      expect(await copy(client, wide)).toHaveLength(100);
      expect(await copy(client, `SELECT repeat('x', 1000)`, [], 10)).toHaveLength(1);
    });
  });

  it('has the same texts, of every kind of type', async () => {
    const select = `SELECT n::text, n % 2 = 0 AS b, n::char(5) AS c, n / 7.0 AS d, n::float8 / 3 AS f, decode('00095c0a', 'hex') AS h,
        jsonb_build_object('k', E'a\\t"\\\\\\n' || n) AS j, ARRAY[n::text, NULL, 'a,"\\'] AS a, to_timestamp(n) AS t,
        CASE WHEN n % 3 = 0 THEN NULL WHEN n % 3 = 1 THEN '\\N' ELSE E'\\b\\f\\r\\v\\t\\n\\\\' END AS e
      FROM generate_series(1, 50) AS n`;
    const { rows } = await rig.pool.query<(string | null)[]>({ text: select, rowMode: 'array' });
    const copied = await withClient(rig.pool, (client) => copyRows(client, { select, values: [], width: 10 }, MOST));
    expect(rows.map((_, i) => copied?.texts(i))).toEqual(rows);
    expect(copied).toHaveLength(50);
  });

  it('fails as a whole where it fails half-way, and its connection goes on', async () => {
    await withClient(rig.pool, async (client) => {
      const failing = copy(client, 'SELECT 1 / (900 - n) FROM generate_series(1, 1000) AS n');
      await expect(failing).rejects.toMatchObject({ code: '22012' });
      expect((await copy(client, `SELECT 'well'`))?.texts(0)).toEqual(['well']);
      expect((await client.query<{ n: string }>('SELECT 1 AS n')).rows).toEqual([{ n: '1' }]);
    });
  });

  it('is refused where its connection dies on the way', async () => {
    await withClient(rig.pool, async (client) => {
      const { rows } = await client.query<{ pid: string }>('SELECT pg_backend_pid() AS pid');
      const slow = copy(client, `SELECT n || pg_sleep(0.01)::text FROM generate_series(1, 1000) AS n`);
      await rig.pool.query('SELECT pg_terminate_backend($1::integer)', [rows[0]?.pid]);
      await expect(slow).rejects.toThrow();
      throw new Error('what is dead is not given back');
    }).catch((error: unknown) => {
      expect(error).toMatchObject({ message: 'what is dead is not given back' });
    });
  });
});
