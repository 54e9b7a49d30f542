/**
 * Random histories: sequences of statements on one or two partitions of a table, few enough that they meet. The same seed
 * makes the same statements but for times of the clock.
 */
import { weighted, type Random } from '../../../src/demo/workload/random.ts';
import type { CqlValue } from './cql-value.ts';
import * as operation from './operation.ts';
import type { Operation, Target } from './operation.ts';
import type { Repertoire } from './semantics.ts';
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

/** Makes the statements of one history. */
export class History {
  readonly #table: GeneratedTable;
  readonly #random: Random;
  readonly #times: WriteTimes;
  readonly #repertoire: Repertoire;
  readonly #partitions: readonly (readonly CqlValue[])[];

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
    this.#partitions = Array.from({ length: PARTITIONS }, () => partitionOf(table, random, share));
  }

  next(): Statement {
    const random = this.#random;
    if (random.chance(BATCH_SHARE)) return this.#batch();
    const single = this.#operation(weighted(random, WEIGHTS));
    if (single.conditional) return this.#statement(single.render(null), [single], null, false);
    const inText = random.chance(0.75);
    const timeUs = inText ? this.#times.next(random) : this.#times.now();
    return this.#statement(single.render(inText ? `TIMESTAMP ${timeUs}` : null), [single], timeUs, inText);
  }

  #statement(cql: string, operations: readonly Operation[], timeUs: bigint | null, timeInText: boolean): Statement {
    return {
      table: this.#table,
      cql,
      unset: operations.reduce((sum, { unset }) => sum + unset, 0),
      timeUs,
      timeInText,
      ttlSeconds: Math.max(...operations.map(({ ttlSeconds }) => ttlSeconds)),
      effects: operations.flatMap(({ effects }) => effects),
    };
  }

  #operation(kind: OperationKind): Operation {
    const random = this.#random;
    const target: Target = {
      table: this.#table,
      partition: random.pick(this.#partitions),
      repertoire: this.#repertoire,
    };
    const row = operation.randomKey(this.#table.clustering, random);
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
    const mixed = this.#repertoire.hazards.has('mixed-times') && random.chance(0.5);
    const timeInText = mixed || random.chance(0.6);
    const timeUs = timeInText ? this.#times.next(random) : this.#times.now();
    const texts = operations.map((each) => each.render(mixed ? `TIMESTAMP ${this.#times.next(random)}` : null));
    const begin = `BEGIN ${random.chance(0.4) ? 'UNLOGGED ' : ''}BATCH`;
    const time = timeInText && !mixed ? ` USING TIMESTAMP ${timeUs}` : '';
    return this.#statement(
      `${begin}${time} ${texts.join('; ')}; APPLY BATCH`,
      operations,
      mixed ? null : timeUs,
      timeInText,
    );
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
    if (!this.#table.usesTtl || this.#repertoire.semantics.has('marker-ttl')) return true;
    // One write of a row: two might have different TTLs, of which the row marker's can't be told.
    return candidate.effects.every(
      (a) => a.kind !== 'write' || !effects.some((b) => b.kind === 'write' && b.row === a.row),
    );
  }
}
