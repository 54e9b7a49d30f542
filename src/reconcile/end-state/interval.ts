/**
 * What a sample says of the whole: intervals for the share of partitions that drift (DESIGN §7, SAMPLE). Never Wald's,
 * which is [0, 0] for every sample without drift.
 */
import library from 'jstat';
import { assert } from '../../shared/assert.ts';

const { jStat } = library;

export interface Interval {
  readonly low: number;
  readonly high: number;
}

function checkSample(drifted: number, sampled: number): void {
  assert(drifted >= 0 && drifted <= sampled && sampled > 0, `a sample of ${sampled} with ${drifted} that drifted`);
}

/** Wilson's score interval: close to its confidence on average, short. */
export function wilson(drifted: number, sampled: number, confidence: number): Interval {
  checkSample(drifted, sampled);
  const z = jStat.normal.inv(1 - (1 - confidence) / 2, 0, 1);
  const share = drifted / sampled;
  const weight = (z * z) / sampled;
  const centre = (share + weight / 2) / (1 + weight);
  const half = (z / (1 + weight)) * Math.sqrt((share * (1 - share)) / sampled + weight / (4 * sampled));
  return {
    low: drifted === 0 ? 0 : Math.max(0, centre - half),
    high: drifted === sampled ? 1 : Math.min(1, centre + half),
  };
}

/** Clopper–Pearson's exact interval: never below its confidence, so this is what a verdict may lean on. */
export function clopperPearson(drifted: number, sampled: number, confidence: number): Interval {
  checkSample(drifted, sampled);
  const tail = (1 - confidence) / 2;
  return {
    low: drifted === 0 ? 0 : jStat.beta.inv(tail, drifted, sampled - drifted + 1),
    high: drifted === sampled ? 1 : jStat.beta.inv(1 - tail, drifted + 1, sampled - drifted),
  };
}

/**
 * The smallest share of drifting partitions that a sample of this size shows at least one of, with this confidence. What
 * is rarer may well have been missed.
 */
export function smallestSeen(sampled: number, confidence: number): number {
  return sampled === 0 ? 1 : 1 - (1 - confidence) ** (1 / sampled);
}
