/**
 * The parts that a run is split into, so that members share it: each is scanned by whoever takes it, as a whole or not at
 * all. Plans and results are JSON, because they go through a table.
 */
import { rowKey } from '../../change/change-event.ts';
import { splitRing, type TokenRange } from '../../change/token-range.ts';
import { compareRange, type Depth, type RangeParts } from './compare-range.ts';
import { rangeCountOf, type Strategy } from './comparison-plan.ts';
import { rangesNotChecked, type NotChecked } from './not-checked.ts';
import { arcCountOf, randomArcs, seededRandom } from './ring-sample.ts';
import { digestFrom, digestText } from './row-digest.ts';
import { addScans, NOTHING_SCANNED, Suspects, type ScanTotals } from './scan-totals.ts';

/** Rows of one part of a sample. */
const SAMPLE_PART_ROWS = 10_000;

/** A range of the ring, or every `of`-th arc of a shuffled ring from `part` on until so many rows are compared. */
export type PartPlan =
  | { readonly kind: 'range'; readonly after: string; readonly up_to: string }
  | {
      readonly kind: 'sample';
      readonly seed: number;
      readonly arcs: number;
      readonly part: number;
      readonly of: number;
      readonly rows: number;
    };

/** What a part has shown. 64-bit numbers are text. */
export interface PartResult {
  readonly source_rows: number;
  readonly target_rows: number;
  readonly compared: number;
  readonly partitions: number;
  readonly unreadable: number;
  readonly source_digest: string;
  readonly target_digest: string;
  /** Row keys as JSON text. */
  readonly suspects: readonly string[];
  readonly not_followed: number;
  /** What was passed over, because it could not be read. */
  readonly unread: readonly NotChecked[];
  /** Columns were those of this binding; parts of several bindings prove nothing together. */
  readonly generation: string;
}

export interface PartsRequest {
  readonly strategy: Strategy;
  readonly sampleRows: number;
  readonly estimatedRows: number;
  readonly random: () => number;
}

/** In the order in which they are scanned, roughly. Pure but for `random`. */
export function partsOf({ strategy, sampleRows, estimatedRows, random }: PartsRequest): readonly PartPlan[] {
  if (strategy !== 'SAMPLE') {
    return [...splitRing(rangeCountOf(estimatedRows))].map(({ after, upTo }) => ({
      kind: 'range',
      after: String(after),
      up_to: String(upTo),
    }));
  }
  const of = Math.ceil(sampleRows / SAMPLE_PART_ROWS);
  const seed = Math.floor(random() * 2 ** 32);
  // Every part needs arcs of its own.
  const arcs = Math.max(of, arcCountOf(sampleRows, estimatedRows));
  return Array.from({ length: of }, (_, part) => ({
    kind: 'sample',
    seed,
    arcs,
    part,
    of,
    rows: Math.ceil(sampleRows / of),
  }));
}

function* rangesOf(plan: PartPlan): Generator<TokenRange> {
  if (plan.kind === 'range') {
    yield { after: BigInt(plan.after), upTo: BigInt(plan.up_to) };
    return;
  }
  let i = 0;
  for (const arc of randomArcs(plan.arcs, seededRandom(plan.seed))) {
    if (i++ % plan.of === plan.part) yield arc;
  }
}

/** Rejects where a side can't be read; then nothing is known of the part. */
export async function scanPart(
  parts: RangeParts,
  plan: PartPlan,
  depth: Depth,
  signal: AbortSignal,
): Promise<PartResult> {
  const suspects = new Suspects();
  const { generation } = parts.table;
  const unread: NotChecked[] = [];
  let sums = NOTHING_SCANNED;
  for (const range of rangesOf(plan)) {
    const account = await compareRange(parts, range, depth, (key) => suspects.add(key), signal);
    sums = addScans(sums, account);
    unread.push(...account.unread);
    if (plan.kind === 'sample' && sums.compared >= plan.rows) break;
  }
  return {
    source_rows: sums.sourceRows,
    target_rows: sums.targetRows,
    compared: sums.compared,
    partitions: sums.partitions,
    unreadable: sums.unreadable,
    source_digest: digestText(sums.sourceDigest),
    target_digest: digestText(sums.targetDigest),
    suspects: suspects.keys.map(({ text }) => text),
    not_followed: suspects.notFollowed,
    unread,
    generation,
  };
}

/** A part with what became of it. */
export interface EndedPart {
  readonly plan: PartPlan;
  /** Null: it was not scanned. */
  readonly result: PartResult | null;
  /** Why it was not. */
  readonly reason: string | null;
}

/** Only what was scanned is in the sums; everything else is told of. */
export function totalsOfParts(ended: readonly EndedPart[]): ScanTotals {
  const suspects = new Suspects();
  const failed: { range: TokenRange; reason: string }[] = [];
  const notChecked: NotChecked[] = [];
  const generations = new Set<string>();
  let sums = NOTHING_SCANNED;
  let rangesScanned = 0;
  for (const { plan, result, reason } of ended) {
    if (result === null) {
      const why = reason ?? 'no worker has come to it';
      if (plan.kind === 'range')
        failed.push({ range: { after: BigInt(plan.after), upTo: BigInt(plan.up_to) }, reason: why });
      else notChecked.push({ where: `part ${plan.part + 1} of ${plan.of} of the sample`, reason: why });
      continue;
    }
    if (result.unread.length === 0) rangesScanned += 1;
    notChecked.push(...result.unread);
    generations.add(result.generation);
    sums = addScans(sums, {
      sourceRows: result.source_rows,
      targetRows: result.target_rows,
      compared: result.compared,
      partitions: result.partitions,
      unreadable: result.unreadable,
      sourceDigest: digestFrom(result.source_digest),
      targetDigest: digestFrom(result.target_digest),
    });
    for (const text of result.suspects) suspects.add(rowKey(JSON.parse(text) as string[]));
    suspects.addUnnamed(result.not_followed);
  }
  // What was compared before the columns changed was compared without them.
  if (generations.size > 1) {
    notChecked.push({ where: 'the ranges before the last', reason: 'the columns of the table changed between ranges' });
    rangesScanned = 0;
  }
  return {
    ...sums,
    rangesDue: ended.length,
    rangesScanned,
    notChecked: [...rangesNotChecked(failed), ...notChecked],
    suspects: suspects.keys,
    notFollowed: suspects.notFollowed,
  };
}
