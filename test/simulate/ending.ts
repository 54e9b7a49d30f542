/** How a run ends: nothing goes wrong any more, everything that is owed is done, and the target must be the source. */
import { CassandraModel } from '../model/cassandra.ts';
import type { LogRecord } from './kafka.ts';
import type { Stage } from './stage.ts';

/** More turns than reads can follow from one another. */
const MAX_TURNS = 60;

export class Ending {
  readonly #stage: Stage;

  constructor(stage: Stage) {
    this.#stage = stage;
  }

  /** Redrives what was given up on, drains, sweeps, and compares: at once, and when everything with a TTL has expired. */
  async run(): Promise<void> {
    const { kafka, postgres, scheduler, audit, history } = this.#stage;
    for (const letter of [...postgres.storage.letters.rows.values()]) {
      const entry = kafka.logs[letter.partition]!.records.find(({ record }) => record.offset === letter.offset)!;
      if (entry.fate === 'applies' && !(await this.#redriven(entry))) return;
    }
    if (!(await this.#stage.until('all was drained', () => this.#stage.isDrained()))) return;
    const model = new CassandraModel(history.schema);
    for (const { mutation } of history.statements) model.apply(mutation);
    for (const atUs of this.#moments()) {
      scheduler.nowMs = Math.max(scheduler.nowMs, Number(atUs / 1000n));
      if (!(await this.#served())) return;
      audit.checkAll(model);
    }
  }

  /** When to compare: now, and whenever something of the history expires. */
  #moments(): readonly bigint[] {
    const { scheduler, history } = this.#stage;
    const expiries = history.statements.flatMap(({ mutation }) => ('expiry' in mutation ? [mutation.expiry] : []));
    const nowUs = BigInt(scheduler.nowMs) * 1000n;
    const later = expiries.filter((expiry) => expiry !== null && expiry > nowUs) as bigint[];
    return [nowUs, ...[...new Set(later)].sort((a, b) => (a < b ? -1 : 1))];
  }

  async #redriven(entry: LogRecord): Promise<boolean> {
    const { random, postgres } = this.#stage;
    const at = `${entry.record.partition}:${entry.record.offset}`;
    const isDone = (): boolean => postgres.storage.letters.rows.get(at)?.status === 'redriven';
    let isBusy = false;
    return this.#stage.until('a dead letter was redriven', () => {
      if (isDone()) return true;
      if (!isBusy) {
        isBusy = true;
        const process = random.pick(this.#stage.living);
        this.#stage.tracked(process, () =>
          this.#stage.sendOutside(process, [entry], 'redrive').finally(() => {
            isBusy = false;
          }),
        );
      }
      return false;
    });
  }

  /** Sweeps, and serves what the source is owed, which may be due later: until nothing is left. */
  async #served(): Promise<boolean> {
    const { random, postgres, scheduler } = this.#stage;
    const { rereads } = postgres.storage;
    for (let turns = 0; turns < MAX_TURNS; turns += 1) {
      if (!(await this.#swept())) return false;
      const due = [...rereads.rows.values()].sort((a, b) => (a.dueUs < b.dueUs ? -1 : 1))[0];
      if (due === undefined) return true;
      scheduler.nowMs = Math.max(scheduler.nowMs, Number(due.dueUs / 1000n) + 1);
      let isOver = false;
      const process = random.pick(this.#stage.living);
      this.#stage.tracked(process, () =>
        process.serve(due.partition).finally(() => {
          isOver = true;
        }),
      );
      if (!(await this.#stage.until('the source was asked', () => isOver))) return false;
    }
    this.#stage.refute({ invariant: 'liveness', what: `reads are owed again and again, ${rereads.rows.size} of them` });
    return false;
  }

  async #swept(): Promise<boolean> {
    const { random, kafka, postgres, scheduler } = this.#stage;
    const isOwed = (): boolean => {
      const nowUs = BigInt(scheduler.nowMs) * 1000n;
      return [...postgres.storage.queue.rows.values()].some(({ dueUs }) => dueUs <= nowUs);
    };
    let isBusy = false;
    return this.#stage.until('everything expired was swept', () => {
      if (!isOwed()) return true;
      if (!isBusy) {
        isBusy = true;
        const process = random.pick(this.#stage.living);
        const partition = random.below(kafka.logs.length);
        this.#stage.tracked(process, () =>
          process.sweep(partition).finally(() => {
            isBusy = false;
          }),
        );
      }
      return false;
    });
  }
}
