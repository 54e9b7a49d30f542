/**
 * Redrive: dead letters through the door again, with their original versions, so that one that was set aside months ago
 * can't replace anything newer. Letters go in the order of their IDs; the job's cursor moves in the transaction that did
 * the work, so a killed runner's job goes on at the next letter. A letter that fails again is the same letter with one
 * more attempt.
 */
import { randomUUID } from 'node:crypto';
import type { LetterFilter } from '../../deadletter/letter-filter.ts';
import type { IndexedLetter, LetterFailure, LetterIndex } from '../../deadletter/letter-index.ts';
import type { Decoder, SourceRecord } from '../../decode/record.ts';
import { LockstepError, messageOf } from '../../shared/errors.ts';
import type { AuditEntry } from '../../target/stores/audit-log.ts';
import type { Job, JobStore } from '../../target/stores/job-store.ts';
import type { OutsideDoor, OutsideOutcome } from '../../target/outside-door.ts';
import { PacedDoor, type Pacing } from '../../target/paced-door.ts';
import type { Statement } from '../../target/transaction.ts';
import { failureCount, failuresOf } from '../jobs/failure-counts.ts';
import { RateLimit } from '../connect/rate-limit.ts';
import { auditImage, parsePatch, patched } from './patch.ts';
import { failureOf, preparedLetter, type LetterChange } from './prepared-letter.ts';
import { batchChangeOf, EarlierChanges } from './earlier-changes.ts';
import { filterDocument, filterFrom, type FilterDocument } from './filter-document.ts';

export const REDRIVE = 'redrive';

/** Letters read at a time: their records are in memory together. */
const PAGE_LETTERS = 200;
/** Letters in one transaction under the exclusive gate: ≤ 50 ms of holding it (DESIGN §5). */
const BATCH_LETTERS = 50;
export interface RedriveRequest {
  readonly filter: LetterFilter;
  readonly dryRun: boolean;
  /** Letters at most; null = all. */
  readonly limit: number | null;
  /** Letters a second at most; null = as the gate allows. */
  readonly ratePerSecond: number | null;
  readonly requestedBy: string;
  /** A correction of one letter's record; null = as it came. */
  readonly correction: Correction | null;
}

/** What a person changes by hand, and why; both are kept in the audit log. */
export interface Correction {
  /** JSON text, see patch.ts. */
  readonly patch: string;
  readonly why: string;
}

/** Outcomes of letters; `failed` ones stay what they were, with one more attempt. */
export type RedriveCounts = Record<OutsideOutcome | 'failed', number>;

export interface RedriveProgress {
  readonly jobId: string;
  readonly dryRun: boolean;
  readonly status: Job['status'];
  readonly total: number;
  readonly done: number;
  readonly counts: RedriveCounts;
  /** Failures by code. */
  readonly failures: Readonly<Record<string, number>>;
  readonly error: string | null;
}

export interface RedriveParts extends Pacing {
  readonly index: LetterIndex;
  readonly jobs: JobStore;
  readonly door: OutsideDoor;
  readonly audit: (entry: AuditEntry) => Statement;
  readonly read: (letters: readonly IndexedLetter[], signal: AbortSignal) => Promise<ReadonlyMap<bigint, SourceRecord>>;
  /** The decoder of a table, or null where the configuration does not name it. */
  readonly decoderOf: (table: string) => Decoder | null;
}

interface RedriveParameters {
  readonly filter: FilterDocument;
  readonly dry_run: boolean;
  readonly limit: number | null;
  readonly rate: number | null;
  /** Absent in jobs that began before there were corrections. */
  readonly correction?: Correction | null;
}

/** Begins a job: its row exists when this resolves, the work is done by `run`. */
export async function beginRedrive(parts: RedriveParts, request: RedriveRequest): Promise<Job> {
  if (request.correction !== null) checkCorrection(request.correction, request.filter);
  const filter = openOnly(request.filter);
  const matching = await parts.index.count(filter);
  const parameters: RedriveParameters = {
    filter: filterDocument(filter),
    dry_run: request.dryRun,
    limit: request.limit,
    rate: request.ratePerSecond,
    correction: request.correction,
  };
  return parts.jobs.create({
    id: randomUUID(),
    kind: REDRIVE,
    parameters,
    total: request.limit === null ? matching : Math.min(matching, request.limit),
    requestedBy: request.requestedBy,
  });
}

/** One letter at a time is corrected: what is right for one record is mostly wrong for the next. */
function checkCorrection({ patch, why }: Correction, filter: LetterFilter): void {
  parsePatch(patch);
  if (filter.id !== undefined && why.trim() !== '') return;
  throw new LockstepError('a patch is for one letter, with a word why', {
    code: 'PATCH_INVALID',
    kind: 'usage',
    remedy: 'name the letter by its ID and say why it is corrected',
  });
}

