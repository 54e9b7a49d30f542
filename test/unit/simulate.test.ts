/** The whole pipeline in one process under faults (`npm run simulate`), and that the simulation itself is to be trusted. */
import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { MUTATIONS } from '../simulate/mutation-list.ts';
import { runSeed } from '../simulate/run-seed.ts';
import { runSeeds } from '../simulate/run-seeds.ts';

/** As many of each kind as a busy machine does in its time; most deliberate faults need fewer. */
const SEEDS = 400;

describe('simulated runs', () => {
  it('end with the target equal to the source, and keep every invariant on the way', async () => {
    // The same ones each time, and as many that nobody has run before: `npm run simulate -- --seed` shows a refuted one.
    const fresh = Math.floor(Math.random() * 2 ** 31);
    for (const from of [1, fresh]) {
      const { refuted, totals } = await runSeeds({ from, count: SEEDS, untilRefuted: false });
      expect(refuted).toEqual([]);
      // What is not there can't fail.
      expect(Math.min(totals.faults, totals.commits, totals.deadLetters)).toBeGreaterThan(SEEDS / 4);
    }
  }, 120_000);

  it('are made again step by step by their seed', async () => {
    for (const seed of [3, 33, 333]) {
      const traces: string[][] = [];
      for (let again = 0; again < 2; again += 1) {
        const lines: string[] = [];
        await runSeed(seed, undefined, (line) => lines.push(line));
        traces.push(lines);
      }
      expect(traces[0]!.length).toBeGreaterThan(50);
      expect(traces[1]).toEqual(traces[0]);
    }
  });
});

describe('deliberate faults', () => {
  it.each(MUTATIONS)('$name: still applies to one place', ({ file, find, replace }) => {
    const source = readFileSync(new URL(`../../${file}`, import.meta.url), 'utf8');
    expect(source.split(find)).toHaveLength(2);
    expect(source.replace(find, () => replace)).not.toBe(source);
  });
});
