/**
 * One run of a rule. What differs is looked at again behind the barrier, whole queries each time, until it is proven: the
 * sides said the same three times over, and everything from before each look but the first has arrived. An aggregate that
 * moves whenever it is looked at is never called drift, and never PASS.
 */
import type { Verdict } from '../end-state/verdict.ts';
import { compareSides, type Look, type Sides } from './compare-sides.ts';
import type { Mismatch, Rule } from './rule.ts';

/** Looks that must agree: two could by chance, where an aggregate goes up and down under a steady lag. */
const LOOKS_THAT_AGREE = 3;
/** Looks at most; what moves so often is left open. */
const MAX_LOOKS = 5;

export interface RuleParts extends Sides {
  /** Waits until what is in Kafka now has reached the target. @returns why that is not proven, or null. */
  readonly barrier: (signal: AbortSignal) => Promise<string | null>;
  /** Waits for what the capture may hold. @returns why that is not proven, or null. */
  readonly captured: (signal: AbortSignal) => Promise<string | null>;
}

export interface RuleReport {
  readonly verdict: Verdict;
  /** What stands against PASS. */
  readonly reasons: readonly string[];
  readonly looks: number;
  readonly sourceKeys: number;
  readonly targetKeys: number;
  /** Proven to differ. */
  readonly mismatches: readonly Mismatch[];
  /** Differed at the last look, and are not proven. */
  readonly unproven: readonly Mismatch[];
  /** Differed at first and were equal later. */
  readonly inFlight: number;
  /** Keys that differ beyond those that are followed. */
  readonly notFollowed: number;
}

const same = (left: Mismatch, right: Mismatch): boolean =>
  JSON.stringify([left.kind, left.source, left.target]) === JSON.stringify([right.kind, right.source, right.target]);

/** How often each key that differs now has been seen like this in a row. */
function seenAgain(
  now: Look,
  before: ReadonlyMap<string, Mismatch>,
  times: ReadonlyMap<string, number>,
): Map<string, number> {
  return new Map(
    [...now.mismatches].map(([key, mismatch]) => {
      const last = before.get(key);
      return [key, last !== undefined && same(last, mismatch) ? (times.get(key) ?? 0) + 1 : 1];
    }),
  );
}

/** Rejects with what the sides and the barrier reject with; such a run has no verdict. */
export async function runRule(rule: Rule, parts: RuleParts, signal: AbortSignal): Promise<RuleReport> {
  let look = await compareSides(rule, parts, signal);
  const everSeen = new Set(look.mismatches.keys());
  let times = new Map([...look.mismatches.keys()].map((key) => [key, 1]));
  let looks = 1;
  let doubt: string | null = null;
  const open = (): boolean => [...times.values()].some((n) => n < LOOKS_THAT_AGREE);
  while (look.mismatches.size > 0 && open() && looks < MAX_LOOKS) {
    doubt = (await parts.captured(signal)) ?? (await parts.barrier(signal));
    if (doubt !== null) break;
    const next = await compareSides(rule, parts, signal);
    times = seenAgain(next, look.mismatches, times);
    look = next;
    looks += 1;
    for (const key of look.mismatches.keys()) everSeen.add(key);
  }
  const isProven = ({ key }: Mismatch): boolean => (times.get(key) ?? 0) >= LOOKS_THAT_AGREE;
  const all = [...look.mismatches.values()];
  const mismatches = all.filter(isProven);
  const unproven = all.filter((mismatch) => !isProven(mismatch));

  const reasons: string[] = [];
  if (mismatches.length > 0) reasons.push(`${mismatches.length} keys differ`);
  if (unproven.length > 0) {
    reasons.push(
      `${unproven.length} keys differ, and it is not proven that they drift: ${doubt ?? 'they moved whenever they were looked at'}`,
    );
  }
  if (look.more > 0) reasons.push(`${look.more} more keys differ and were not followed`);
  if (look.sourceKeys === 0 && look.targetKeys === 0 && !rule.mayBeEmpty) {
    reasons.push('neither side gave a row (allowEmpty where that is right)');
  }
  return {
    verdict: mismatches.length > 0 ? 'DRIFT' : reasons.length === 0 ? 'PASS' : 'INCONCLUSIVE',
    reasons,
    looks,
    sourceKeys: look.sourceKeys,
    targetKeys: look.targetKeys,
    mismatches,
    unproven,
    inFlight: [...everSeen].filter((key) => !look.mismatches.has(key)).length,
    notFollowed: look.more,
  };
}
