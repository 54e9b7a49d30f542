/**
 * Random arcs of the ring. Tokens are hashes of partition keys, so every arc of one width is an equally likely place for
 * every partition: the partitions of random arcs are a random sample of partitions, on both sides alike. Picking the
 * partition that follows a random token would prefer those behind large gaps.
 */
import { ringPart, type TokenRange } from '../../change/token-range.ts';

/** So many arcs at least, so that a wrong estimate of the table's size does not make a sample a whole scan. */
const MIN_ARCS = 64;
const MAX_ARCS = 2 ** 20;
/** A sample is taken from about this many arcs: each costs a query on either side. */
const ARCS_PER_SAMPLE = 64;

/** Into how many arcs the ring is cut for a sample of so many rows out of an estimated number. */
export function arcCountOf(sampleRows: number, estimatedRows: number): number {
  const rowsPerArc = Math.max(1, Math.ceil(sampleRows / ARCS_PER_SAMPLE));
  return Math.min(MAX_ARCS, Math.max(MIN_ARCS, Math.ceil(estimatedRows / rowsPerArc)));
}

/**
 * Every arc once, in random order: whoever has enough stops. `random` gives numbers in [0, 1).
 *
 * A Fisher–Yates shuffle that keeps only what it has moved: memory by arcs taken.
 */
export function* randomArcs(count: number, random: () => number): Generator<TokenRange> {
  const moved = new Map<number, number>();
  for (let i = 0; i < count; i++) {
    const j = i + Math.floor(random() * (count - i));
    yield ringPart(moved.get(j) ?? j, count);
    moved.set(j, moved.get(i) ?? i);
    moved.delete(i);
  }
}

/** Numbers in [0, 1) that depend on the seed (an unsigned 32-bit integer) alone: whoever scans a part has its arcs. Mulberry32. */
export function seededRandom(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}
