/** Single CQL writes: what they say and what they do, before they get a time. */
import { shuffled, weighted, type Random } from '../../../src/demo/workload/random.ts';
import type { CqlValue } from './cql-value.ts';
import { isMultiCell, randomValue, type GeneratedType } from './cql-type.ts';
import type { Repertoire } from './semantics.ts';
import { keyText, type Effect } from './statement.ts';
import { quotedName, tableName, type GeneratedColumn, type GeneratedTable, type KeyColumn } from './table.ts';

/** One write. */
export interface Operation {
  /** The text, given a `TIMESTAMP n` or none. */
  render(timestamp: string | null): string;
  readonly unset: number;
  readonly ttlSeconds: number;
  readonly effects: readonly Effect[];
  /** A lightweight transaction: the server chooses its time. */
  readonly conditional: boolean;
}

/** Where a write goes. */
export interface Target {
  readonly table: GeneratedTable;
  readonly partition: readonly CqlValue[];
  readonly repertoire: Repertoire;
}

const NULL_SHARE = 0.12;
const UNSET_SHARE = 0.04;
/** Long enough for every comparison to see the value, and for nobody to wait for its end. */
const DAY_SECONDS = 86_400;

const equal = (columns: readonly GeneratedColumn[], values: readonly CqlValue[]): string[] =>
  values.map(({ literal }, at) => `${quotedName(columns[at]?.name ?? '')} = ${literal}`);

export const randomKey = (columns: readonly KeyColumn[], random: Random): CqlValue[] =>
  columns.map(({ pool }) => random.pick(pool));

const using = (parts: readonly (string | null)[]): string => {
  const given = parts.filter((part) => part !== null);
  return given.length === 0 ? '' : ` USING ${given.join(' AND ')}`;
};

function randomTtl({ usesTtl, defaultTtlSeconds }: GeneratedTable, random: Random): number | null {
  if (!usesTtl || !random.chance(0.4)) return null;
  if (defaultTtlSeconds > 0 && random.chance(0.2)) return 0;
  return random.chance(0.2) ? DAY_SECONDS : random.between(2, 12);
}

const ttlText = (ttl: number | null): string | null => (ttl === null ? null : `TTL ${ttl}`);

function condition(table: GeneratedTable, random: Random): string {
  const comparable = table.regular.filter(({ type }) => type.kind === 'scalar' && type.name !== 'duration');
  if (comparable.length === 0 || random.chance(0.4)) return ' IF EXISTS';
  const { name, type } = random.pick(comparable);
  return ` IF ${quotedName(name)} = ${random.chance(0.3) ? 'null' : randomValue(type, random).literal}`;
}

/** A value, null or nothing for each column of an INSERT; at least one lives where the row marker's TTL must be told. */
function insertValues({ table, repertoire }: Target, random: Random, complete: boolean): Given[] {
  const chosen = table.regular.flatMap((column): Given[] => {
    if (!complete && random.chance(0.3)) return random.chance(UNSET_SHARE) ? [{ column, literal: '?' }] : [];
    return [{ column, literal: random.chance(NULL_SHARE) ? 'null' : randomValue(column.type, random).literal }];
  });
  const tellsTtl = (literal: string, type: GeneratedType): boolean =>
    literal !== 'null' && literal !== '?' && !isMultiCell(type);
  if (!table.usesTtl || repertoire.semantics.has('marker-ttl')) return chosen;
  if (chosen.some(({ column, literal }) => tellsTtl(literal, column.type))) return chosen;
  const column = random.pick(table.regular.filter(({ type }) => !isMultiCell(type)));
  return [
    ...chosen.filter((each) => each.column !== column),
    { column, literal: randomValue(column.type, random).literal },
  ];
}

export function insert(target: Target, row: readonly CqlValue[], random: Random, conditional: boolean): Operation {
  const { table, partition } = target;
  const values = insertValues(target, random, random.chance(0.4));
  const statics = target.repertoire.semantics.has('statics') && random.chance(0.3) ? table.statics : [];
  const ttl = randomTtl(table, random);
  const keys = [...table.partitionKey, ...table.clustering].map(({ name }) => quotedName(name));
  const names = [...keys, ...[...values.map(({ column }) => column), ...statics].map(({ name }) => quotedName(name))];
  const literals = [
    ...[...partition, ...row].map(({ literal }) => literal),
    ...values.map(({ literal }) => literal),
    ...statics.map(({ type }) => randomValue(type, random).literal),
  ];
  return {
    render: (timestamp) =>
      `INSERT INTO ${tableName(table)} (${names.join(', ')}) VALUES (${literals.join(', ')})` +
      `${conditional ? ' IF NOT EXISTS' : ''}${using([timestamp, ttlText(ttl)])}`,
    unset: values.filter(({ literal }) => literal === '?').length,
    ttlSeconds: ttl ?? table.defaultTtlSeconds,
    effects: [write(target, row, true, ttl, values)],
    conditional,
  };
}

