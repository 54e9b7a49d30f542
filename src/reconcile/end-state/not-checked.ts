/** What a comparison did not look at, and why: the verdict says it exactly (invariant 7). Pure. */
import type { TokenRange } from '../../change/token-range.ts';

export interface NotChecked {
  /** A part of the ring or of the source, in words that a person can look for it by. */
  readonly where: string;
  readonly reason: string;
}

/** Ranges in their order, as few parts as they make: neighbours of one reason are one. */
export function rangesNotChecked(
  ranges: readonly { readonly range: TokenRange; readonly reason: string }[],
): readonly NotChecked[] {
  const joined: { after: bigint; upTo: bigint; reason: string }[] = [];
  for (const { range, reason } of ranges) {
    const last = joined.at(-1);
    if (last?.upTo === range.after && last.reason === reason) last.upTo = range.upTo;
    else joined.push({ ...range, reason });
  }
  return joined.map(({ after, upTo, reason }) => ({ where: `tokens behind ${after} up to ${upTo}`, reason }));
}

/** Parts that are told of; of more only their number. */
const TOLD = 5;

export function notCheckedReasons(parts: readonly NotChecked[]): readonly string[] {
  const told = parts.slice(0, TOLD).map(({ where, reason }) => `not checked: ${where}: ${reason}`);
  return parts.length > TOLD
    ? [...told, `not checked: ${parts.length - TOLD} more parts, listed in not_checked`]
    : told;
}
