/** Histories from a seed: statements with colliding keys, tied write times and values that differ only in bytes. */
import type { Random } from '../../src/demo/workload/random.ts';
import type { Mutation, RangeBound, Written } from './mutation.ts';
import { SCHEMAS, type ModelColumn, type ModelSchema } from './schema.ts';

/** A statement and the moment in which it was executed, ms after the beginning. */
export interface Executed {
  readonly mutation: Mutation;
  readonly atMs: number;
}

export interface History {
  readonly schema: ModelSchema;
  readonly statements: readonly Executed[];
}

/** Write times that were seen in real events beside the usual ones. */
const FAR_TIMES = [-5n, 862n, 1_795_251_184_999_000_000n, 2n ** 63n - 1n];
const TTL_SECONDS = [1, 2, 5, 3_600];

function time(random: Random): bigint {
  return random.chance(0.1) ? random.pick(FAR_TIMES) : BigInt(random.between(1, 7));
}

function values(random: Random, columns: readonly ModelColumn[]): string[] {
  return columns.map(({ domain }) => random.pick(domain));
}

function bound(random: Random, schema: ModelSchema): RangeBound {
  const length = random.between(0, schema.clustering.length);
  // Where nothing bounds it, the connector says inclusive.
  return { values: values(random, schema.clustering.slice(0, length)), inclusive: length === 0 || random.chance(0.5) };
}

function written(random: Random, schema: ModelSchema, kind: 'insert' | 'update'): Written[] {
  for (;;) {
    const cells = schema.regular.map(({ domain }): Written => {
      const dice = random.next();
      return dice < 0.5 ? random.pick(domain) : dice < 0.75 ? undefined : null;
    });
    // An UPDATE writes something; an INSERT without a value where TTLs are in use is ambiguous, and needs a source.
    if (kind === 'update' && cells.every((value) => value === undefined)) continue;
    if (kind === 'insert' && schema.usesTtl && cells.every((value) => value == null)) continue;
    return cells;
  }
}

function mutation(random: Random, schema: ModelSchema, nowMs: number): Mutation {
  const dice = random.next();
  const key = (): string[] => values(random, [...schema.partitionKey, ...schema.clustering]);
  if (dice < 0.65) {
    const kind = random.chance(0.45) ? 'insert' : 'update';
    const expires = schema.usesTtl && random.chance(0.4);
    const expiry = expires ? BigInt(Math.floor(nowMs / 1000) + random.pick(TTL_SECONDS)) * 1_000_000n : null;
    return { kind, key: key(), cells: written(random, schema, kind), expiry, time: time(random) };
  }
  if (dice < 0.8 || schema.clustering.length === 0) return { kind: 'delete-row', key: key(), time: time(random) };
  const partition = values(random, schema.partitionKey);
  if (dice < 0.86) return { kind: 'delete-partition', partition, time: time(random) };
  return {
    kind: 'delete-range',
    partition,
    start: bound(random, schema),
    end: bound(random, schema),
    time: time(random),
  };
}

/** Chance that a statement meets an earlier one: the same row and the same write time. */
const MEETS = 0.35;

/** Another statement on the row and at the time of an earlier one: ties are what the rules are about. */
function meeting(random: Random, fresh: Mutation, earlier: readonly Executed[]): Mutation {
  const other = random.pick(earlier).mutation;
  if (!('key' in fresh) || !('key' in other)) return fresh;
  return { ...fresh, key: other.key, time: random.chance(0.7) ? other.time : fresh.time };
}

/** `startMs`: the source's clock when the first statement is executed. */
export function generateHistory(random: Random, startMs: number, length: number): History {
  const schema = random.pick(SCHEMAS);
  const statements: Executed[] = [];
  for (let atMs = 0; statements.length < length; atMs += random.below(400)) {
    const fresh = mutation(random, schema, startMs + atMs);
    const meets = statements.length > 0 && random.chance(MEETS);
    statements.push({ atMs, mutation: meets ? meeting(random, fresh, statements) : fresh });
  }
  return { schema, statements };
}
