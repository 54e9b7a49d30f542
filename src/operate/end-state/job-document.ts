/** Comparisons and findings as the API shows them. Pure. */
import { MASK } from '../redrive/masking.ts';
import type { Finding } from '../../target/stores/finding-store.ts';
import type { EndedJob } from '../../target/stores/job-store.ts';
import type { ImageDocument } from '../../target/observation-document.ts';
import { findingDocument } from './report-document.ts';

/** What a comparison is asked for, in the parameters of its job. */
interface Parameters {
  readonly table: string;
  readonly strategy: string;
  /** Left out by runs of the command line. */
  readonly job_type?: 'MANUAL' | 'SCHEDULED';
}

type Report = Readonly<Record<string, unknown>>;

/**
 * A comparison in the list; `alertAbove` is the drift in percent that warns. While it runs its figures are null, and the
 * coverage is that of the ranges scanned so far.
 */
export function comparisonDocument(job: EndedJob, alertAbove: number): Record<string, unknown> {
  const { table, strategy, job_type: type = 'MANUAL' } = job.parameters as Parameters;
  const report = job.report as Report | null;
  const figure = (name: string): unknown => report?.[name] ?? null;
  return {
    job_id: job.id,
    table_name: table,
    job_type: type,
    validation_strategy: strategy,
    requested_by: job.requestedBy,
    started_at: new Date(job.startedMs).toISOString(),
    completed_at: job.completedMs === null ? null : new Date(job.completedMs).toISOString(),
    status: job.status,
    verdict: job.verdict,
    coverage: figure('coverage') ?? (job.total === 0 ? null : Number(job.cursor) / job.total),
    cassandra_row_count: figure('cassandra_row_count'),
    postgres_row_count: figure('postgres_row_count'),
    mismatch_count: figure('mismatch_count'),
    drift_percentage: figure('drift_percentage'),
    alert_fired: Number(figure('drift_percentage') ?? 0) > alertAbove,
    reasons: figure('reasons') ?? [],
    error: job.error,
  };
}

/** A finding, without the values of columns in `sensitive` (an empty set shows everything). */
export function mismatchDocument(
  finding: Finding,
  keyColumns: readonly string[],
  sensitive: ReadonlySet<string>,
): Record<string, unknown> {
  const document = findingDocument(finding);
  if (sensitive.size === 0) return document;
  return {
    ...document,
    primary_key_value: maskedKey(finding.rowKey, keyColumns, sensitive),
    cassandra_data: masked(finding.sourceImage, sensitive),
    postgres_data: masked(finding.targetImage, sensitive),
  };
}

function maskedKey(rowKey: string, keyColumns: readonly string[], sensitive: ReadonlySet<string>): string {
  if (!keyColumns.some((name) => sensitive.has(name))) return rowKey;
  const values = JSON.parse(rowKey) as readonly string[];
  return JSON.stringify(values.map((value, i) => (sensitive.has(keyColumns[i] ?? '') ? MASK : value)));
}

function masked(image: ImageDocument | null, sensitive: ReadonlySet<string>): ImageDocument | null {
  if (image === null) return null;
  const columns = Object.entries(image.columns).map(([name, cell]) => [
    name,
    sensitive.has(name) && cell.value !== null ? { ...cell, value: MASK } : cell,
  ]);
  return { ...image, columns: Object.fromEntries(columns) as ImageDocument['columns'] };
}
