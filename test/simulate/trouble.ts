/** What goes wrong in a run, and when: as its plan has it, and after commits. */
import type { FaultEvent } from './faults.ts';
import type { Stage } from './stage.ts';

const FOLLOW_GROWTH_MS = 150;
/** A failover soon after a commit: within the steps of the transaction that follows it. */
const SOON_MS = 40;

export class Trouble {
  readonly #stage: Stage;
  /** Commits that no failover loses. */
  #keptCommits = 0;

  constructor(stage: Stage) {
    this.#stage = stage;
    stage.onCommit = () => this.#afterCommit();
  }

  #afterCommit(): void {
    const { kafka, plan, scheduler, random } = this.#stage;
    if (kafka.isGrowthUnnoted) this.#noteGrowth();
    if (this.#stage.isHealed || !plan.failsOver()) return;
    scheduler.after(random.below(SOON_MS), () => {
      if (!this.#stage.isHealed) this.#happen('failover');
    });
  }

  /** What the plan has for a history that ends then. */
  schedule(endMs: number): void {
    const { scheduler, plan } = this.#stage;
    const at = (ms: number, run: () => void): void => {
      scheduler.after(ms, () => {
        if (!this.#stage.isHealed) run();
      });
    };
    for (const { ms, kind } of plan.events(endMs)) at(ms, () => this.#happen(kind));
  }

  #happen(kind: FaultEvent): void {
    const { random, kafka, postgres } = this.#stage;
    this.#stage.faults += 1;
    this.#stage.tell(kind);
    switch (kind) {
      case 'crash':
        random.pick(this.#stage.living).crash();
        this.#stage.start();
        kafka.rebalance();
        return;
      case 'stop': {
        random.pick(this.#stage.living).stop();
        this.#stage.start();
        kafka.rebalance();
        return;
      }
      case 'rebalance':
        if (this.#stage.living.length < 3) this.#stage.start();
        kafka.rebalance();
        return;
      case 'failover':
        this.#lose(random.between(0, 4));
        return;
      case 'restore':
        this.#lose(random.between(5, 60));
        return;
      case 'sweep':
        this.#stage.faults -= 1;
        this.#sweep();
        return;
      case 'read':
        this.#stage.faults -= 1;
        this.#serve();
        return;
      case 'replay':
        this.#replay();
        return;
      case 'grow':
        // A topic that grew before its first shard rows were written is not told from one that never did.
        if (postgres.storage.offsets.rows.size === 0) return;
        this.#keptCommits = postgres.storage.commits;
        kafka.grow();
        this.#followGrowth();
        return;
    }
  }

  #noteGrowth(): void {
    const { random, kafka, postgres, scheduler } = this.#stage;
    const { offsets, growth } = postgres.storage;
    if (offsets.rows.size < kafka.logs.length) return;
    const row = growth.rows.get(kafka.topic);
    kafka.growthNoted(row === undefined ? scheduler.nowMs : row.grownAt * 1000);
    this.#keptCommits = postgres.storage.commits;
    // Now a key's records are in two shards: writers beside the stream meet the other one's.
    for (let left = random.below(16); left > 0; left -= 1) {
      scheduler.after(random.below(4_000), () => {
        if (!this.#stage.isHealed) this.#replay();
      });
    }
  }

  /** As the service does every now and then, for as long as the run lasts. */
  #followGrowth(): void {
    const { random, scheduler } = this.#stage;
    scheduler.after(FOLLOW_GROWTH_MS, () => {
      const process = random.pick(this.#stage.living);
      this.#stage.tracked(process, () => process.followGrowth());
      this.#followGrowth();
    });
  }

  #lose(commits: number): void {
    const { random, postgres, scheduler, audit } = this.#stage;
    postgres.lose(Math.min(commits, postgres.storage.commits - this.#keptCommits));
    audit.rebuild();
    postgres.isDown = true;
    // A standby that was waiting takes over at once; then nobody notices but by what is gone.
    const downMs = random.below(random.pick([1, 20, 1_000]));
    scheduler.after(downMs, () => (postgres.isDown = false));
  }

  #sweep(): void {
    const { random, kafka } = this.#stage;
    const process = random.pick(this.#stage.living);
    this.#stage.tracked(process, () => process.sweep(random.below(kafka.logs.length)));
  }

  #serve(): void {
    const { random, kafka, history } = this.#stage;
    if (!history.schema.isAsked) return;
    const process = random.pick(this.#stage.living);
    this.#stage.tracked(process, () => process.serve(random.below(kafka.logs.length)));
  }

  /** A window is replayed: records of one partition, in any order, whatever the position. */
  #replay(): void {
    const { random, kafka } = this.#stage;
    const log = random.pick(kafka.logs);
    const able = log.records.filter(({ fate, mutation }) => fate === 'applies' && !this.#stage.isForbidden(mutation!));
    if (able.length === 0) return;
    const entries = Array.from({ length: random.between(1, 3) }, () => random.pick(able));
    const process = random.pick(this.#stage.living);
    this.#stage.tracked(process, () => this.#stage.sendOutside(process, entries, 'replay'));
  }
}
