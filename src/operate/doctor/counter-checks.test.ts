import { expect, it } from 'vitest';
import { COUNTER_TABLE } from '../../catalog/declared-schema.ts';
import type { SourceTable } from '../../catalog/source-table.ts';
import { parseConfiguration } from '../../config/index.ts';
import { runChecks, type Check } from './check.ts';
import { counterChecks } from './counter-checks.ts';
import type { Row } from './postgres-checks.ts';

const scalar = (name: 'text' | 'counter') => ({ kind: 'scalar', name }) as const;
const VISITS: SourceTable = {
  keyspace: 'shop',
  name: 'visits',
  id: null,
  columns: [
    { name: 'page', kind: 'partition', position: 0, descending: false, type: scalar('text'), typeText: 'text' },
    { name: 'seen', kind: 'regular', position: 0, descending: false, type: scalar('counter'), typeText: 'counter' },
  ],
  droppedColumns: [],
  defaultTtlSeconds: 0,
  cdc: false,
  unsupported: COUNTER_TABLE,
};

async function found(tables: readonly SourceTable[], columns: readonly Row[], counters = true): Promise<string[]> {
  const configuration = parseConfiguration(
    `
source: { cassandra: {} }
tables: [{ source: shop.orders, topic: cass1.shop.orders, target: public.orders }]
reconciliation: { counters: [${counters ? '{ source: shop.visits, target: public.visits }' : ''}] }`,
    'f.yaml',
    {},
  );
  const there = ['cassandra.reachable', 'postgres.reachable'].map((id): Check => ({
    id,
    needs: [],
    run: () => Promise.resolve([]),
  }));
  const postgres = {
    connect: () => Promise.resolve(),
    query: () => Promise.resolve(columns),
    close: () => Promise.resolve(),
  };
  const checks = counterChecks(
    () => configuration,
    () => ({ readKeyspace: () => Promise.resolve(tables) }),
    () => postgres,
  );
  return (await runChecks([...there, ...checks])).map(({ status, found: what }) => `${status}: ${what}`);
}

const columns = (...names: string[]): readonly Row[] => names.map((name) => ({ name, readable: 't' }));

it('says of a copy that can be compared that nobody repairs it', async () => {
  expect(await found([VISITS], columns('page', 'seen', 'more'))).toEqual([
    'ok: is compared with public.visits by its key',
    expect.stringMatching(/^warn: .*never repaired/),
  ]);
});

it.each<[string, readonly SourceTable[], readonly Row[], RegExp]>([
  ['a table that the source does not have', [], columns('page', 'seen'), /fault: the source has no such table/],
  [
    'a table that holds no counters',
    [{ ...VISITS, unsupported: null }],
    columns('page', 'seen'),
    /fault: .*no table of counters/,
  ],
  ['a copy that is not there', [VISITS], [], /fault: its copy public.visits does not exist/],
  ['a copy without a column', [VISITS], columns('page'), /fault: its copy public.visits lacks seen/],
  ['a copy that may not be read', [VISITS], [{ name: 'page', readable: 'f' }], /fault: this role may not read/],
])('refuses %s', async (_, tables, rows, expected) => {
  expect(await found(tables, rows)).toEqual([expect.stringMatching(expected)]);
});

it('is skipped where there are none', async () => {
  expect(await found([VISITS], [], false)).toEqual(['skipped: no copies of counters are configured']);
});