/** What is given to a column: `null`, `?` for unset, or anything else for a value. */
interface Given {
  readonly column: GeneratedColumn;
  readonly literal: string;
  /** Adds nothing to a collection or takes nothing away: there is no such write. */
  readonly isNothing?: boolean;
}

const isEmptyLiteral = (literal: string): boolean => literal === '[]' || literal === '{}';

function write(
  { table, partition }: Target,
  row: readonly CqlValue[],
  isInsert: boolean,
  ttl: number | null,
  given: readonly Given[],
): Effect {
  const set = given.filter(({ literal, isNothing }) => literal !== '?' && isNothing !== true);
  const empties = set.every(
    ({ column, literal }) => isMultiCell(column.type) && (literal === NULL || isEmptyLiteral(literal)),
  );
  const live = set.filter(({ column, literal }) => literal !== 'null' && !isMultiCell(column.type));
  return {
    kind: 'write',
    partition: keyText(partition),
    row: keyText([...partition, ...row]),
    insert: isInsert,
    columns: set.map(({ column }) => column.name),
    live: live.map(({ column }) => column.name),
    ttlSeconds: ttl ?? table.defaultTtlSeconds,
    empties: empties && !isInsert,
  };
}

const NULL = 'null';

/** An assignment with what it gives; of a column of several cells also one that adds or takes away. */
function assignment(column: GeneratedColumn, random: Random): Given & { readonly text: string } {
  const name = quotedName(column.name);
  if (random.chance(NULL_SHARE)) return { column, literal: NULL, text: `${name} = ${NULL}` };
  const { literal } = randomValue(column.type, random);
  if (!isMultiCell(column.type) || random.chance(0.3)) return { column, literal, text: `${name} = ${literal}` };
  const part = partialAssignment(column, literal, random);
  return part === null
    ? { column, ...elementAssignment(column, random) }
    : { column, literal, text: part, isNothing: isEmptyLiteral(literal) };
}

/** Adds to a collection or takes from it; null where a single element of a map is to be set instead. */
function partialAssignment({ name, type }: GeneratedColumn, literal: string, random: Random): string | null {
  const column = quotedName(name);
  switch (type.kind) {
    case 'list':
      return random.pick([`${column} = ${column} + ${literal}`, `${column} = ${literal} + ${column}`]);
    case 'set':
      return `${column} = ${column} ${random.pick(['+', '-'])} ${literal}`;
    case 'map':
      return random.chance(0.5) ? `${column} = ${column} + ${literal}` : null;
    case 'scalar':
    case 'tuple':
    case 'udt':
      return `${column} = ${literal}`;
  }
}

function elementAssignment({ name, type }: GeneratedColumn, random: Random): { literal: string; text: string } {
  if (type.kind !== 'map') throw new Error(`${name} has no elements to be set`);
  const { literal } = randomValue(type.value, random);
  return { literal, text: `${quotedName(name)}[${randomValue(type.key, random).literal}] = ${literal}` };
}

export function update(target: Target, row: readonly CqlValue[], random: Random, conditional: boolean): Operation {
  const { table, partition } = target;
  const columns = shuffled(random, table.regular).slice(0, random.between(1, table.regular.length));
  const assignments = columns.map((column) => assignment(column, random));
  const ttl = randomTtl(table, random);
  const where = [...equal(table.partitionKey, partition), ...equal(table.clustering, row)].join(' AND ');
  const only = conditional ? condition(table, random) : '';
  return {
    render: (timestamp) =>
      `UPDATE ${tableName(table)}${using([timestamp, ttlText(ttl)])} SET ${assignments.map(({ text }) => text).join(', ')} WHERE ${where}${only}`,
    unset: 0,
    ttlSeconds: ttl ?? table.defaultTtlSeconds,
    effects: assignments.every(({ isNothing }) => isNothing === true)
      ? []
      : [write(target, row, false, ttl, assignments)],
    conditional,
  };
}

