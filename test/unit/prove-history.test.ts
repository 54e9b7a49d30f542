/** The prover's histories: reproducible, and within what is claimed. */
import { describe, expect, it } from 'vitest';
import { seededRandom } from '../../src/demo/workload/random.ts';
import { hidesMarkerTtl, History } from '../prove/generate/history.ts';
import { CLAIMED, type Repertoire } from '../prove/generate/semantics.ts';
import type { Effect, Statement } from '../prove/generate/statement.ts';
import { randomTable, tableDdl, withRanks, type GeneratedTable } from '../prove/generate/table.ts';
import { WriteTimes } from '../prove/generate/write-times.ts';

const SEEDS = Array.from({ length: 60 }, (_, seed) => seed);
const STATEMENTS = 150;

function tableOf(seed: number, repertoire: Repertoire): GeneratedTable {
  const table = randomTable('ks', 't', seededRandom(seed), repertoire);
  return withRanks(table, (column, { plain }) => column.pool.findIndex((value) => value.plain === plain));
}

function statements(seed: number, repertoire: Repertoire): Statement[] {
  const table = tableOf(seed, repertoire);
  let now = 1_790_000_000_000_000n;
  const times = new WriteTimes(() => (now += 1_000n), table.ties);
  const history = new History(table, seededRandom(seed + 1), times, repertoire);
  return Array.from({ length: STATEMENTS }, () => history.next());
}

const claimed: Repertoire = { semantics: new Set(), hazards: new Set() };

describe('histories', () => {
  it('are made again by their seed', () => {
    for (const seed of SEEDS) {
      const texts = (): string[] => statements(seed, claimed).map(({ cql }) => cql);
      expect(texts()).toEqual(texts());
      expect(tableDdl(tableOf(seed, claimed))).toBe(tableDdl(tableOf(seed, claimed)));
    }
  });

  it('write one time per batch, since the events of a partition say the newest', () => {
    for (const seed of SEEDS) {
      for (const { effects, cql } of statements(seed, claimed)) {
        expect(new Set(effects.map(({ timeUs }) => timeUs)).size, cql).toBe(1);
      }
    }
  });

  it('write no cell twice at one time where the target has lost the bytes that decide', () => {
    for (const seed of SEEDS) {
      if (tableOf(seed, claimed).ties) continue;
      const times = statements(seed, claimed).flatMap(({ effects }) => effects[0]?.timeUs ?? []);
      expect(new Set(times).size).toBe(times.length);
    }
  });

  it('delete at most one range of a partition per batch: two that touch end the agent’s reading', () => {
    for (const seed of SEEDS) {
      for (const { effects, cql } of statements(seed, claimed)) {
        const ranges = effects.flatMap((effect) => (effect.kind === 'range-delete' ? [effect.partition] : []));
        expect(new Set(ranges).size, cql).toBe(ranges.length);
      }
    }
  });

  it('hide no marker’s TTL behind cells that all show another, though one batch may have several', () => {
    const all: Repertoire = { semantics: new Set(CLAIMED), hazards: new Set() };
    let mixed = 0;
    for (const seed of SEEDS) {
      if (!tableOf(seed, all).usesTtl) continue;
      for (const { effects, cql } of statements(seed, all)) {
        expect(hidesMarkerTtl(effects), cql).toBe(false);
        if (new Set(effects.flatMap((each) => (each.kind === 'write' ? [each.ttlSeconds] : []))).size > 1) mixed += 1;
      }
    }
    expect(mixed).toBeGreaterThan(0);
  });

  it.each<[string, boolean, readonly (readonly [boolean, readonly string[], number])[]]>([
    ['an insert alone', false, [[true, ['a'], 5]]],
    [
      'an update without an insert',
      false,
      [
        [false, ['a'], 5],
        [false, ['a'], 9],
      ],
    ],
    [
      'an insert without a TTL under an update with one',
      true,
      [
        [true, ['a'], 0],
        [false, ['a'], 9],
      ],
    ],
    [
      'an insert that expires first, under an update',
      true,
      [
        [true, ['a'], 5],
        [false, ['a'], 9],
      ],
    ],
    [
      'an insert that expires last',
      false,
      [
        [true, ['a'], 9],
        [false, ['a'], 5],
      ],
    ],
    [
      'a cell of the insert that the update leaves alone',
      false,
      [
        [true, ['a', 'b'], 5],
        [false, ['a'], 9],
      ],
    ],
    [
      'an insert of the key only beside one that lasts',
      true,
      [
        [true, ['a'], 0],
        [true, [], 9],
      ],
    ],
    [
      'no cell that shows anything',
      false,
      [
        [true, [], 5],
        [true, [], 9],
      ],
    ],
  ])('know whether the events hide a marker’s TTL: %s', (_, hides, writes) => {
    const effects = writes.map(([insert, live, ttlSeconds]): Effect => {
      return { kind: 'write', partition: 'p', row: 'r', insert, columns: live, live, ttlSeconds };
    });
    expect(hidesMarkerTtl(effects)).toBe(hides);
    expect(hidesMarkerTtl(effects.toReversed())).toBe(hides);
  });

  it('have no static write before statics are claimed', () => {
    for (const seed of SEEDS) {
      for (const { cql } of statements(seed, claimed)) expect(cql).not.toMatch(/INSERT INTO \S+ \([^)]*"s1"/);
    }
  });
});
