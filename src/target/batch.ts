import type { ChangeEvent } from '../change/change-event.ts';
import type { ChangeId } from '../change/change-id.ts';

/** What became of a change ID; several outcomes for one ID fold to the best: processed > filtered > dead_lettered. */
export type Outcome = 'processed' | 'filtered' | 'dead_lettered';

/** A shard: one Kafka partition of one source topic, in one incarnation of that topic. */
export interface ShardId {
  readonly topic: string;
  readonly incarnation: number;
  readonly partition: number;
}

/** The last data record before a position: what recognises a topic that was deleted and created again. */
export interface RecordMark {
  readonly offset: bigint;
  /** Kafka record timestamp, ms since the epoch. */
  readonly timestampMs: number;
  /** SHA-256 over the record's key and value bytes (`hashOfRecord`). */
  readonly hash: Buffer;
}

/** The index row of one dead letter; its bytes are in the DLQ topic before the batch's transaction begins. */
export interface DeadLetterEntry {
  readonly offset: bigint;
  /** Documented code, docs/error-codes.md. */
  readonly code: string;
  /** What was wrong, where, what to do. */
  readonly reason: string;
  /** Where in the record, or ''. */
  readonly path: string;
  readonly changeId: ChangeId | null;
  readonly rowKey: string | null;
  readonly status: 'pending' | 'waiting';
  readonly timestampMs: number;
  /** SHA-256 over key and value bytes: a copy, from wherever, counts only if it matches (DESIGN §8). */
  readonly sha256: Buffer;
  readonly valueBytes: number;
}

export interface BatchChange {
  readonly offset: bigint;
  readonly change: ChangeEvent;
  readonly id: ChangeId;
}

/**
 * The consecutive records of one shard that go through the door together. Every record in [from, next) is a change, a
 * dead letter, a duplicate or a skip (invariant 3); offsets that Kafka left out (control records, compaction) are none.
 */
export interface ApplyBatch {
  readonly shard: ShardId;
  /** `keyspace.table`. */
  readonly table: string;
  /** Must equal the stored position: that is the fence. */
  readonly from: bigint;
  /** The position after this batch: last offset of the fetch + 1, control records included. */
  readonly next: bigint;
  readonly lastRecord: RecordMark | null;
  readonly changes: readonly BatchChange[];
  readonly deadLetters: readonly DeadLetterEntry[];
  /** IDs of records whose fingerprint was applied a moment ago: in the ledger again, not in the rows. */
  readonly duplicates: readonly ChangeId[];
  /** Records with nothing to apply and nothing wrong (Kafka tombstones). */
  readonly skipped: number;
}

export interface ApplyStats {
  /** Distinct row keys that the batch's changes folded to. */
  readonly rows: number;
  /** Rows of the fold that changed nothing in the target, because everything there was newer or equal. */
  readonly superseded: number;
  /** Keys of the rows that the merge left to the source: of their changes each copy counts ⚠ (`EMPTY` most of the time). */
  readonly asked: ReadonlySet<string>;
}

export type ApplyResult =
  | { readonly kind: 'committed'; readonly stats: ApplyStats }
  /** The stored position is not `from`: somebody else applied these records, or commits were lost. Nothing was written. */
  | { readonly kind: 'fenced'; readonly storedNext: bigint };

/**
 * The one door to the target (DESIGN §5): one PostgreSQL transaction holding row effects, versions, tombstones, ledger,
 * queue, dead-letter index and position, all or nothing.
 *
 * `apply` rejects with a LockstepError whose `kind` says what to do. After a rejection nothing of the batch is in the
 * target, except tombstones of partition and range deletes, which may take effect earlier but never later — and except
 * where the answer to COMMIT was lost: then a second `apply` of the same batch is answered `fenced`.
 */
export interface Door {
  apply(batch: ApplyBatch, manner?: ApplyManner): Promise<ApplyResult>;
}

/** How a batch is applied; what is not said is the ordinary way. */
export interface ApplyManner {
  /** Under the exclusive gate: for a batch that met the others of its table in deadlocks (DESIGN §5 "Locks"). */
  readonly alone?: boolean;
  /** Does everything and commits nothing; tombstones of partition and range deletes are not even tried. */
  readonly trial?: boolean;
}
