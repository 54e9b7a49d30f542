/**
 * All that one simulated run takes place on: the source, the log, the database and the processes of the service, on one
 * scheduler and one source of chance. What goes wrong is trouble.ts, how a run ends ending.ts.
 */
import type { RowKey } from '../../src/change/change-event.ts';
import { identify } from '../../src/change/change-id.ts';
import type { SourceRow } from '../../src/change/hint.ts';
import { seededRandom, type Random } from '../../src/demo/workload/random.ts';
import { LockstepError } from '../../src/shared/errors.ts';
import type { BoundTable } from '../../src/target/bound-table.ts';
import { textArray } from '../../src/target/sql-text.ts';
import { CassandraModel } from '../model/cassandra.ts';
import type { History } from '../model/generate.ts';
import type { Mutation } from '../model/mutation.ts';
import { Audit, type Refutation } from './audit.ts';
import { faultPlan, type FaultPlan } from './faults.ts';
import { SimulatedKafka, type LogRecord } from './kafka.ts';
import { NOTE_OUTSIDE } from './postgres/control-statements.ts';
import type { TargetRow } from './postgres/relations.ts';
import { postgresError, SimulatedPostgres } from './postgres/server.ts';
import { Scheduler } from './scheduler.ts';
import { ServiceProcess, type World } from './service.ts';

/** The source's clock at the beginning. */
export const START_MS = 1_800_000_000_000;
/** More steps than any run needs that still gets on. */
const MAX_STEPS = 60_000;

export interface RunCounts {
  readonly steps: number;
  readonly commits: number;
  readonly faults: number;
  readonly deadLetters: number;
}

export class Stage {
  readonly history: History;
  readonly random: Random;
  readonly plan: FaultPlan;
  readonly scheduler: Scheduler;
  readonly kafka: SimulatedKafka;
  readonly postgres: SimulatedPostgres;
  readonly audit: Audit;
  /** What the source has by now. */
  readonly source: CassandraModel;
  readonly #world: World;
  readonly #dlq = new Map<string, { key: Buffer | null; value: Buffer | null }>();
  readonly #processes: ServiceProcess[] = [];
  readonly #trace: ((line: string) => void) | null;
  #named = 0;
  faults = 0;
  /** From here on nothing goes wrong any more. */
  isHealed = false;
  /** Told of every commit, when it has happened. */
  onCommit: () => void = () => undefined;
  refutation: Refutation | null = null;

  constructor(seed: number, history: History, table: BoundTable, trace: ((line: string) => void) | null) {
    this.#trace = trace;
    this.history = history;
    this.source = new CassandraModel(history.schema);
    this.random = seededRandom(seed ^ 0x5eed);
    this.plan = faultPlan(this.random, history.schema);
    this.scheduler = new Scheduler(this.random, START_MS);
    this.scheduler.slowness = this.plan.slowness;
    this.kafka = new SimulatedKafka(this.scheduler, table.table.topic, this.random.between(1, 3));
    this.postgres = new SimulatedPostgres(this.scheduler, table, {
      fault: () => {
        const fault = this.isHealed ? null : this.plan.statementFault();
        if (fault !== null) this.faults += 1;
        return fault;
      },
      check: (row) => this.#check(row),
      beforeCommit: (tx) => this.audit.beforeCommit(tx),
      afterCommit: (tx) => {
        this.audit.afterCommit(tx);
        this.onCommit();
      },
      trace: trace === null ? null : (line) => this.tell(line),
      onBug: (error) => this.refute({ invariant: 'simulation', what: error.message }),
    });
    const clock = { nowMs: () => this.scheduler.nowMs };
    this.audit = new Audit({
      schema: history.schema,
      table,
      kafka: this.kafka,
      storage: this.postgres.storage,
      nowUs: () => BigInt(this.scheduler.nowMs) * 1000n,
      letterAt: (partition, offset) => this.#dlq.get(`${partition}:${offset}`) ?? null,
      isForbidden: (mutation) => this.isForbidden(mutation),
      refute: (refutation) => this.refute(refutation),
    });
    this.#world = {
      scheduler: this.scheduler,
      kafka: this.kafka,
      postgres: this.postgres,
      clock,
      onBytesInFlight: (bytes, limit) => {
        if (bytes > limit) this.refute({ invariant: '9 bounded memory', what: `${bytes} bytes in flight` });
      },
      readRows: (_table, keys) => this.#readRows(keys),
      putLetters: async (letters) => {
        if (!this.isHealed && this.plan.dlqFails()) {
          this.faults += 1;
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
      steps: this.scheduler.steps,
      commits: this.audit.commits,
      faults: this.faults,
      deadLetters: this.postgres.storage.letters.rows.size,
    };
  }

  tell(line: string): void {
    this.#trace?.(`${this.scheduler.steps} +${this.scheduler.nowMs - START_MS} ms  ${line}`);
  }

  refute(refutation: Refutation): void {
    this.tell(`REFUTED ${refutation.invariant}: ${refutation.what}`);
    this.refutation ??= refutation;
  }

  isForbidden(mutation: Mutation): boolean {
    const { forbidden } = this.plan;
    if (forbidden === null || !('cells' in mutation)) return false;
    return mutation.cells[forbidden.column] === forbidden.value;
  }

  #check(row: TargetRow): void {
    const { forbidden } = this.plan;
    if (this.isHealed || forbidden === null || row.values[forbidden.column] !== forbidden.value) return;
    throw postgresError('23514');
  }

