import { inspect } from 'node:util';
import { describe, expect, it } from 'vitest';
import { SHOP_KEYS, type ShopTable } from '../../src/demo/shop/schema.ts';
import { seededRandom, shuffled } from '../../src/demo/workload/random.ts';
import { shopWorkload } from '../../src/demo/workload/workload.ts';
import { SHORT_TTL_SECONDS, type Write } from '../../src/demo/workload/write.ts';

const NOW_US = 1_795_000_000_000_000n;

function writes(seed: number, count: number): Write[] {
  const next = shopWorkload({ random: seededRandom(seed), nowUs: () => NOW_US });
  return Array.from({ length: count }, next);
}

const all = writes(1, 5_000);
const statements = all.flatMap((write) => write.statements);

describe('the workload', () => {
  it('is the same for one seed and another for another', () => {
    const shown = (seed: number): string => inspect(writes(seed, 200), { depth: 6 });
    expect(shown(5)).toBe(shown(5));
    expect(shown(5)).not.toBe(shown(6));
  });

  it('has every operation in it', () => {
    for (const kind of [/^INSERT INTO shop\.(\w+)/, /^UPDATE shop\.(\w+)/, /^DELETE FROM shop\.(\w+)/]) {
      const tables = new Set(statements.flatMap(({ cql }) => kind.exec(cql)?.[1] ?? []));
      expect(tables).toEqual(new Set(['orders', 'sessions', 'products', 'customers']));
    }
    expect(statements.some(({ cql }) => cql.includes('TTL ?'))).toBe(true);
    expect(statements.some(({ cql }) => cql.includes('TIMESTAMP ?'))).toBe(true);
    expect(statements.some(({ cql }) => cql.includes('placed_at >= ? AND placed_at < ?'))).toBe(true);
    expect(all.some((write) => write.statements.length > 1)).toBe(true);
    const kinds = new Set(statements.map(({ change }) => change.kind));
    expect(kinds).toEqual(new Set(['write', 'row-delete', 'partition-delete', 'range-delete']));
    expect(statements.some(({ params }) => params.includes(null))).toBe(true);
  });

  it('never touches a row twice in a batch', () => {
    for (const write of all) {
      if (write.statements.length === 1) continue;
      for (const own of Map.groupBy(write.statements, ({ change }) => change.table).values()) {
        // A range or a partition is many rows.
        if (own.length > 1) expect(own.filter(({ change: { kind } }) => /range|partition/.test(kind))).toEqual([]);
        expect(new Set(own.map(({ change }) => inspect(change.key))).size).toBe(own.length);
      }
    }
  });

  it('says of each statement what it changes', () => {
    for (const { cql, params, change } of statements) {
      const table = /shop\.(\w+)/.exec(cql)?.[1] as ShopTable;
      const keys = SHOP_KEYS[table];
      const names = [...Object.keys(keys.partitionKey), ...Object.keys(keys.clusteringKey ?? {})];
      // What the CQL itself says of the key: the columns of an INSERT, the conditions of the others.
      const columns = /^INSERT INTO \S+ \(([^)]*)\)/.exec(cql)?.[1]?.split(', ');
      const conditions = [...(/ WHERE (.*)$/.exec(cql)?.[1] ?? '').matchAll(/(\w+) (<=|>=|<|>|=) \?/g)];
      const given = columns === undefined ? params.slice(-conditions.length) : params;
      const equal = new Map(
        (columns ?? conditions.map(([, name = '']) => name)).flatMap((name, i) =>
          columns !== undefined || conditions[i]?.[2] === '=' ? [[name, given[i]] as const] : [],
        ),
      );
      expect(change.table).toBe(table);
      const isWhole = change.kind === 'write' || change.kind === 'row-delete';
      const wanted = isWhole ? names : Object.keys(keys.partitionKey);
      expect(change.key).toEqual(wanted.map((name) => equal.get(name)));
      expect(change.kind.endsWith('delete')).toBe(cql.startsWith('DELETE'));
      if (change.kind === 'partition-delete') expect(conditions).toHaveLength(1);
      if (change.kind !== 'range-delete') continue;
      // Read out of the CQL, and turned round where the column is in descending order.
      const prefix = names
        .slice(1)
        .filter((name) => equal.has(name))
        .map((name) => equal.get(name));
      const side = (signs: RegExp) => {
        const at = conditions.findIndex(([, , sign = '']) => signs.test(sign));
        if (at < 0) return { values: prefix, inclusive: true };
        return { values: [...prefix, given[at]], inclusive: conditions[at]?.[2]?.endsWith('=') };
      };
      const column = conditions.find(([, , sign]) => sign !== '=')?.[1] ?? '';
      const [start, end] = /placed_at|session_id/.test(column) ? [side(/^</), side(/^>/)] : [side(/^>/), side(/^</)];
      expect(change).toMatchObject({ start, end });
    }
  });

  it('gives a batch one write time and one TTL: none', () => {
    const inBatches = all.filter((write) => write.statements.length > 1).flatMap((write) => write.statements);
    expect(inBatches.filter(({ cql }) => cql.includes(' USING '))).toEqual([]);
  });

  it('lets rows expire soon or long after the proof', () => {
    for (const write of all) {
      if (write.expiresInSeconds !== null) expect(write.expiresInSeconds).toBeLessThanOrEqual(SHORT_TTL_SECONDS);
    }
    const ttls = statements.flatMap(({ cql, params }) => {
      const at = cql.includes('TTL ?')
        ? cql.startsWith('INSERT')
          ? (cql.match(/\?/g) ?? []).length - (cql.includes('TIMESTAMP ?') ? 2 : 1)
          : 0
        : -1;
      return at < 0 ? [] : [params[at] as number];
    });
    expect(ttls.length).toBeGreaterThan(0);
    expect(ttls.filter((ttl) => ttl > SHORT_TTL_SECONDS && ttl < 3_600)).toEqual([]);
  });

  it('shuffles without losing anything', () => {
    const items = Array.from({ length: 50 }, (_, index) => index);
    const mixed = shuffled(seededRandom(3), items);
    expect(mixed).not.toEqual(items);
    expect(mixed.toSorted((a, b) => a - b)).toEqual(items);
  });
});
