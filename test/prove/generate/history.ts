/**
 * Random histories: sequences of statements on one or two partitions of a table, few enough that they meet. The same seed
 * makes the same statements but for times of the clock.
 */
import { weighted, type Random } from '../../../src/demo/workload/random.ts';
import type { CqlValue } from './cql-value.ts';
import * as operation from './operation.ts';
import type { Operation, Target } from './operation.ts';
import type { Hazard, Repertoire } from './semantics.ts';
import type { Effect, Statement } from './statement.ts';
import type { GeneratedTable } from './table.ts';
import type { WriteTimes } from './write-times.ts';

/** How often each kind of statement is chosen. */
const WEIGHTS = {
  insert: 24,
  update: 26,
  'delete cells': 6,
  'delete row': 8,
  'delete several': 3,
  'delete partition': 3,
  'delete range': 9,
  'insert if not exists': 3,
  'update if': 3,
  'delete if exists': 1,
} as const;

type OperationKind = keyof typeof WEIGHTS;

const BATCH_SHARE = 0.14;
const PARTITIONS = 2;
/** How often the first partition, and in any the same row, is chosen again: ties and deletes must meet what they concern. */
const HOT_SHARE = 0.5;
/** Ties are made with one of as many times before. */
const RECENT = 4;

function partitionOf(
  { partitionKey }: GeneratedTable,
  random: Random,
  [from, to]: readonly [number, number],
): CqlValue[] {
  return partitionKey.map(({ pool }, at) => {
    if (at > 0) return random.pick(pool);
    return random.pick(pool.slice(Math.floor(pool.length * from), Math.max(1, Math.ceil(pool.length * to))));
  });
}

interface TimedOperation {
  readonly operation: Operation;
  readonly timeUs: bigint | null;
}

/** Makes the statements of one history. */
export class History {
  readonly #table: GeneratedTable;
  readonly #random: Random;
  readonly #times: WriteTimes;
  readonly #repertoire: Repertoire;
  readonly #partitions: readonly (readonly CqlValue[])[];
  /** A row that this history comes back to. */
  readonly #hotRow: readonly CqlValue[];
  #recent: readonly bigint[] = [];

  /** `share` of the table's partition keys: `[from, to)` as parts of 1. */
  constructor(
    table: GeneratedTable,
    random: Random,
    times: WriteTimes,
    repertoire: Repertoire,
    share: readonly [number, number] = [0, 1],
  ) {
    this.#table = table;
    this.#random = random;
    this.#times = times;
    this.#repertoire = repertoire;
    this.#hotRow = operation.randomKey(table.clustering, random);
    this.#partitions = Array.from({ length: PARTITIONS }, () => partitionOf(table, random, share));
  }

  next(): Statement {
    const random = this.#random;
    if (this.#table.clustering.length > 0 && this.#hazard('delete-and-insert', 0.03)) return this.#deleteAndInsert();
    if (random.chance(BATCH_SHARE)) return this.#batch();
    const single = this.#operation(weighted(random, WEIGHTS));
    if (single.conditional) return this.#statement(single.render(null), [{ operation: single, timeUs: null }]);
    if (random.chance(0.75)) {
      const timeUs = this.#nextTime();
      return this.#statement(single.render(`TIMESTAMP ${timeUs}`), [{ operation: single, timeUs }]);
    }
    const timeUs = this.#times.now();
    return this.#statement(single.render(null), [{ operation: single, timeUs }], timeUs);
  }

  #nextTime(): bigint {
    const time = this.#times.next(this.#random, this.#recent);
    this.#recent = [...this.#recent.slice(1 - RECENT), time];
    return time;
  }