  start(): void {
    this.#named += 1;
    this.#processes.push(new ServiceProcess(this.#world, `process ${this.#named}`));
  }

  get living(): readonly ServiceProcess[] {
    return this.#processes.filter(({ isAlive }) => isAlive);
  }

  /** True where the condition came about; else the run is refuted, or was before. */
  async until(what: string, condition: () => boolean): Promise<boolean> {
    const isOver = (): boolean => this.refutation !== null || condition();
    if (!(await this.scheduler.until(isOver, MAX_STEPS))) {
      this.refute({ invariant: 'liveness', what: `it never came about that ${what}; ${this.#positions()}` });
    }
    return this.refutation === null;
  }

  #positions(): string {
    return [...this.postgres.storage.offsets.rows.values()]
      .map(({ partition, next, state }) => `${partition}: ${next} of ${this.kafka.logs[partition]!.end} ${state}`)
      .join(', ');
  }

  isDrained(): boolean {
    const { rows } = this.postgres.storage.offsets;
    if (rows.size < this.kafka.logs.length) return false;
    return [...rows.values()].every(({ partition, next }) => next === this.kafka.logs[partition]!.end);
  }

  /** The source answers in its own time, with what it had when it was asked. */
  #readRows(keys: readonly RowKey[]): Promise<readonly SourceRow[]> {
    return new Promise((resolve, reject) => {
      this.scheduler.step(() => {
        if (!this.isHealed && this.plan.sourceFails()) {
          this.faults += 1;
          reject(new LockstepError('simulated', { code: 'SOURCE_UNREACHABLE', kind: 'transient' }));
          return;
        }
        const nowUs = BigInt(this.scheduler.nowMs) * 1000n;
        const rows = keys.map((key): SourceRow => {
          const row = this.source.read(key.text, nowUs);
          if (row === null) return null;
          return {
            cells: row.cells.map((cell) =>
              cell === null ? null : { writeTime: cell.time, value: cell.value, expiry: cell.expiry },
            ),
          };
        });
        this.scheduler.step(() => resolve(rows));
      });
    });
  }

  /** Work beside the stream; what fails of it is tried again by whoever owns it, or not. */
  tracked(process: ServiceProcess, work: () => Promise<unknown>): void {
    void work().catch((error: unknown) => {
      if (error instanceof LockstepError && error.kind !== 'bug') return;
      // The sweep hands on what `pg` threw.
      if (error instanceof Error && !(error instanceof TypeError)) return;
      if (process.isAlive) this.refute({ invariant: 'no bug', what: String(error) });
    });
  }

  sendOutside(process: ServiceProcess, entries: readonly LogRecord[], origin: 'replay' | 'redrive'): Promise<unknown> {
    const { table } = this.postgres.table;
    const changes = entries.flatMap(({ record }) => {
      const decoded = process.decoder.decode(record);
      if (decoded.kind === 'change') {
        return [{ offset: record.offset, change: decoded.change, id: identify(decoded.change, decoded.contents).id }];
      }
      this.refute({ invariant: 'no bug', what: `undecodable: ${record.value?.toString()}` });
      return [];
    });
    if (changes.length < entries.length) return Promise.resolve();
    const { partition } = entries[0]!.record;
    return process.outside.apply({
      shard: { topic: table.topic, incarnation: 1, partition },
      table: table.name,
      origin,
      changes,
      dryRun: this.random.chance(0.1),
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

  heal(): void {
    this.isHealed = true;
    this.postgres.isDown = false;
    if (this.living.length === 0) this.start();
    this.kafka.rebalance();
  }
}
