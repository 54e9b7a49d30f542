import type { TableReport } from '../../reconcile/end-state/reconcile-with-statics.ts';
import type { Depth } from '../../reconcile/end-state/compare-range.ts';
import type { Strategy } from '../../reconcile/end-state/comparison-plan.ts';
import { momentOf } from '../jobs/comparison-request.ts';
import type { Finding } from '../../target/stores/finding-store.ts';

export interface JobHead {
  readonly jobId: string;
  readonly table: string;
  readonly strategy: Strategy;
  readonly startedMs: number;
  readonly completedMs: number;
  readonly dryRun: boolean;
  /** Of TIMESTAMP_RANGE: the write times that were compared, µs. */
  readonly writtenUs: Depth['writtenUs'];
}

/** Drift in percent of the rows that were compared. */
export function driftPercentage(report: Pick<TableReport, 'compared' | 'drift' | 'repairedBefore'>): number {
  return report.compared === 0 ? 0 : (driftCount(report) / report.compared) * 100;
}

function driftCount({ drift, repairedBefore }: Pick<TableReport, 'drift' | 'repairedBefore'>): number {
  return Object.values(repairedBefore).reduce((sum, n) => sum + n, drift.length);
}

/** A comparison as JSON: what is printed, stored with its job and served. */
export function reportDocument(head: JobHead, report: TableReport): Record<string, unknown> {
  const byType: Record<string, number> = { ...report.repairedBefore };
  for (const { classification } of report.drift) {
    byType[classification.type] = (byType[classification.type] ?? 0) + 1;
  }
  const { sample, statics } = report;
  return {
    job_id: head.jobId,
    table_name: head.table,
    validation_strategy: head.strategy,
    dry_run: head.dryRun,
    written_from: head.writtenUs === null ? null : momentOf(head.writtenUs.from),
    written_to: head.writtenUs === null ? null : momentOf(head.writtenUs.to),
    started_at: new Date(head.startedMs).toISOString(),
    completed_at: new Date(head.completedMs).toISOString(),
    verdict: report.verdict,
    reasons: report.reasons,
    coverage: report.coverage,
    ranges_due: report.rangesDue,
    ranges_scanned: report.rangesScanned,
    not_checked: report.notChecked,
    cassandra_row_count: report.sourceRows,
    postgres_row_count: report.targetRows,
    compared: report.compared,
    mismatch_count: driftCount(report),
    mismatches_by_type: byType,
    drift_percentage: driftPercentage(report),
    ignored: report.ignored,
    following: report.following,
    in_flight: report.inFlight,
    unproven: report.unproven,
    superseded: report.superseded,
    cassandra_digest: report.sourceDigest,
    postgres_digest: report.targetDigest,
    repaired: report.repaired,
    repaired_by_type: report.repairedByType,
    repair_refused: report.repairRefused,
    sample:
      sample === null
        ? null
        : {
            partitions: sample.partitions,
            drifted: sample.drifted,
            confidence: sample.confidence,
            wilson: sample.wilson,
            clopper_pearson: sample.clopperPearson,
            smallest_seen: sample.smallestSeen,
          },
    statics:
      statics === null
        ? null
        : {
            verdict: statics.verdict,
            cassandra_row_count: statics.sourceRows,
            postgres_row_count: statics.targetRows,
            compared: statics.compared,
            mismatch_count: statics.drift.length,
            cassandra_digest: statics.sourceDigest,
            postgres_digest: statics.targetDigest,
          },
  };
}

/** A finding as JSON; field names of `GET /reconciliation/mismatches`. */
export function findingDocument(finding: Finding): Record<string, unknown> {
  return {
    mismatch_id: Number(finding.id),
    table_name: finding.table,
    primary_key_value: finding.rowKey,
    mismatch_type: finding.type,
    cause: finding.cause,
    columns: finding.columns,
    resolution_status: finding.status,
    resolution_notes: finding.notes,
    resolved_by: finding.resolvedBy,
    cassandra_checksum: finding.sourceChecksum,
    postgres_checksum: finding.targetChecksum,
    cassandra_data: finding.sourceImage,
    postgres_data: finding.targetImage,
    job_id: finding.jobId,
    seen: finding.seen,
    detected_at: new Date(finding.firstSeenMs).toISOString(),
    last_seen_at: new Date(finding.lastSeenMs).toISOString(),
    resolved_at: finding.resolvedMs === null ? null : new Date(finding.resolvedMs).toISOString(),
  };
}