  #hazard(hazard: Hazard, share: number): boolean {
    return this.#repertoire.hazards.has(hazard) && this.#random.chance(share);
  }

  #statement(cql: string, parts: readonly TimedOperation[], requestTimeUs: bigint | null = null): Statement {
    return {
      table: this.#table,
      cql,
      unset: parts.reduce((sum, { operation: { unset } }) => sum + unset, 0),
      requestTimeUs,
      ttlSeconds: Math.max(...parts.map(({ operation: { ttlSeconds } }) => ttlSeconds)),
      effects: parts.flatMap(({ operation: { effects }, timeUs }) => effects.map((effect) => ({ ...effect, timeUs }))),
    };
  }

  /** A batch whose parts have their own times. */
  #timedBatch(parts: readonly TimedOperation[]): Statement {
    const texts = parts.map(({ operation: each, timeUs }) => each.render(`TIMESTAMP ${timeUs}`));
    return this.#statement(`BEGIN BATCH ${texts.join('; ')}; APPLY BATCH`, parts);
  }

  /** The row as it is replaced by careful clients: gone, and there again a moment later. */
  #deleteAndInsert(): Statement {
    const random = this.#random;
    const target: Target = {
      table: this.#table,
      partition: random.pick(this.#partitions),
      repertoire: this.#repertoire,
    };
    const row = operation.randomKey(this.#table.clustering, random);
    const timeUs = this.#times.now();
    return this.#timedBatch([
      { operation: operation.deleteRow(target, row, false), timeUs },
      { operation: operation.insert(target, row, random, false), timeUs: timeUs + 1n },
    ]);
  }

  #operation(kind: OperationKind): Operation {
    const random = this.#random;
    const target: Target = {
      table: this.#table,
      partition: random.chance(HOT_SHARE) ? (this.#partitions[0] ?? []) : random.pick(this.#partitions),
      repertoire: this.#repertoire,
    };
    const row = random.chance(HOT_SHARE) ? this.#hotRow : operation.randomKey(this.#table.clustering, random);
    switch (kind) {
      case 'insert':
        return operation.insert(target, row, random, false);
      case 'insert if not exists':
        return operation.insert(target, row, random, true);
      case 'update':
        return operation.update(target, row, random, false);
      case 'update if':
        return operation.update(target, row, random, true);
      case 'delete cells':
        return operation.deleteCells(target, row, random);
      case 'delete row':
        return operation.deleteRow(target, row, false);
      case 'delete if exists':
        return operation.deleteRow(target, row, true);
      case 'delete several':
        return operation.deleteSeveral(target, row, random);
      case 'delete partition':
        return operation.deletePartition(target);
      case 'delete range':
        return operation.deleteRange(target, random);
    }
  }

  /**
   * Several writes in one batch, of one time: the events of a partition's part all say the newest, so several times are a
   * hazard. At most one range is deleted of a partition: two that touch end the agent's reading of the segment.
   */
  #batch(): Statement {
    const random = this.#random;
    const size = random.between(2, 5);
    const operations: Operation[] = [];
    for (let tries = 0; operations.length < size && tries < size * 4; tries += 1) {
      const candidate = this.#operation(weighted(random, WEIGHTS));
      if (!candidate.conditional && this.#fits(candidate, operations)) operations.push(candidate);
    }
    if (this.#hazard('mixed-times', 0.5)) {
      return this.#timedBatch(operations.map((each) => ({ operation: each, timeUs: this.#nextTime() })));
    }
    const begin = `BEGIN ${random.chance(0.4) ? 'UNLOGGED ' : ''}BATCH`;
    const texts = operations.map((each) => each.render(null)).join('; ');
    const parts = (timeUs: bigint): TimedOperation[] => operations.map((each) => ({ operation: each, timeUs }));
    if (random.chance(0.6)) {
      const timeUs = this.#nextTime();
      return this.#statement(`${begin} USING TIMESTAMP ${timeUs} ${texts}; APPLY BATCH`, parts(timeUs));
    }
    const timeUs = this.#times.now();
    return this.#statement(`${begin} ${texts}; APPLY BATCH`, parts(timeUs), timeUs);
  }

  #fits(candidate: Operation, others: readonly Operation[]): boolean {
    const effects = others.flatMap((each) => each.effects);
    const meets = (a: Effect, b: Effect): boolean => a.partition === b.partition;
    if (
      candidate.effects.some(
        (a) => a.kind === 'range-delete' && effects.some((b) => b.kind === 'range-delete' && meets(a, b)),
      )
    ) {
      return false;
    }
    if (!this.#table.usesTtl) return true;
    if (this.#repertoire.semantics.has('marker-ttl')) {
      return this.#repertoire.hazards.has('mixed-ttls') || !hidesMarkerTtl([...effects, ...candidate.effects]);
    }
    // One write of a row: two might have different TTLs, of which the row marker's can't be told.
    return candidate.effects.every(
      (a) => a.kind !== 'write' || !effects.some((b) => b.kind === 'write' && b.row === a.row),
    );
  }
}

type Write = Effect & { readonly kind: 'write' };

/** Of what expires and what lasts, of one time, the later expiry wins: Cassandra's rule for cells and markers alike. */
const winner = (ttls: readonly number[]): number => Math.max(0, ...ttls);

/**
 * Whether a batch leaves a row whose cells all show one TTL while its marker has another: where they show several, or
 * none, Lockstep sees that it can't know.
 */
export function hidesMarkerTtl(effects: readonly Effect[]): boolean {
  const writes = Map.groupBy(
    effects.filter((effect): effect is Write => effect.kind === 'write'),
    ({ row }) => row,
  );
  return [...writes.values()].some((ofRow) => {
    const inserts = ofRow.filter(({ insert }) => insert);
    if (inserts.length === 0) return false;
    const shown = new Set<number>();
    for (const column of new Set(ofRow.flatMap(({ columns }) => columns))) {
      const touching = ofRow.filter(({ columns }) => columns.includes(column));
      // At equal times a tombstone wins.
      if (touching.every(({ live }) => live.includes(column)))
        shown.add(winner(touching.map((each) => each.ttlSeconds)));
    }
    return shown.size === 1 && !shown.has(winner(inserts.map((each) => each.ttlSeconds)));
  });
}
