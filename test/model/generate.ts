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

/**
 * What one history is made of, drawn once: features left out of some histories make the others meet more often than any
 * fixed mixture does (swarm testing). Chances are of each statement, row or cell.
 */
interface Mood {
  readonly rows: readonly (readonly string[])[];
  readonly writes: number;
  readonly inserts: number;
  readonly expires: number;
  readonly ttlSeconds: readonly number[];
  readonly nulls: number;
  readonly untouched: number;
  readonly lastTime: number;
  readonly farTimes: number;
  /** That a statement is on the row, and mostly at the time, of an earlier one: ties are what the rules are about. */
  readonly meets: number;
  readonly maxGapMs: number;
}

function moodOf(random: Random, schema: ModelSchema): Mood {
  const keys = [...schema.partitionKey, ...schema.clustering];
  const few = random.pick([1, 2, 0]);
  return {
    rows: Array.from({ length: few }, () => values(random, keys)),
    writes: random.pick([0.4, 0.65, 0.65, 0.85, 0.95]),
    inserts: random.pick([0, 0.2, 0.45, 0.45, 0.7]),
    expires: schema.usesTtl ? random.pick([0.2, 0.4, 0.7]) : 0,
    ttlSeconds: random.pick([[1, 2, 5, 3_600], [1], [1, 2]]),
    nulls: random.pick([0.15, 0.25, 0.5]),
    untouched: random.pick([0.1, 0.25, 0.4]),
    lastTime: random.pick([2, 4, 7]),
    farTimes: random.pick([0, 0.1, 0.2]),
    meets: random.pick([0.1, 0.35, 0.6]),
    maxGapMs: random.pick([100, 400, 400, 900]),
  };
}

function time(random: Random, mood: Mood): bigint {
  return random.chance(mood.farTimes) ? random.pick(FAR_TIMES) : BigInt(random.between(1, mood.lastTime));
}

function values(random: Random, columns: readonly ModelColumn[]): string[] {
  return columns.map(({ domain }) => random.pick(domain));
}

function bound(random: Random, schema: ModelSchema): RangeBound {
  const length = random.between(0, schema.clustering.length);
  // Where nothing bounds it, the connector says inclusive.
  return { values: values(random, schema.clustering.slice(0, length)), inclusive: length === 0 || random.chance(0.5) };
}

function written(random: Random, schema: ModelSchema, kind: 'insert' | 'update', mood: Mood): Written[] {
  for (;;) {
    const cells = schema.regular.map(({ domain }): Written => {
      const dice = random.next();
      return dice < mood.nulls ? null : dice < mood.nulls + mood.untouched ? undefined : random.pick(domain);
    });
    // An UPDATE writes something; an INSERT without a value where TTLs are in use is ambiguous, and needs a source.
    if (kind === 'update' && cells.every((value) => value === undefined)) continue;
    if (kind === 'insert' && schema.usesTtl && cells.every((value) => value == null)) continue;
    return cells;
  }
}

function mutation(random: Random, schema: ModelSchema, mood: Mood, nowMs: number): Mutation {
  const key = (): readonly string[] =>
    mood.rows.length === 0 ? values(random, [...schema.partitionKey, ...schema.clustering]) : random.pick(mood.rows);
  if (random.chance(mood.writes)) {
    const kind = random.chance(mood.inserts) ? 'insert' : 'update';
    const expires = random.chance(mood.expires);
    const expiry = expires ? BigInt(Math.floor(nowMs / 1000) + random.pick(mood.ttlSeconds)) * 1_000_000n : null;
    return { kind, key: key(), cells: written(random, schema, kind, mood), expiry, time: time(random, mood) };
  }
  const dice = random.next();
  if (dice < 0.43 || schema.clustering.length === 0) {
    return { kind: 'delete-row', key: key(), time: time(random, mood) };
  }
  const partition = key().slice(0, schema.partitionKey.length);
  if (dice < 0.6) return { kind: 'delete-partition', partition, time: time(random, mood) };
  return {
    kind: 'delete-range',
    partition,
    start: bound(random, schema),
    end: bound(random, schema),
    time: time(random, mood),
  };
}

/** Another statement on the row, and mostly at the time, of an earlier one. */
function meeting(random: Random, fresh: Mutation, earlier: readonly Executed[]): Mutation {
  const other = random.pick(earlier).mutation;
  if (!('key' in fresh) || !('key' in other)) return fresh;
  return { ...fresh, key: other.key, time: random.chance(0.7) ? other.time : fresh.time };
}

/** `startMs`: the source's clock when the first statement is executed. */
export function generateHistory(random: Random, startMs: number, length: number): History {
  const schema = random.pick(SCHEMAS);
  const mood = moodOf(random, schema);
  const statements: Executed[] = [];
  for (let atMs = 0; statements.length < length; atMs += random.below(mood.maxGapMs)) {
    const fresh = mutation(random, schema, mood, startMs + atMs);
    const meets = statements.length > 0 && random.chance(mood.meets);
    statements.push({ atMs, mutation: meets ? meeting(random, fresh, statements) : fresh });
  }
  return { schema, statements };
}
