import type { ReconcileParts } from '../../reconcile/end-state/reconcile-table.ts';
import type { JobStore } from '../../target/stores/job-store.ts';
import type { VerifiedPoints } from '../../target/stores/verified-points.ts';

/** What a comparison runs on, whatever kind of table it is of. */
export interface OpenEndState {
  readonly parts: ReconcileParts;
  readonly jobs: JobStore;
  /** Where incremental comparisons go on, less how far clocks of writers are apart, µs. */
  readonly verified: VerifiedPoints;
  readonly skewUs: bigint;
  /** For the plan: rows of the target, roughly. */
  estimatedRows(): Promise<number>;
  /** The same for the table of its static columns; null where it has none. */
  readonly statics: Pick<OpenEndState, 'parts' | 'estimatedRows'> | null;
  close(): Promise<void>;
}

/** Whom it tells, and how fast it may go. */
export interface Told extends Pick<ReconcileParts, 'onProgress' | 'onLeft'> {
  /** Rows of the source a second at most; left out: `reconciliation.rowsPerSecond`. */
  readonly rowsPerSecond?: number | null;
}
