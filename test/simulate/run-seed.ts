/** One simulated run: a history, its capture, the service under faults, and the proof that the target is the source. */
import type { RowKey } from '../../src/change/change-event.ts';
import { identify } from '../../src/change/change-id.ts';
import type { SourceRow } from '../../src/change/hint.ts';
import { seededRandom, type Random } from '../../src/demo/workload/random.ts';
import { LockstepError } from '../../src/shared/errors.ts';
import { textArray } from '../../src/target/sql-text.ts';
import { CassandraModel } from '../model/cassandra.ts';
import { generateHistory, type History } from '../model/generate.ts';
import type { Mutation } from '../model/mutation.ts';
import { Audit, type Refutation } from './audit.ts';
import { emitHistory } from './capture.ts';
import { faultPlan, type FaultPlan } from './faults.ts';
import { SimulatedKafka, type LogRecord } from './kafka.ts';
import { NOTE_OUTSIDE } from './postgres/control-statements.ts';
import type { TargetRow } from './postgres/relations.ts';
import { postgresError, SimulatedPostgres } from './postgres/server.ts';
import { Scheduler } from './scheduler.ts';
import { ServiceProcess, type World } from './service.ts';
import type { BoundTable } from '../../src/target/bound-table.ts';
import { boundTableOf } from './table.ts';

/** The source's clock at the beginning. */
const START_MS = 1_800_000_000_000;
/** More steps than any run needs that still gets on. */
const MAX_STEPS = 60_000;
const FOLLOW_GROWTH_MS = 150;
/** A failover soon after a commit: within the steps of the transaction that follows it. */
const SOON_MS = 40;
const MAX_STATEMENTS = 18;
/** More turns than reads can follow from one another. */
const MAX_TURNS = 60;

export interface RunCounts {
  readonly steps: number;
  readonly commits: number;
  readonly faults: number;
  readonly deadLetters: number;
}

export interface RunResult {
  readonly seed: number;
  readonly history: History;
  readonly refutation: Refutation | null;
  readonly counts: RunCounts;
}

/** The history that a seed stands for. */
export function historyOf(seed: number): History {
  const random = seededRandom(seed);
  return generateHistory(random, START_MS, random.between(3, MAX_STATEMENTS));
}

/** Runs the seed's history, or another one under the seed's schedule and faults (to find a smaller one). */
export async function runSeed(
  seed: number,
  history: History = historyOf(seed),
  trace: ((line: string) => void) | null = null,
): Promise<RunResult> {
  const run = new Run(seed, history, await boundTableOf(history.schema), trace);
  await run.go();
  return { seed, history, refutation: run.refutation, counts: run.counts };
}

class Run {
  readonly #history: History;
  readonly #random: Random;
  readonly #plan: FaultPlan;
  readonly #scheduler: Scheduler;
  readonly #kafka: SimulatedKafka;
  readonly #postgres: SimulatedPostgres;
  readonly #audit: Audit;
  readonly #world: World;
  /** What the source has by now. */
  readonly #source: CassandraModel;
  readonly #dlq = new Map<string, { key: Buffer | null; value: Buffer | null }>();
  readonly #processes: ServiceProcess[] = [];
  readonly #trace: ((line: string) => void) | null;
  #named = 0;
  #faults = 0;
  /** Commits that no failover loses. */
  #keptCommits = 0;
  /** From here on nothing goes wrong any more. */
  #isHealed = false;
  #emitted = false;
  #outside = 0;
  refutation: Refutation | null = null;

