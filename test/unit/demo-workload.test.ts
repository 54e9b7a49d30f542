import { inspect } from 'node:util';
import { describe, expect, it } from 'vitest';
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
    expect(all.some(({ batch }) => batch === 'logged')).toBe(true);
    expect(all.some(({ batch }) => batch === 'unlogged')).toBe(true);
    expect(statements.some(({ params }) => params.includes(null))).toBe(true);
  });

  it('counts one change for each statement, and never two of one row in a batch', () => {
    for (const write of all) {
      expect(write.changes).toBe(write.statements.length);
      if (write.batch === null) continue;
      const keys = write.statements.map(({ cql, params }) => {
        const table = /shop\.(\w+)/.exec(cql)?.[1] ?? '';
        const keyColumns = { orders: 3, sessions: 2, products: 1, customers: 1 }[table] ?? 0;
        const isInsert = cql.startsWith('INSERT');
        return `${table} ${inspect(isInsert ? params.slice(0, keyColumns) : params.slice(-keyColumns))}`;
      });
      expect(new Set(keys).size).toBe(keys.length);
    }
  });

  it('gives a batch one write time and one TTL: none', () => {
    const inBatches = all.filter(({ batch }) => batch !== null).flatMap((write) => write.statements);
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
