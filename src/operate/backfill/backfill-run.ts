import type { Table } from '../../catalog/table.ts';
import type { ScanPage, ScanPosition } from '../../source/row-scan.ts';
import type { ScannedRow } from '../../source/scanned-rows.ts';
import { LockstepError, messageOf } from '../../shared/errors.ts';
import type { ShardId } from '../../target/batch.ts';
import { GateShare, TurnSize } from '../../target/gate-share.ts';
import type { Job, JobStore } from '../../target/stores/job-store.ts';
import type { Pacing } from '../../target/paced-door.ts';
import type {
  FoundOutcome,
  FoundRows,
  GateTimes,
  ReadMark,
  SourceRowsSession,
} from '../../target/rereads/source-rows.ts';
import type { Statement } from '../../target/transaction.ts';
import { failureCount } from '../jobs/failure-counts.ts';
import { RateLimit } from '../connect/rate-limit.ts';
import { progressOf, type BackfillProgress } from './backfill-job.ts';
import { stateDocument, stateOf, type BackfillPhase, type BackfillState } from './backfill-state.ts';

/** A sign of life this often; a runner that was not heard of for 30 s is taken for gone. */
const HEARTBEAT_MS = 5_000;
/** A target that does not answer is asked again after this long, doubled up to the next. */
const RETRY_MIN_MS = 20;
const RETRY_MAX_MS = 5_000;

/**
 * How long the gate is waited for, ms: as little as the stream notices, doubled up to the next where transactions of the
 * stream take longer, so that a busy table is backfilled too. The pauses grow alike.
 */
const GATE_WAIT_MIN_MS = 50;
const GATE_WAIT_MAX_MS = 1_000;

/** Rows of one turn at most: of a merge, which reads them first, and of an insert. */
const MAX_MERGED_ROWS = 1_000;
const MAX_INSERTED_ROWS = 5_000;
/** A turn in which less than this share was new is followed by so many that merge at once. */
const NEW_SHARE = 0.5;
const MERGING_TURNS = 20;

export interface BackfillParts extends Pacing {
  readonly jobs: JobStore;
  readonly table: Table;
  /** The table of its static columns, or null. */
  readonly statics: Table | null;
  readonly open: () => Promise<SourceRowsSession>;
  /** Shards whose owners work off what the rows leave in the queue, at least one. */
  readonly shards: readonly ShardId[];
  readonly scan: (table: Table, from: ScanPosition | null, signal: AbortSignal) => AsyncGenerator<ScanPage>;
  /** Why the target can't hold a row exactly, or null. */
  readonly problemOf: (table: string, row: ScannedRow) => LockstepError | null;
  /** Told of rows that are left out, and of what is tried again. */
  readonly warn: (error: LockstepError, what: string) => void;
}

export interface BackfillOptions {
  /** Rows a second at most; null = as the gate allows. */
  readonly ratePerSecond: number | null;
  readonly onProgress: (progress: BackfillProgress) => void;
}

/** A page under way: what its last chunk commits. */
interface Work {
  readonly session: SourceRowsSession;
  readonly table: string;
  readonly mark: ReadMark;
}

/** One run of a job, from where it stands to its end. */
export class BackfillRun {
  readonly #parts: BackfillParts;
  readonly #options: BackfillOptions;
  readonly #job: Job;
  readonly #gate = new GateShare();
  readonly #merged = new TurnSize(MAX_MERGED_ROWS);
  readonly #inserted = new TurnSize(MAX_INSERTED_ROWS);
  /** Turns that merge without trying to insert first. */
  #mergingTurns = 0;
  readonly #rate: RateLimit;
  #counts: Readonly<Record<string, number>>;
  /** Position and counts as they were noted in the job together. */
  #state: BackfillState;
  #noted: Readonly<Record<string, number>>;
  #turns = 0;

  constructor(parts: BackfillParts, job: Job, options: BackfillOptions) {
    this.#parts = parts;
    this.#options = options;
    this.#job = job;
    this.#counts = job.counts;
    this.#noted = job.counts;
    this.#state = stateOf(job);
    this.#rate = new RateLimit(parts, options.ratePerSecond);
  }