function deletion(
  { table, partition }: Target,
  what: string,
  where: readonly string[],
  effects: readonly Effect[],
  only = '',
): Operation {
  const condition_ = [...equal(table.partitionKey, partition), ...where].join(' AND ');
  return {
    render: (timestamp) => `DELETE ${what}FROM ${tableName(table)}${using([timestamp])} WHERE ${condition_}${only}`,
    unset: 0,
    ttlSeconds: 0,
    effects,
    conditional: only !== '',
  };
}

export function deleteCells(target: Target, row: readonly CqlValue[], random: Random): Operation {
  const { table } = target;
  const columns = shuffled(random, table.regular).slice(0, random.between(1, 2));
  return deletion(target, `${columns.map(({ name }) => quotedName(name)).join(', ')} `, equal(table.clustering, row), [
    write(
      target,
      row,
      false,
      0,
      columns.map((column) => ({ column, literal: NULL })),
    ),
  ]);
}

const rowDelete = ({ table, partition }: Target, row: readonly CqlValue[]): Effect =>
  // Without clustering columns a row is a partition, and Cassandra deletes that.
  table.clustering.length === 0
    ? { kind: 'partition-delete', partition: keyText(partition) }
    : { kind: 'row-delete', partition: keyText(partition), row: keyText([...partition, ...row]) };

export function deleteRow(target: Target, row: readonly CqlValue[], conditional: boolean): Operation {
  const effects = [rowDelete(target, row)];
  return deletion(target, '', equal(target.table.clustering, row), effects, conditional ? ' IF EXISTS' : '');
}

export function deletePartition(target: Target): Operation {
  return deletion(target, '', [], [{ kind: 'partition-delete', partition: keyText(target.partition) }]);
}

/** Rows of one prefix of the clustering key, chosen by `IN` in its last column. */
export function deleteSeveral(target: Target, row: readonly CqlValue[], random: Random): Operation {
  const last = target.table.clustering.at(-1);
  if (last === undefined) return deleteRow(target, row, false);
  const values = shuffled(random, last.pool).slice(0, 2);
  const prefix = row.slice(0, -1);
  return deletion(
    target,
    '',
    [
      ...equal(target.table.clustering, prefix),
      `${quotedName(last.name)} IN (${values.map(({ literal }) => literal).join(', ')})`,
    ],
    values.map((value) => rowDelete(target, [...prefix, value])),
  );
}

/** A range of rows: a prefix, a slice of the next column with either bound or both, or a slice over several columns. */
export function deleteRange(target: Target, random: Random): Operation {
  const { clustering } = target.table;
  const row = randomKey(clustering, random);
  const fixed = random.below(clustering.length);
  const sliced = clustering[fixed];
  if (sliced === undefined) return deletePartition(target);
  const prefix = equal(clustering, row.slice(0, fixed));
  const sign = (signs: readonly string[]): string => random.pick(signs);
  const bound = (signs: readonly string[], { literal } = random.pick(sliced.pool)): string =>
    `${quotedName(sliced.name)} ${sign(signs)} ${literal}`;
  const tail = clustering.slice(fixed);
  // Of mixed orders Cassandra makes several ranges that touch, which is a hazard of the connector.
  const oneOrder = tail.every(({ descending }) => descending === tail[0]?.descending);
  const several = (signs: readonly string[]): string =>
    `(${tail.map(({ name }) => quotedName(name)).join(', ')}) ${sign(signs)} (${randomKey(tail, random)
      .map(({ literal }) => literal)
      .join(', ')})`;
  const lower = ['>', '>='];
  const upper = ['<', '<='];
  const kinds = {
    prefix: fixed === 0 ? 0 : 3,
    from: 2,
    to: 2,
    between: 3,
    columns: tail.length > 1 && oneOrder ? 2 : 0,
  };
  const conditions = {
    prefix: (): string[] => [],
    from: () => [bound(lower)],
    to: () => [bound(upper)],
    between: () => {
      // Cassandra takes an empty range for nothing at all.
      const [low, high] = [random.pick(sliced.pool), random.pick(sliced.pool)].toSorted((a, b) => a.rank - b.rank);
      return low?.rank === high?.rank
        ? [bound(['>='], low), bound(['<='], low)]
        : [bound(lower, low), bound(upper, high)];
    },
    columns: () => [random.chance(0.5) ? several(lower) : several(upper)],
  }[weighted(random, kinds)]();
  const where = [...prefix, ...conditions];
  return deletion(target, '', where, [
    { kind: 'range-delete', partition: keyText(target.partition), where: where.join(' AND ') },
  ]);
}
