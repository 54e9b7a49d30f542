/** What a comparison that members share is asked for: the parameters of its job, as JSON there. Pure. */
import type { Depth } from '../../reconcile/end-state/compare-range.ts';
import type { Strategy } from '../../reconcile/end-state/comparison-plan.ts';
import type { TableReport } from '../../reconcile/end-state/reconcile-with-statics.ts';
import { LockstepError } from '../../shared/errors.ts';

export interface ComparisonRequest {
  /** As configured: `keyspace.table`. */
  readonly table: string;
  readonly strategy: Strategy;
  readonly jobType: 'MANUAL' | 'SCHEDULED';
  readonly repair: boolean;
  readonly dryRun: boolean;
  readonly mayBeEmpty: boolean;
  /** Rows that SAMPLE compares; null: as configured. */
  readonly sampleRows: number | null;
  /** Write times of TIMESTAMP_RANGE, µs, [from, to); from null: where the last run that covered the table ended. */
  readonly span: { readonly fromUs: bigint | null; readonly toUs: bigint | null };
  readonly requestedBy: string;
}

/** As it stands in `_cdc_jobs`. */
export interface ComparisonParameters {
  readonly table: string;
  readonly strategy: Strategy;
  readonly job_type: 'MANUAL' | 'SCHEDULED';
  readonly from_us: string | null;
  readonly to_us: string | null;
  readonly sample_rows: number | null;
  readonly repair: boolean;
  readonly dry_run: boolean;
  readonly may_be_empty: boolean;
  /** Everything written before this is covered, if the run covers the table; µs. */
  readonly covers_until_us: string;
  /** Cassandra's ID of the table when the run began. */
  readonly source_id: string | null;
}

export interface RequestContext {
  readonly sampleSize: number;
  readonly nowUs: bigint;
  /** Where the last run that covered the table ended, µs. */
  readonly verifiedUs: bigint | null;
  /** How far clocks of writers are apart, µs: an incremental run goes back by that much. */
  readonly skewUs: bigint;
  readonly sourceId: string | null;
}

const INT64_MIN = -(2n ** 63n);

/** @throws LockstepError `RECONCILE_SPAN` (usage) where the span ends before it begins. */
export function parametersOf(request: ComparisonRequest, context: RequestContext): ComparisonParameters {
  const { strategy, span } = request;
  const { nowUs, verifiedUs, skewUs } = context;
  const isSpan = strategy === 'TIMESTAMP_RANGE';
  const continued = verifiedUs === null ? INT64_MIN : verifiedUs - skewUs;
  const fromUs = span.fromUs ?? continued;
  const toUs = span.toUs ?? nowUs;
  if (isSpan && fromUs >= toUs) throw emptySpan(request.table, span.fromUs === null ? verifiedUs : null);
  // Only what joins up with what was covered before moves the point on.
  const joins = !isSpan || fromUs <= (verifiedUs ?? INT64_MIN);
  return {
    table: request.table,
    strategy,
    job_type: request.jobType,
    from_us: isSpan ? String(fromUs) : null,
    to_us: isSpan ? String(toUs) : null,
    sample_rows: strategy === 'SAMPLE' ? (request.sampleRows ?? context.sampleSize) : null,
    repair: request.repair,
    dry_run: request.dryRun,
    // A span without writes is an ordinary one.
    may_be_empty: request.mayBeEmpty || (isSpan && span.fromUs === null),
    source_id: context.sourceId,
    covers_until_us: String(joins ? (isSpan && toUs < nowUs ? toUs : nowUs) : INT64_MIN),
  };
}

function emptySpan(table: string, verifiedUs: bigint | null): LockstepError {
  const until = verifiedUs === null ? '' : `: ${table} is verified until ${momentOf(verifiedUs)}`;
  return new LockstepError(`the span of write times is empty${until}`, {
    code: 'RECONCILE_SPAN',
    kind: 'usage',
    remedy: 'let it end behind its begin; to compare again what was verified, give its begin (--from) as well',
  });
}

/** A write time as people read it; null where it is the beginning of all time. */
export function momentOf(us: bigint): string | null {
  const ms = us / 1000n;
  // Beyond what a Date holds.
  if (ms < -8_640_000_000_000_000n || ms > 8_640_000_000_000_000n) return null;
  return new Date(Number(ms)).toISOString();
}

export function depthOf({ strategy, from_us: from, to_us: to }: ComparisonParameters): Depth {
  return {
    values: strategy !== 'ROW_COUNT',
    writtenUs: from === null || to === null ? null : { from: BigInt(from), to: BigInt(to) },
  };
}

/** Whether a run has looked at everything that it had to, and judged it. */
export function isCovered({
  coverage,
  inFlight,
  unproven,
  followed,
}: Pick<TableReport, 'coverage' | 'inFlight' | 'unproven' | 'followed'>): boolean {
  return coverage === 1 && inFlight === 0 && unproven === 0 && followed;
}

/** Up to when the table is verified by a run that has covered it; null where the strategy does not look at every value. */
export function coveredUntil(parameters: ComparisonParameters): bigint | null {
  const { strategy, dry_run: dryRun, covers_until_us: until } = parameters;
  if (dryRun || strategy === 'ROW_COUNT' || strategy === 'SAMPLE') return null;
  return BigInt(until) === INT64_MIN ? null : BigInt(until);
}
