import { INT64_MAX, INT64_MIN } from './write-time.ts';

/** Tokens of partitions in `(after, upTo]`. No partition has the token −2^63, so WHOLE_RING is the whole ring. */
export interface TokenRange {
  readonly after: bigint;
  readonly upTo: bigint;
}

export const WHOLE_RING: TokenRange = { after: INT64_MIN, upTo: INT64_MAX };

/** Part `index` of the ring cut into `count` ranges of the same width (±1), without gap or overlap. */
export function ringPart(index: number, count: number): TokenRange {
  const width = INT64_MAX - INT64_MIN;
  const bound = (n: number): bigint => INT64_MIN + (width * BigInt(n)) / BigInt(count);
  return { after: bound(index), upTo: bound(index + 1) };
}

export function splitRing(count: number): readonly TokenRange[] {
  return Array.from({ length: count }, (_, i) => ringPart(i, count));
}
