/**
 * A door and a shard store in memory, atomic like the real ones, with faults on demand. `rows` is what the target holds:
 * every change's text by record offset, so that a hole or a double shows.
 */
import type { ApplyBatch, ApplyManner, ApplyResult, DeadLetterEntry, Door } from '../../src/target/batch.ts';
import type { ShardNote } from '../../src/target/stores/shard-note.ts';
import type { Gap, ShardPosition, ShardStore } from '../../src/target/shard-store.ts';

interface Shelf {
  position: ShardPosition;
  state: string;
}

export class MemoryTarget implements Door, ShardStore {
  readonly shelves = new Map<string, Shelf>();
  readonly batches: ApplyBatch[] = [];
  readonly gaps: Gap[] = [];
  readonly states: string[] = [];
  readonly notes: ShardNote[] = [];
  readonly deadLetters: DeadLetterEntry[] = [];
  /** Offsets of changes and duplicates per partition, in the order of their COMMIT. */
  readonly applied = new Map<string, bigint[]>();
  changes = 0;
  duplicates = 0;
  /** Rows of which the merge says that the source is asked. */
  asked: ReadonlySet<string> = new Set();
  keepBatches = true;
  /** Called before the position is compared; throws to refuse the batch. */
  before: (batch: ApplyBatch, manner: ApplyManner) => Promise<void> | void = () => undefined;
  /** Called after the commit; throws to lose the answer. */
  after: (batch: ApplyBatch) => Promise<void> | void = () => undefined;

  #key(topic: string, partition: number): string {
    return `${topic}/${partition}`;
  }

  shelf(topic: string, partition: number): Shelf {
    const shelf = this.shelves.get(this.#key(topic, partition));
    if (shelf === undefined) throw new Error(`no shelf ${topic}/${partition}`);
    return shelf;
  }

  next(topic: string, partition: number): bigint {
    return this.shelf(topic, partition).position.next;
  }

  put(topic: string, partition: number, change: Partial<ShardPosition>): void {
    const key = this.#key(topic, partition);
    const before = this.shelves.get(key)?.position ?? {
      shard: { topic, incarnation: 0, partition },
      next: 0n,
      lastRecord: null,
      owner: null,
      epoch: 0n,
      state: 'running',
      note: { reason: null, breaker: null },
    };
    this.shelves.set(key, { position: { ...before, ...change }, state: change.state ?? before.state });
  }

  async apply(batch: ApplyBatch, manner: ApplyManner = {}): Promise<ApplyResult> {
    await this.before(batch, manner);
    const { topic, partition } = batch.shard;
    const shelf = this.shelf(topic, partition);
    if (shelf.position.next !== batch.from) return { kind: 'fenced', storedNext: shelf.position.next };
    if (manner.trial === true) return { kind: 'committed', stats: { rows: 0, superseded: 0, asked: this.asked } };
    shelf.position = {
      ...shelf.position,
      next: batch.next,
      lastRecord: batch.lastRecord ?? shelf.position.lastRecord,
    };
    this.changes += batch.changes.length;
    this.duplicates += batch.duplicates.length;
    if (this.keepBatches) {
      this.batches.push(batch);
      this.deadLetters.push(...batch.deadLetters);
      const key = this.#key(topic, partition);
      const offsets = this.applied.get(key) ?? [];
      offsets.push(...batch.changes.map(({ offset }) => offset));
      this.applied.set(key, offsets);
    }
    await this.after(batch);
    return { kind: 'committed', stats: { rows: batch.changes.length, superseded: 0, asked: this.asked } };
  }

  ensure(topic: string, logStarts: readonly bigint[]): Promise<readonly ShardPosition[]> {
    return Promise.resolve(
      logStarts.map((start, partition) => {
        if (!this.shelves.has(this.#key(topic, partition))) this.put(topic, partition, { next: start });
        return this.shelf(topic, partition).position;
      }),
    );
  }

  load(topic: string, partition: number): Promise<ShardPosition | null> {
    return Promise.resolve(this.shelves.get(this.#key(topic, partition))?.position ?? null);
  }

  claim(shard: ShardPosition['shard'], owner: string): Promise<ShardPosition> {
    const shelf = this.shelf(shard.topic, shard.partition);
    shelf.position = { ...shelf.position, owner, epoch: shelf.position.epoch + 1n };
    return Promise.resolve(shelf.position);
  }

  recordGap(gap: Gap): Promise<boolean> {
    const shelf = this.shelf(gap.shard.topic, gap.shard.partition);
    if (shelf.position.next !== gap.from) return Promise.resolve(false);
    this.gaps.push(gap);
    shelf.position = { ...shelf.position, next: gap.to };
    return Promise.resolve(true);
  }

  setState(shard: ShardPosition['shard'], state: string, note: ShardNote): Promise<void> {
    this.states.push(state);
    this.notes.push(note);
    const shelf = this.shelf(shard.topic, shard.partition);
    shelf.position = { ...shelf.position, state, note };
    return Promise.resolve();
  }
}