  /**
   * Works until every row was read, the job is cancelled, or what no repetition mends: then the job is FAILED with its
   * reason and may be resumed. The signal ends it between two transactions; the job can be resumed then too.
   */
  async run(signal: AbortSignal): Promise<BackfillProgress> {
    const { jobs } = this.#parts;
    const { id } = this.#job;
    const ended = new AbortController();
    const cancelled = new AbortController();
    const beating = this.#heartbeats(ended.signal, cancelled);
    try {
      await this.#phases(AbortSignal.any([signal, cancelled.signal]));
      await jobs.finish(id, 'COMPLETED', null);
    } catch (error) {
      const reason = signal.aborted ? 'interrupted' : messageOf(error);
      await jobs.finish(id, cancelled.signal.aborted ? 'CANCELLED' : 'FAILED', reason);
    } finally {
      ended.abort();
      await beating;
    }
    const progress = progressOf((await jobs.load(id)) ?? this.#job);
    this.#options.onProgress(progress);
    return progress;
  }

  async #heartbeats(ended: AbortSignal, cancelled: AbortController): Promise<void> {
    const { jobs, pause } = this.#parts;
    for (;;) {
      await pause(HEARTBEAT_MS, ended);
      if (ended.aborted) return;
      // A target that is away is noticed by the work itself.
      const isWanted = await jobs.heartbeat(this.#job.id).catch(() => true);
      if (!isWanted) cancelled.abort(new Error('the job was cancelled'));
    }
  }

  async #phases(signal: AbortSignal): Promise<void> {
    const { table, statics } = this.#parts;
    if (this.#state.phase === 'rows') {
      await this.#phase('rows', table, signal);
      if (statics !== null) this.#state = { phase: 'statics', position: null };
    }
    if (this.#state.phase === 'statics' && statics !== null) await this.#phase('statics', statics, signal);
  }

  /** Reads on where the last commit was, with a new session where one was lost. */
  async #phase(phase: BackfillPhase, table: Table, signal: AbortSignal): Promise<void> {
    for (let waitMs = RETRY_MIN_MS; ; waitMs = Math.min(RETRY_MAX_MS, waitMs * 2)) {
      const before = this.#state;
      const session = await this.#openSession(signal);
      try {
        await this.#pages(phase, table, session, signal);
        return;
      } catch (error) {
        signal.throwIfAborted();
        if (!session.isLost || !(error instanceof LockstepError) || error.kind !== 'transient') throw error;
        this.#parts.warn(error, 'the session with the target was lost, reading the page again');
        this.#counts = this.#noted;
      } finally {
        session.close();
      }
      if (this.#state !== before) waitMs = RETRY_MIN_MS;
      await this.#parts.pause(waitMs, signal);
    }
  }

  async #openSession(signal: AbortSignal): Promise<SourceRowsSession> {
    return this.#untilItAnswers(() => this.#parts.open(), signal);
  }

