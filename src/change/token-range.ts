import { INT64_MAX, INT64_MIN } from './write-time.ts';

/** Tokens of partitions in `(after, upTo]`. No partition has the token −2^63, so WHOLE_RING is the whole ring. */
export interface TokenRange {
  readonly after: bigint;
  readonly upTo: bigint;
}

export const WHOLE_RING: TokenRange = { after: INT64_MIN, upTo: INT64_MAX };

/** The ring in so many ranges of nearly the same width, in order, without gap or overlap. */
export function splitRing(parts: number): readonly TokenRange[] {
  const width = INT64_MAX - INT64_MIN;
  const count = BigInt(parts);
  const bound = (n: bigint): bigint => INT64_MIN + (width * n) / count;
  return Array.from({ length: parts }, (_, i) => ({ after: bound(BigInt(i)), upTo: bound(BigInt(i) + 1n) }));
}
