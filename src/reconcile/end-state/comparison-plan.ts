/** Strategies as plans over ranges of the ring (DESIGN §7). Pure. */
import { splitRing, type TokenRange } from '../../change/token-range.ts';
import { unreachable } from '../../shared/assert.ts';
import type { Depth } from './compare-range.ts';
import { arcCountOf, randomArcs } from './ring-sample.ts';

/**
 * | strategy | compares |
 * |---|---|
 * | ROW_COUNT | which rows are there, on the whole ring |
 * | CHECKSUM | every value of every row, on the whole ring |
 * | TIMESTAMP_RANGE | every value of rows that a write of a span touched on either side, on the whole ring |
 * | SAMPLE | every value of rows in random arcs, until enough rows are compared |
 */
export const STRATEGIES = ['ROW_COUNT', 'CHECKSUM', 'TIMESTAMP_RANGE', 'SAMPLE'] as const;
export type Strategy = (typeof STRATEGIES)[number];

export interface PlanRequest {
  readonly strategy: Strategy;
  /** Span of write time, µs; only of TIMESTAMP_RANGE. */
  readonly writtenUs: Depth['writtenUs'];
  readonly sampleRows: number;
  /** Rows of the table, roughly; for the size of ranges only. */
  readonly estimatedRows: number;
  /** Numbers in [0, 1). */
  readonly random: () => number;
}

export interface ComparisonPlan {
  readonly depth: Depth;
  /** In the order in which they are scanned. */
  readonly ranges: Iterable<TokenRange>;
  readonly rangeCount: number;
  /** Enough rows; null where every range has to be scanned. */
  readonly enoughRows: number | null;
}

/** Rows of one range: a range is repeated as a whole where a side fails for long. */
const RANGE_ROWS = 50_000;
const MIN_RANGES = 16;
const MAX_RANGES = 8_192;

/** Into how many ranges a whole scan is cut. */
export function rangeCountOf(estimatedRows: number): number {
  return Math.min(MAX_RANGES, Math.max(MIN_RANGES, Math.ceil(estimatedRows / RANGE_ROWS)));
}

export function planOf(request: PlanRequest): ComparisonPlan {
  const { strategy, estimatedRows } = request;
  const count = rangeCountOf(estimatedRows);
  const whole = { ranges: splitRing(count), rangeCount: count, enoughRows: null };
  switch (strategy) {
    case 'ROW_COUNT':
      return { ...whole, depth: { values: false, writtenUs: null } };
    case 'CHECKSUM':
      return { ...whole, depth: { values: true, writtenUs: null } };
    case 'TIMESTAMP_RANGE':
      return { ...whole, depth: { values: true, writtenUs: request.writtenUs } };
    case 'SAMPLE': {
      const arcs = arcCountOf(request.sampleRows, estimatedRows);
      return {
        depth: { values: true, writtenUs: null },
        ranges: randomArcs(arcs, request.random),
        rangeCount: arcs,
        enoughRows: request.sampleRows,
      };
    }
    default:
      return unreachable(strategy);
  }
}
