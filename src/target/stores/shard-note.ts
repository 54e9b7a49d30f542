/** What the owner of a shard notes beside its state, for those who look from elsewhere. */

/** The dead-letter breaker of one shard, as operators see it. */
export interface BreakerReading {
  /** `half-open`: records at the position are being tried; nothing of it is committed or set aside. */
  readonly state: 'closed' | 'open' | 'half-open';
  /** Share of the recent records that could not be applied, 0 to 1; with those that opened it, where it is not closed. */
  readonly share: number;
  /** How many recent records that is the share of; older ones fade out. */
  readonly records: number;
  /** When it opened, ms since the epoch; null while it is closed. */
  readonly sinceMs: number | null;
}

export interface ShardNote {
  /** Why it stands still; null where it does not. */
  readonly reason: string | null;
  readonly breaker: BreakerReading | null;
}

const REASON_CHARS = 2_000;

/** A note as values of `reason` and `breaker`. PostgreSQL takes no U+0000. */
export function noteValues({ reason, breaker }: ShardNote): readonly [string | null, string | null] {
  const text = reason === null ? null : reason.replaceAll('\0', '\\u0000').slice(0, REASON_CHARS);
  return [text, breaker === null ? null : JSON.stringify(breaker)];
}

export function noteFrom(reason: string | null | undefined, breaker: string | null | undefined): ShardNote {
  return { reason: reason ?? null, breaker: breaker == null ? null : (JSON.parse(breaker) as BreakerReading) };
}