/** What was redriven or discarded is left alone unless it is asked for by status or by ID. */
function openOnly(filter: LetterFilter): LetterFilter {
  return filter.status === undefined && filter.id === undefined ? { ...filter, status: 'pending' } : filter;
}

/** Progress of a job as stored. */
export function progressOf(job: Job): RedriveProgress {
  const { dry_run: dryRun } = job.parameters as RedriveParameters;
  const at = (name: string): number => job.counts[name] ?? 0;
  const counts = {
    applied: at('applied'),
    superseded: at('superseded'),
    queued: at('queued'),
    failed: at('failed'),
  };
  const done = counts.applied + counts.superseded + counts.queued + counts.failed;
  return {
    jobId: job.id,
    dryRun,
    status: job.status,
    total: job.total,
    done,
    counts,
    failures: failuresOf(job.counts),
    error: job.error,
  };
}

/** One run of a job, from its cursor to its end. */
export class RedriveRun {
  readonly #parts: RedriveParts;
  readonly #job: Job;
  readonly #parameters: RedriveParameters;
  readonly #counts: Record<string, number>;
  readonly #door: PacedDoor;
  readonly #rate: RateLimit;
  readonly #onProgress: (progress: RedriveProgress) => void;
  /** Records before and after their correction, by letter. */
  readonly #images = new Map<bigint, Pick<AuditEntry, 'before' | 'after'>>();
  readonly #earlier = new EarlierChanges();
  /** Letters in one transaction: no more than may go in a second. */
  readonly #batchLetters: number;
  #cursor: bigint;
  #done: number;

  constructor(parts: RedriveParts, job: Job, onProgress: (progress: RedriveProgress) => void) {
    this.#parts = parts;
    this.#door = new PacedDoor(parts.door, parts);
    this.#job = job;
    this.#parameters = job.parameters as RedriveParameters;
    this.#counts = { ...job.counts };
    this.#cursor = job.cursor;
    this.#done = progressOf(job).done;
    this.#onProgress = onProgress;
    this.#rate = new RateLimit(parts, this.#parameters.rate);
    this.#batchLetters = Math.min(BATCH_LETTERS, this.#parameters.rate ?? BATCH_LETTERS);
  }