  /** Tries a step with the target again while it fails for a while only. */
  async #untilItAnswers<T>(step: () => Promise<T>, signal: AbortSignal, isFinal = (): boolean => false): Promise<T> {
    for (let waitMs = RETRY_MIN_MS; ; waitMs = Math.min(RETRY_MAX_MS, waitMs * 2)) {
      try {
        return await step();
      } catch (error) {
        if (!(error instanceof LockstepError) || error.kind !== 'transient' || isFinal()) throw error;
        // Columns that came to be meanwhile: this run does not know them, the next one does.
        if (error.code === 'SCHEMA_BEHIND') throw error;
        signal.throwIfAborted();
        // How often the gate is asked for is bounded already.
        if (error.code === 'GATE_BUSY') continue;
        this.#parts.warn(error, 'the target does not answer, trying again');
        await this.#parts.pause(waitMs, signal);
        signal.throwIfAborted();
      }
    }
  }

  async #pages(phase: BackfillPhase, table: Table, session: SourceRowsSession, signal: AbortSignal): Promise<void> {
    const pages = this.#parts.scan(table, this.#state.position, signal);
    // The mark first, then the source is asked: the order is what makes the sequence true.
    const ask = async (): Promise<{ readonly mark: ReadMark; readonly page: Promise<IteratorResult<ScanPage>> }> => {
      const mark = await session.begin();
      const page = pages.next();
      // Where its turn never comes, nobody asks what became of it.
      page.catch(() => undefined);
      return { mark, page };
    };
    try {
      for (let asked = await ask(); ;) {
        signal.throwIfAborted();
        const { mark, page } = asked;
        const next = await page;
        if (next.done === true) return;
        // The source reads the next page while this one is written.
        asked = await ask();
        await this.#page({ session, table: table.name, mark }, phase, next.value, signal);
      }
    } finally {
      await pages.return(undefined).catch(() => undefined);
    }
  }

  async #page(work: Work, phase: BackfillPhase, page: ScanPage, signal: AbortSignal): Promise<void> {
    for (const { error } of page.unreadable) this.#leaveOut(error);
    const rows: ScannedRow[] = [];
    for (const row of page.rows) {
      const problem = this.#parts.problemOf(work.table, row);
      if (problem === null) rows.push(row);
      else this.#leaveOut(problem);
    }
    this.#add(phase, page.rows.length + page.unreadable.length);
    const state: BackfillState = { phase, position: page.position };
    for (let at = 0; at < rows.length;) {
      const size = this.#mergingTurns > 0 ? this.#merged : this.#inserted;
      const chunk = rows.slice(at, at + size.rows);
      at += chunk.length;
      await this.#rate.wait(chunk.length, signal);
      await this.#chunk(work, chunk, signal);
      this.#report();
    }
    // After its rows: a page that was merged and not noted is merged again, which changes nothing.
    await this.#untilItAnswers(() => this.#parts.jobs.run(this.#move(state)), signal);
    this.#state = state;
    this.#noted = this.#counts;
    this.#report();
  }

  /** Inserts what is new, and merges the rest. */
  async #chunk(work: Work, rows: readonly ScannedRow[], signal: AbortSignal): Promise<void> {
    if (this.#mergingTurns > 0) {
      this.#mergingTurns -= 1;
      await this.#merge(work, rows, signal);
      return;
    }
    let rest = rows;
    try {
      const { left } = await this.#turn(work, rows, this.#inserted, (found) => work.session.insert(found), signal);
      rest = left.flatMap((i) => rows[i] ?? []);
      if (rows.length > rest.length) this.#add('written', rows.length - rest.length);
      if (rest.length > rows.length * (1 - NEW_SHARE)) this.#mergingTurns = MERGING_TURNS;
    } catch (error) {
      // The merge finds out which row it was.
      if (!(error instanceof LockstepError) || error.kind !== 'row') throw error;
    }
    for (let at = 0; at < rest.length;) {
      const chunk = rest.slice(at, at + this.#merged.rows);
      at += chunk.length;
      await this.#merge(work, chunk, signal);
    }
  }

  /** Rows in one transaction; halved where one of them fails. */
  async #merge(work: Work, rows: readonly ScannedRow[], signal: AbortSignal): Promise<void> {
    try {
      const merged = await this.#turn(work, rows, this.#merged, (found) => work.session.merge(found), signal);
      this.#account(work.table, rows, merged.outcomes);
    } catch (error) {
      if (!(error instanceof LockstepError) || error.kind !== 'row') throw error;
      if (rows.length === 1) {
        this.#leaveOut(error);
        return;
      }
      const middle = Math.ceil(rows.length / 2);
      await this.#merge(work, rows.slice(0, middle), signal);
      await this.#merge(work, rows.slice(middle), signal);
    }
  }

  /** One turn under the gate, when its share of the time allows it, and again while the gate is busy. */
  async #turn<T extends GateTimes>(
    work: Work,
    rows: readonly ScannedRow[],
    size: TurnSize,
    step: (found: FoundRows) => Promise<T>,
    signal: AbortSignal,
  ): Promise<T> {
    const { elapsedMs, shards, pause } = this.#parts;
    const shard = shards[this.#turns++ % shards.length];
    if (shard === undefined) throw new Error('a backfill has at least one shard');
    let gateWaitMs = GATE_WAIT_MIN_MS;
    return this.#untilItAnswers(
      async () => {
        const waitMs = this.#gate.waitMs(elapsedMs());
        if (waitMs > 0) await pause(waitMs, signal);
        signal.throwIfAborted();
        const beganMs = elapsedMs();
        let askedMs: number | null = null;
        try {
          const { table, mark } = work;
          const done = await step({ table, shard, mark, rows, gateWaitMs });
          ({ askedMs } = done);
          size.held(rows.length, askedMs - done.waitedMs);
          return done;
        } finally {
          const nowMs = elapsedMs();
          // Of a turn that failed it is not known when it asked.
          this.#gate.asked(askedMs ?? nowMs - beganMs, nowMs);
          gateWaitMs = Math.min(GATE_WAIT_MAX_MS, gateWaitMs * 2);
        }
      },
      signal,
      () => work.session.isLost,
    );
  }

  #account(table: string, rows: readonly ScannedRow[], outcomes: readonly FoundOutcome[]): void {
    for (const [i, outcome] of outcomes.entries()) {
      if (outcome === 'incomplete') this.#leaveOut(incompleteRow(table, rows[i]));
      else this.#add(outcome, 1);
    }
  }

  #leaveOut(error: LockstepError): void {
    this.#add('failed', 1);
    this.#add(failureCount(error.code), 1);
    this.#parts.warn(error, 'a row is left out');
  }

  #add(name: string, count: number): void {
    this.#counts = { ...this.#counts, [name]: (this.#counts[name] ?? 0) + count };
  }

  #move(state: BackfillState): Statement {
    return this.#parts.jobs.moveTo(this.#job.id, stateDocument(state), this.#counts);
  }

  #report(): void {
    const state = stateDocument(this.#state);
    this.#options.onProgress(progressOf({ ...this.#job, counts: this.#counts, state, status: 'RUNNING' }));
  }
}

function incompleteRow(table: string, row: ScannedRow | undefined): LockstepError {
  return new LockstepError(`row ${row?.key.text ?? ''} of ${table} has no value for a NOT NULL column of the target`, {
    code: 'INCOMPLETE_ROW',
    kind: 'row',
    remedy: 'give the column a value in the source, or drop NOT NULL in the target',
  });
}
