import { describe, expect, it } from 'vitest';
import { parseConfiguration } from '../../config/index.ts';
import { HEARTBEAT_COLUMNS } from '../../source/heartbeat-table.ts';
import { runChecks, type Check } from './check.ts';
import { heartbeatChecks, type HeartbeatTableFacts } from './heartbeat-checks.ts';
import type { Row } from './postgres-checks.ts';

const configured = (heartbeats: string) =>
  parseConfiguration(
    `
source: { cassandra: {} }
tables: [{ source: shop.orders, topic: cass1.shop.orders, target: public.orders }]
reconciliation: { heartbeats: ${heartbeats} }`,
    'f.yaml',
    {},
  );

const well: HeartbeatTableFacts = {
  columns: new Map(Object.entries(HEARTBEAT_COLUMNS)),
  cdc: true,
  replicas: 1,
  nodes: [
    { node: '10.0.0.1:9042', key: '0' },
    { node: '10.0.0.2:9042', key: '3' },
  ],
};

async function check(
  facts: HeartbeatTableFacts | null,
  ages: Readonly<Record<string, number>>,
  heartbeats = '{ topic: t }',
) {
  const before: Check[] = ['configuration', 'cassandra.reachable', 'postgres.reachable'].map((id) => ({
    id,
    needs: [],
    run: () => Promise.resolve([]),
  }));
  const query = (sql: string): Promise<readonly Row[]> =>
    Promise.resolve(
      sql.includes('to_regclass')
        ? [{ name: 'public.lockstep_heartbeats' }]
        : Object.entries(ages).map(([key, age]) => ({ range_key: key, age: String(age) })),
    );
  const checks = heartbeatChecks(
    () => configured(heartbeats),
    () => ({ heartbeats: () => Promise.resolve(facts) }),
    () => ({ connect: () => Promise.resolve(), query, close: () => Promise.resolve() }),
  );
  return (await runChecks([...before, ...checks])).map(({ id, status, subject }) => [id, status, subject]);
}

describe('heartbeats', () => {
  it('are well with a partition for each node, all heard', async () => {
    expect(await check(well, { 0: 4, 3: 20 })).toEqual([
      ['cassandra.heartbeats', 'ok', 'lockstep.heartbeat'],
      ['capture.heartbeats', 'ok', '10.0.0.1:9042'],
      ['capture.heartbeats', 'ok', '10.0.0.2:9042'],
    ]);
  });

  it('name the node that is not heard, or not any more', async () => {
    expect(await check(well, { 3: 600 })).toEqual([
      ['cassandra.heartbeats', 'ok', 'lockstep.heartbeat'],
      ['capture.heartbeats', 'warn', '10.0.0.1:9042'],
      ['capture.heartbeats', 'warn', '10.0.0.2:9042'],
    ]);
  });

  it.each<[string, HeartbeatTableFacts | null]>([
    ['no table', null],
    ['a table that is not captured', { ...well, cdc: false }],
    ['several replicas, of which any agent may bring the row', { ...well, replicas: 3 }],
    ['another table of that name', { ...well, columns: new Map([['id', 'int']]) }],
    ['a node without a partition', { ...well, nodes: [{ node: '10.0.0.1:9042', key: null }] }],
  ])('are at fault with %s', async (_, facts) => {
    expect(await check(facts, { 0: 1, 3: 1 })).toContainEqual(['cassandra.heartbeats', 'fault', 'lockstep.heartbeat']);
  });

  it('are skipped where none are configured', async () => {
    expect((await check(null, {}, 'null')).map(([, status]) => status)).toEqual(['skipped', 'skipped']);
  });
});