  /**
   * Works until every letter was tried, the job is cancelled, or something other than a letter fails: then the job is
   * FAILED with its reason and may be resumed. The signal ends it between two letters; the job can be resumed then too.
   */
  async run(signal: AbortSignal): Promise<RedriveProgress> {
    const { jobs } = this.#parts;
    const { id } = this.#job;
    try {
      const isWhole = await this.#letters(signal);
      await jobs.finish(id, isWhole ? 'COMPLETED' : 'CANCELLED', null);
    } catch (error) {
      const reason = signal.aborted ? 'interrupted' : messageOf(error);
      await jobs.finish(id, 'FAILED', reason).catch((cause: unknown) => {
        throw lost(id, reason, cause);
      });
    }
    const ended = await jobs.load(id);
    const progress = progressOf(ended ?? this.#job);
    this.#onProgress(progress);
    return progress;
  }

  /** False where the job was cancelled. */
  async #letters(signal: AbortSignal): Promise<boolean> {
    const { index, jobs, read } = this.#parts;
    const filter = filterFrom(this.#parameters.filter);
    for (;;) {
      signal.throwIfAborted();
      if (!(await jobs.heartbeat(this.#job.id))) return false;
      const left = this.#parameters.limit === null ? PAGE_LETTERS : this.#parameters.limit - this.#done;
      const letters = await index.page(filter, this.#cursor, Math.max(0, Math.min(PAGE_LETTERS, left)));
      if (letters.length === 0) return true;
      const records = await read(letters, signal);
      let batch: LetterChange[] = [];
      for (const letter of letters) {
        const prepared = preparedLetter(letter, this.#corrected(letter, records.get(letter.id)), this.#parts.decoderOf);
        const fits =
          prepared.kind === 'change' && (batch[0] === undefined || isSameShard(batch[0].letter, prepared.letter));
        if (batch.length > 0 && (!fits || batch.length === this.#batchLetters)) {
          await this.#apply(batch, signal);
          batch = [];
        }
        if (prepared.kind === 'change') batch.push(prepared);
        else await this.#fail(prepared.letter, prepared);
      }
      if (batch.length > 0) await this.#apply(batch, signal);
    }
  }

  /** The record as it is tried: as it came, or with the job's correction. */
  #corrected(letter: IndexedLetter, record: SourceRecord | undefined): SourceRecord | undefined {
    const correction = this.#parameters.correction ?? null;
    if (correction === null || record === undefined) return record;
    const after = patched(record.value, parsePatch(correction.patch));
    this.#images.set(letter.id, { before: auditImage(record.value), after: auditImage(after) });
    return { ...record, value: after };
  }

  /** What the audit log is told of a corrected letter that goes through. */
  #audited(letter: IndexedLetter, outcome: OutsideOutcome): readonly Statement[] {
    const images = this.#images.get(letter.id);
    if (images === undefined) return [];
    const entry: AuditEntry = {
      ...images,
      actor: this.#job.requestedBy,
      action: 'CUSTOM_FIX',
      table: letter.table ?? '',
      rowKey: letter.rowKey,
      reason: this.#parameters.correction?.why ?? '',
      outcome,
    };
    return [this.#parts.audit(entry)];
  }

  /** Several letters of one shard in one transaction; halved where one of them fails. */
  async #apply(batch: readonly LetterChange[], signal: AbortSignal): Promise<void> {
    const [first] = batch;
    if (first === undefined) return;
    await this.#rate.wait(batch.length, signal);
    try {
      await this.#throughDoor(first, batch, signal);
    } catch (error) {
      if (!(error instanceof LockstepError) || error.kind !== 'row') throw error;
      if (batch.length === 1) {
        await this.#fail(first.letter, failureOf(error));
        return;
      }
      const middle = Math.ceil(batch.length / 2);
      await this.#apply(batch.slice(0, middle), signal);
      await this.#apply(batch.slice(middle), signal);
    }
  }

  async #throughDoor(first: LetterChange, batch: readonly LetterChange[], signal: AbortSignal): Promise<void> {
    const { index, jobs } = this.#parts;
    const { id } = this.#job;
    const dryRun = this.#parameters.dry_run;
    const before = dryRun ? this.#earlier.of(batch) : [];
    const cursor = batch.at(-1)?.letter.id ?? this.#cursor;
    const outcomes = await this.#door.apply(
      {
        shard: first.letter.shard,
        table: first.letter.table ?? '',
        origin: 'redrive',
        changes: [...before, ...batch.map(batchChangeOf)],
        also: (all) => {
          const found = all.slice(before.length);
          return [
            ...batch.flatMap(({ letter }, i) => {
              const outcome = found[i] ?? 'applied';
              return [...index.redriven(letter, id, outcome), ...this.#audited(letter, outcome)];
            }),
            this.#advance(cursor, withOutcomes(this.#counts, found)),
          ];
        },
        dryRun,
      },
      signal,
      () => jobs.heartbeat(id),
    );
    if (dryRun) this.#earlier.add(batch);
    Object.assign(this.#counts, withOutcomes(this.#counts, outcomes.slice(before.length)));
    await this.#moved(cursor, batch.length);
  }

  #advance(cursor: bigint, counts: Readonly<Record<string, number>>): Statement {
    return this.#parts.jobs.advance(this.#job.id, cursor, counts);
  }

  async #fail(letter: IndexedLetter, failure: LetterFailure): Promise<void> {
    const counts = this.#counts;
    counts['failed'] = (counts['failed'] ?? 0) + 1;
    const { code } = failure;
    counts[failureCount(code)] = (counts[failureCount(code)] ?? 0) + 1;
    const move = this.#advance(letter.id, counts);
    if (this.#parameters.dry_run) await this.#parts.index.run([move]);
    else await this.#parts.index.failedAgain(letter, this.#job.id, failure, move);
    await this.#moved(letter.id, 1, true);
  }

  /** A dry run commits nothing but how far it is. */
  async #moved(cursor: bigint, letters: number, isStored = !this.#parameters.dry_run): Promise<void> {
    this.#cursor = cursor;
    this.#done += letters;
    if (!isStored) await this.#parts.index.run([this.#advance(cursor, this.#counts)]);
    this.#onProgress(progressOf({ ...this.#job, counts: this.#counts, status: 'RUNNING' }));
  }
}

/** Not even the job's own row could be written: it counts as silent after a while. */
function lost(id: string, reason: string, cause: unknown): LockstepError {
  return new LockstepError(`redrive ${id} ended: ${reason}`, {
    code: 'REDRIVE_LOST',
    kind: 'transient',
    remedy: `when PostgreSQL is back, and half a minute later: lockstep dlq redrive --resume ${id}`,
    cause,
  });
}

function isSameShard(left: IndexedLetter, right: IndexedLetter): boolean {
  return (
    left.shard.topic === right.shard.topic &&
    left.shard.incarnation === right.shard.incarnation &&
    left.shard.partition === right.shard.partition
  );
}

function withOutcomes(
  counts: Readonly<Record<string, number>>,
  outcomes: readonly OutsideOutcome[],
): Record<string, number> {
  const next = { ...counts };
  for (const outcome of outcomes) next[outcome] = (next[outcome] ?? 0) + 1;
  return next;
}
