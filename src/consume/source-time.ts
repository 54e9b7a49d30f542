import type { ChangeItem } from './shard/item.ts';

/** Write times outside this are not points in time (−5, nanoseconds by mistake, 2^63−1 were all seen). */
const EARLIEST_MS = Date.UTC(2000, 0, 1);
/** The source's clock may be ahead of the broker's by this much before its write time is not believed. */
const AHEAD_MS = 86_400_000;

/** When the source made a change, in ms: its write time where that is a point in time, else when Kafka got the record. */
export function sourceTimeMs({ change, record }: ChangeItem): number {
  const ms = Number(change.writeTime / 1000n);
  return ms >= EARLIEST_MS && ms <= record.timestampMs + AHEAD_MS ? ms : record.timestampMs;
}