  constructor(seed: number, history: History, table: BoundTable, trace: ((line: string) => void) | null) {
    this.#trace = trace;
    this.#history = history;
    this.#source = new CassandraModel(history.schema);
    this.#random = seededRandom(seed ^ 0x5eed);
    this.#plan = faultPlan(this.#random, history.schema);
    this.#scheduler = new Scheduler(this.#random, START_MS);
    this.#scheduler.slowness = this.#plan.slowness;
    this.#kafka = new SimulatedKafka(this.#scheduler, table.table.topic, this.#random.between(1, 3));
    this.#postgres = new SimulatedPostgres(this.#scheduler, table, {
      fault: () => {
        const fault = this.#isHealed ? null : this.#plan.statementFault();
        if (fault !== null) this.#faults += 1;
        return fault;
      },
      check: (row) => this.#check(row),
      beforeCommit: (tx) => this.#audit.beforeCommit(tx),
      afterCommit: (tx) => {
        this.#audit.afterCommit(tx);
        if (this.#kafka.isGrowthUnnoted) this.#noteGrowth();
        if (!this.#isHealed && this.#plan.failsOver()) {
          this.#scheduler.after(this.#random.below(SOON_MS), () => {
            if (!this.#isHealed) this.#happen('failover');
          });
        }
      },
      trace: trace === null ? null : (line) => this.#tell(line),
      onBug: (error) => this.#refute({ invariant: 'simulation', what: error.message }),
    });
    const clock = { nowMs: () => this.#scheduler.nowMs };
    this.#audit = new Audit({
      schema: history.schema,
      table,
      kafka: this.#kafka,
      storage: this.#postgres.storage,
      nowUs: () => BigInt(this.#scheduler.nowMs) * 1000n,
      letterAt: (partition, offset) => this.#dlq.get(`${partition}:${offset}`) ?? null,
      isForbidden: (mutation) => this.#isForbidden(mutation),
      refute: (refutation) => this.#refute(refutation),
    });
    this.#world = {
      scheduler: this.#scheduler,
      kafka: this.#kafka,
      postgres: this.#postgres,
      clock,
      onBytesInFlight: (bytes, limit) => {
        if (bytes > limit) this.#refute({ invariant: '9 bounded memory', what: `${bytes} bytes in flight` });
      },
      readRows: (_table, keys) => this.#readRows(keys),
      putLetters: async (letters) => {
        if (!this.#isHealed && this.#plan.dlqFails()) {
          this.#faults += 1;
          throw new LockstepError('simulated', { code: 'KAFKA_UNAVAILABLE', kind: 'transient' });
        }
        for (const { record } of letters) {
          this.#dlq.set(`${record.partition}:${record.offset}`, { key: record.key, value: record.value });
        }
      },
    };
  }

  get counts(): RunCounts {
    return {
      steps: this.#scheduler.steps,
      commits: this.#audit.commits,
      faults: this.#faults,
      deadLetters: this.#postgres.storage.letters.rows.size,
    };
  }

  async go(): Promise<void> {
    for (let i = this.#random.between(1, 2); i > 0; i -= 1) this.#start();
    this.#kafka.rebalance();
    const endMs = emitHistory(this.#history, this.#kafka, this.#random, {
      onExecuted: (mutation) => this.#source.apply(mutation),
      onEmitted: (mutation) => this.#audit.emitted(mutation),
    });
    this.#scheduler.after(endMs, () => (this.#emitted = true));
    this.#scheduleTrouble(endMs);
    if (!(await this.#until('the stream was consumed', () => this.#emitted && this.#isDrained()))) return;
    this.#heal();
    await this.#finish();
  }

  #tell(line: string): void {
    this.#trace?.(`${this.#scheduler.steps} +${this.#scheduler.nowMs - START_MS} ms  ${line}`);
  }

  #refute(refutation: Refutation): void {
    this.#tell(`REFUTED ${refutation.invariant}: ${refutation.what}`);
    this.refutation ??= refutation;
  }

  #isForbidden(mutation: Mutation): boolean {
    const { forbidden } = this.#plan;
    if (forbidden === null || !('cells' in mutation)) return false;
    return mutation.cells[forbidden.column] === forbidden.value;
  }

  #check(row: TargetRow): void {
    const { forbidden } = this.#plan;
    if (this.#isHealed || forbidden === null || row.values[forbidden.column] !== forbidden.value) return;
    throw postgresError('23514');
  }

  #start(): void {
    this.#named += 1;
    this.#processes.push(new ServiceProcess(this.#world, `process ${this.#named}`));
  }

  get #living(): readonly ServiceProcess[] {
    return this.#processes.filter(({ isAlive }) => isAlive);
  }

  /** True where the condition came about; else the run is refuted, or was before. */
  async #until(what: string, condition: () => boolean): Promise<boolean> {
    const isOver = (): boolean => this.refutation !== null || condition();
    if (!(await this.#scheduler.until(isOver, MAX_STEPS))) {
      this.#refute({ invariant: 'liveness', what: `it never came about that ${what}; ${this.#positions()}` });
    }
    return this.refutation === null;
  }

  #positions(): string {
    return [...this.#postgres.storage.offsets.rows.values()]
      .map(({ partition, next, state }) => `${partition}: ${next} of ${this.#kafka.logs[partition]!.end} ${state}`)
      .join(', ');
  }

  #isDrained(): boolean {
    if (this.#outside > 0) return false;
    const { rows } = this.#postgres.storage.offsets;
    if (rows.size < this.#kafka.logs.length) return false;
    return [...rows.values()].every(({ partition, next }) => next === this.#kafka.logs[partition]!.end);
  }

  #scheduleTrouble(endMs: number): void {
    const at = (ms: number, run: () => void): void => {
      this.#scheduler.after(ms, () => {
        if (!this.#isHealed) run();
      });
    };
    for (const { ms, kind } of this.#plan.events(endMs)) at(ms, () => this.#happen(kind));
  }

  #happen(kind: ReturnType<FaultPlan['events']>[number]['kind']): void {
    this.#faults += 1;
    this.#tell(kind);
    switch (kind) {
      case 'crash':
        this.#random.pick(this.#living).crash();
        this.#start();
        this.#kafka.rebalance();
        return;
      case 'stop': {
        this.#random.pick(this.#living).stop();
        this.#start();
        this.#kafka.rebalance();
        return;
      }
      case 'rebalance':
        if (this.#living.length < 3) this.#start();
        this.#kafka.rebalance();
        return;
      case 'failover':
        this.#lose(this.#random.between(0, 4));
        return;
      case 'restore':
        this.#lose(this.#random.between(5, 60));
        return;
      case 'sweep':
        this.#faults -= 1;
        this.#sweep();
        return;
      case 'read':
        this.#faults -= 1;
        this.#serve();
        return;
      case 'replay':
        this.#replay();
        return;
      case 'grow':
        // A topic that grew before its first shard rows were written is not told from one that never did.
        if (this.#postgres.storage.offsets.rows.size === 0) return;
        this.#keptCommits = this.#postgres.storage.commits;
        this.#kafka.grow();
        this.#followGrowth();
        return;
    }
  }

  #noteGrowth(): void {
    const { offsets, growth } = this.#postgres.storage;
    if (offsets.rows.size < this.#kafka.logs.length) return;
    const row = growth.rows.get(this.#kafka.topic);
    this.#kafka.growthNoted(row === undefined ? this.#scheduler.nowMs : row.grownAt * 1000);
    this.#keptCommits = this.#postgres.storage.commits;
    // Now a key's records are in two shards: writers beside the stream meet the other one's.
    for (let left = this.#random.below(16); left > 0; left -= 1) {
      this.#scheduler.after(this.#random.below(4_000), () => {
        if (!this.#isHealed) this.#replay();
      });
    }
  }

  /** As the service does every now and then, for as long as the run lasts. */
  #followGrowth(): void {
    this.#scheduler.after(FOLLOW_GROWTH_MS, () => {
      const process = this.#random.pick(this.#living);
      this.#tracked(process, () => process.followGrowth());
      this.#followGrowth();
    });
  }

  #lose(commits: number): void {
    this.#postgres.lose(Math.min(commits, this.#postgres.storage.commits - this.#keptCommits));
    this.#audit.rebuild();
    this.#postgres.isDown = true;
    // A standby that was waiting takes over at once; then nobody notices but by what is gone.
    const downMs = this.#random.below(this.#random.pick([1, 20, 1_000]));
    this.#scheduler.after(downMs, () => (this.#postgres.isDown = false));
  }

  #sweep(): void {
    const process = this.#random.pick(this.#living);
    this.#tracked(process, () => process.sweep(this.#random.below(this.#kafka.logs.length)));
  }

  #serve(): void {
    if (!this.#history.schema.isAsked) return;
    const process = this.#random.pick(this.#living);
    this.#tracked(process, () => process.serve(this.#random.below(this.#kafka.logs.length)));
  }

  /** The source answers in its own time, with what it had when it was asked. */
  #readRows(keys: readonly RowKey[]): Promise<readonly SourceRow[]> {
    return new Promise((resolve, reject) => {
      this.#scheduler.step(() => {
        if (!this.#isHealed && this.#plan.sourceFails()) {
          this.#faults += 1;
          reject(new LockstepError('simulated', { code: 'SOURCE_UNREACHABLE', kind: 'transient' }));
          return;
        }
        const nowUs = BigInt(this.#scheduler.nowMs) * 1000n;
        const rows = keys.map((key): SourceRow => {
          const row = this.#source.read(key.text, nowUs);
          if (row === null) return null;
          return {
            cells: row.cells.map((cell) =>
              cell === null ? null : { writeTime: cell.time, value: cell.value, expiry: cell.expiry },
            ),
          };
        });
        this.#scheduler.step(() => resolve(rows));
      });
    });
  }

  /** Work beside the stream; what fails of it is tried again by whoever owns it, or not. */
  #tracked(process: ServiceProcess, work: () => Promise<unknown>): void {
    void work().catch((error: unknown) => {
      if (error instanceof LockstepError && error.kind !== 'bug') return;
      // The sweep hands on what `pg` threw.
      if (error instanceof Error && !(error instanceof TypeError)) return;
      if (process.isAlive) this.#refute({ invariant: 'no bug', what: String(error) });
    });
  }

  /** A window is replayed: records of one partition, in any order, whatever the position. */
  #replay(): void {
    const log = this.#random.pick(this.#kafka.logs);
    const able = log.records.filter(({ fate, mutation }) => fate === 'applies' && !this.#isForbidden(mutation!));
    if (able.length === 0) return;
    const entries = Array.from({ length: this.#random.between(1, 3) }, () => this.#random.pick(able));
    const process = this.#random.pick(this.#living);
    this.#tracked(process, () => this.#sendOutside(process, entries, 'replay'));
  }

  #sendOutside(process: ServiceProcess, entries: readonly LogRecord[], origin: 'replay' | 'redrive'): Promise<unknown> {
    const { table } = this.#postgres.table;
    const changes = entries.flatMap(({ record }) => {
      const decoded = process.decoder.decode(record);
      if (decoded.kind === 'change') {
        return [{ offset: record.offset, change: decoded.change, id: identify(decoded.change, decoded.contents).id }];
      }
      this.#refute({ invariant: 'no bug', what: `undecodable: ${record.value?.toString()}` });
      return [];
    });
    if (changes.length < entries.length) return Promise.resolve();
    const { partition } = entries[0]!.record;
    return process.outside.apply({
      shard: { topic: table.topic, incarnation: 1, partition },
      table: table.name,
      origin,
      changes,
      dryRun: this.#random.chance(0.1),
      also: () => [
        {
          text: NOTE_OUTSIDE,
          values: [
            textArray(entries.map(() => String(partition))),
            textArray(entries.map(({ record }) => String(record.offset))),
          ],
        },
      ],
    });
  }

  #heal(): void {
    this.#isHealed = true;
    this.#postgres.isDown = false;
    if (this.#living.length === 0) this.#start();
    this.#kafka.rebalance();
  }

  /** Redrives what was given up on, drains, sweeps, and compares: at once, and when everything with a TTL has expired. */
  async #finish(): Promise<void> {
    for (const letter of [...this.#postgres.storage.letters.rows.values()]) {
      const entry = this.#kafka.logs[letter.partition]!.records.find(({ record }) => record.offset === letter.offset)!;
      if (entry.fate === 'applies' && !(await this.#redriven(entry))) return;
    }
    if (!(await this.#until('all was drained', () => this.#isDrained()))) return;
    const model = new CassandraModel(this.#history.schema);
    for (const { mutation } of this.#history.statements) model.apply(mutation);
    for (const atUs of this.#moments()) {
      this.#scheduler.nowMs = Math.max(this.#scheduler.nowMs, Number(atUs / 1000n));
      if (!(await this.#served())) return;
      this.#audit.checkAll(model);
    }
  }

  /** When to compare: now, and whenever something of the history expires. */
  #moments(): readonly bigint[] {
    const expiries = this.#history.statements.flatMap(({ mutation }) =>
      'expiry' in mutation ? [mutation.expiry] : [],
    );
    const nowUs = BigInt(this.#scheduler.nowMs) * 1000n;
    const later = expiries.filter((expiry) => expiry !== null && expiry > nowUs) as bigint[];
    return [nowUs, ...[...new Set(later)].sort((a, b) => (a < b ? -1 : 1))];
  }

  async #redriven(entry: LogRecord): Promise<boolean> {
    const at = `${entry.record.partition}:${entry.record.offset}`;
    const isDone = (): boolean => this.#postgres.storage.letters.rows.get(at)?.status === 'redriven';
    let isBusy = false;
    return this.#until('a dead letter was redriven', () => {
      if (isDone()) return true;
      if (!isBusy) {
        isBusy = true;
        const process = this.#random.pick(this.#living);
        this.#tracked(process, () =>
          this.#sendOutside(process, [entry], 'redrive').finally(() => {
            isBusy = false;
          }),
        );
      }
      return false;
    });
  }

  /** Sweeps, and serves what the source is owed, which may be due later: until nothing is left. */
  async #served(): Promise<boolean> {
    const { rereads } = this.#postgres.storage;
    for (let turns = 0; turns < MAX_TURNS; turns += 1) {
      if (!(await this.#swept())) return false;
      const due = [...rereads.rows.values()].sort((a, b) => (a.dueUs < b.dueUs ? -1 : 1))[0];
      if (due === undefined) return true;
      this.#scheduler.nowMs = Math.max(this.#scheduler.nowMs, Number(due.dueUs / 1000n) + 1);
      let isOver = false;
      const process = this.#random.pick(this.#living);
      this.#tracked(process, () =>
        process.serve(due.partition).finally(() => {
          isOver = true;
        }),
      );
      if (!(await this.#until('the source was asked', () => isOver))) return false;
    }
    this.#refute({ invariant: 'liveness', what: `reads are owed again and again, ${rereads.rows.size} of them` });
    return false;
  }

  async #swept(): Promise<boolean> {
    const isOwed = (): boolean => {
      const nowUs = BigInt(this.#scheduler.nowMs) * 1000n;
      return [...this.#postgres.storage.queue.rows.values()].some(({ dueUs }) => dueUs <= nowUs);
    };
    let isBusy = false;
    return this.#until('everything expired was swept', () => {
      if (!isOwed()) return true;
      if (!isBusy) {
        isBusy = true;
        const process = this.#random.pick(this.#living);
        const partition = this.#random.below(this.#kafka.logs.length);
        this.#tracked(process, () =>
          process.sweep(partition).finally(() => {
            isBusy = false;
          }),
        );
      }
      return false;
    });
  }
}
