import { MARKER_ORDINAL, type BoundColumn, type BoundTable } from './bound-table.ts';
import { arrayTypeOf, isArrayType, quoteIdentifier } from './sql-text.ts';

/** The generated SQL of one table. Parameters of every statement are arrays, one element per row. */
export interface RowStatements {
  /** Keys, regular columns, the one write time and the bits of the slots it wrote, or versions; expiries, token, order. */
  readonly upsert: string;
  /** The same parameters: replaces the whole image of rows that the transaction has locked. */
  readonly replace: string;
  /** Keys: removes rows that the transaction has locked. */
  readonly remove: string;
  /** Keys: the images of rows, locked. Columns: position of the key (from 1), regular, versions, expiries. */
  readonly lockImages: string;
  /** As `lockImages`, nothing locked. */
  readonly images: string;
  /**
   * Keys, then per column of `contestable` the time at which each row writes it, or null: positions (from 1) of the rows
   * of which the target holds such a column at that very time. Null where no column has conflicts that only the source
   * can settle.
   */
  readonly ties: string | null;
  /** All columns that a row of the target has, quoted. */
  readonly columns: readonly string[];
  /**
   * A query for the rows of the parameters of `upsert`, and of one array more for each of the given columns (name, type of
   * the array), which come last.
   */
  incoming(more: readonly (readonly [string, string])[]): string;
}

/** Columns of which two values of one time may be a conflict that only the source can settle. */
export function contestable({ policy, regular }: BoundTable): readonly BoundColumn[] {
  return policy === null ? [] : regular.filter((_, i) => (policy.undecided[i] ?? null) !== null);
}

function tiesStatement(table: BoundTable, keys: readonly string[], keyJoin: string): string | null {
  const columns = contestable(table);
  if (columns.length === 0) return null;
  const times = columns.map((_, i) => `at_${i}`);
  const input = [...table.keys.map((key) => arrayTypeOf(key.column.targetType)), ...times.map(() => 'bigint[]')]
    .map((type, i) => `$${i + 1}::${type}`)
    .join(', ');
  const meets = columns.map(({ ordinal }, i) => `${versionOf('t', ordinal)} = r.at_${i}`).join(' OR ');
  return `SELECT r.n FROM unnest(${input}) WITH ORDINALITY AS r(${[...keys, ...times, 'n'].join(', ')})
      JOIN ${table.target} AS t ON ${keyJoin} WHERE ${meets}`;
}

/** "Never written" (`NEVER`); a missing entry must compare as −∞, not as NULL ⚠. */
const NEVER_SQL = `'-9223372036854775808'::bigint`;
/** Rank of a marker that does not expire: below every expiry, above "unknown". */
const LASTING_SQL = `'-9223372036854775807'::bigint`;

interface Sides {
  readonly incoming: string;
  readonly stored: string;
}

function versionOf(alias: string, ordinal: number): string {
  return `${alias}._cdc_versions[${ordinal}]`;
}

function expiryOf(alias: string, ordinal: number): string {
  return `coalesce(${alias}._cdc_expiries[${ordinal}], ${NEVER_SQL})`;
}

/**
 * At equal write times: expiring beats lasting, the later expiry beats the earlier, an unknown marker (−2^63 as expiry)
 * loses against both (`markerReplaces`).
 */
function markerTie({ incoming, stored }: Sides): string {
  const rank = (alias: string): string => `coalesce(${alias}._cdc_expiries[${MARKER_ORDINAL}], ${LASTING_SQL})`;
  return `${rank(incoming)} > ${rank(stored)}`;
}

/** A multi-cell column: the later read wins, whatever the write times say (`joinMultiCell`). */
function laterRead({ readOrdinal }: BoundColumn, { incoming, stored }: Sides): string {
  const read = (alias: string): string => `coalesce(${versionOf(alias, readOrdinal)}, ${NEVER_SQL})`;
  return `${read(incoming)} > ${read(stored)}`;
}

/** Whether a newer event time of a multi-cell column is to be noted, though its value stays. */
function announces({ ordinal }: BoundColumn, { incoming, stored }: Sides): string {
  return `${versionOf(incoming, ordinal)} > coalesce(${versionOf(stored, ordinal)}, ${NEVER_SQL})`;
}

/** At equal write times: `replaces` of src/change/row-state.ts, as SQL. */
function cellTie(table: BoundTable, column: BoundColumn, { incoming, stored }: Sides): string {
  const name = quoteIdentifier(column.column.target);
  const isTombstone = (alias: string): string =>
    `(${alias}.${name} IS NULL AND ${alias}._cdc_expiries[${column.ordinal}] IS NULL)`;
  const bytes = (alias: string): string => {
    const value = `${alias}.${name}`;
    // Where the stored form has lost the bytes, text order keeps the merge deterministic; the re-read settles the truth.
    return table.tieBytes(column, value) ?? `convert_to(${value}::text, 'UTF8')`;
  };
  return `CASE
      WHEN ${isTombstone(incoming)} THEN NOT ${isTombstone(stored)}
      WHEN ${isTombstone(stored)} THEN false
      WHEN ${expiryOf(incoming, column.ordinal)} <> ${expiryOf(stored, column.ordinal)}
        THEN ${expiryOf(incoming, column.ordinal)} > ${expiryOf(stored, column.ordinal)}
      ELSE coalesce(${bytes(incoming)} > ${bytes(stored)}, false) END`;
}

/** Whether the incoming cell (or marker) replaces the stored one. The time decides; the tie is evaluated only at ties. */
function wins(ordinal: number, tie: string, { incoming, stored }: Sides): string {
  const incomingVersion = versionOf(incoming, ordinal);
  const storedVersion = `coalesce(${versionOf(stored, ordinal)}, ${NEVER_SQL})`;
  return `CASE WHEN ${incomingVersion} <> ${storedVersion} THEN ${incomingVersion} > ${storedVersion}
    WHEN ${incomingVersion} = ${NEVER_SQL} THEN false ELSE ${tie} END`;
}

/** Generates the statements of a table once; they are prepared by name, so PostgreSQL plans them once a session. */
export function rowStatements(table: BoundTable): RowStatements {
  const keys = table.keys.map((key) => quoteIdentifier(key.column.target));
  const regular = table.regular.map((column) => quoteIdentifier(column.column.target));
  const orderColumn = table.usesOrderColumn ? ['_cdc_order'] : [];
  const all = [...keys, ...regular, '_cdc_versions', '_cdc_expiries', '_cdc_token', ...orderColumn];
  const inputs = [...keys, ...regular, 'written_at', 'written', ...all.slice(keys.length + regular.length)];
  const arrayTypes = [
    ...table.keys.map((key) => arrayTypeOf(key.column.targetType)),
    ...table.regular.map((column) => arrayTypeOf(column.column.targetType)),
    'bigint[]',
    'bigint[]',
    // Arrays of arrays would be unnested flat: one literal per row, cast in the select list.
    'text[]',
    'text[]',
    'bigint[]',
    ...orderColumn.map(() => 'bytea[]'),
  ];
  const input = (count: number): string =>
    arrayTypes
      .slice(0, count)
      .map((type, i) => `$${i + 1}::${type}`)
      .join(', ');
  // Sent as text, one literal per row, and cast here.
  const castTo = new Map([
    ['_cdc_expiries', 'bigint[]'],
    ...table.regular
      .filter((column) => isArrayType(column.column.targetType))
      .map((column): [string, string] => [quoteIdentifier(column.column.target), column.column.targetType]),
  ]);
  const slots = Array.from({ length: table.slots }, (_, i) => i + 1);
  const spread = slots
    .map((slot) => `CASE WHEN (r.written >> ${slot - 1}) & 1 = 1 THEN r.written_at ELSE ${NEVER_SQL} END`)
    .join(', ');
  const selected = all
    .map((name) => {
      if (name === '_cdc_versions') {
        return `CASE WHEN r._cdc_versions IS NULL THEN ARRAY[${spread}] ELSE r._cdc_versions::bigint[] END AS _cdc_versions`;
      }
      const type = castTo.get(name);
      return type === undefined ? `r.${name}` : `r.${name}::${type} AS ${name}`;
    })
    .join(', ');
  const incoming: RowStatements['incoming'] = (more) => {
    const given = more.map(([, type], i) => `, $${inputs.length + i + 1}::${type}`).join('');
    const names = more.map(([name]) => name);
    const list = [selected, ...names.map((name) => `r.${name}`)].join(', ');
    return `SELECT ${list} FROM unnest(${input(inputs.length)}${given}) AS r(${[...inputs, ...names].join(', ')})`;
  };
  const rows = incoming([]);

  const sides: Sides = { incoming: 'EXCLUDED', stored: 't' };
  const markerWins = wins(MARKER_ORDINAL, markerTie(sides), sides);
  const winners = new Map(
    table.regular.map((column) => [
      column.ordinal,
      column.readOrdinal === 0 ? wins(column.ordinal, cellTie(table, column, sides), sides) : laterRead(column, sides),
    ]),
  );
  winners.set(MARKER_ORDINAL, markerWins);
  const multiCell = table.regular.filter((column) => column.readOrdinal !== 0);
  const readSlots = new Set(multiCell.map((column) => column.readOrdinal));

  const versions = slots.map((slot) =>
    winners.has(slot) || readSlots.has(slot)
      ? `greatest(${versionOf('t', slot)}, ${versionOf('EXCLUDED', slot)})`
      : // A column that this member does not know (dropped, or added by a newer one): keep what stands there.
        `coalesce(${versionOf('t', slot)}, ${NEVER_SQL})`,
  );
  const expiries = slots.map((slot) => {
    const winner = winners.get(slot);
    return winner === undefined
      ? `t._cdc_expiries[${slot}]`
      : `CASE WHEN ${winner} THEN EXCLUDED._cdc_expiries[${slot}] ELSE t._cdc_expiries[${slot}] END`;
  });
  const assignments = [
    ...table.regular.map((column) => {
      const name = quoteIdentifier(column.column.target);
      return `${name} = CASE WHEN ${winners.get(column.ordinal) ?? 'false'} THEN EXCLUDED.${name} ELSE t.${name} END`;
    }),
    `_cdc_versions = ARRAY[${versions.join(', ')}] || t._cdc_versions[${table.slots + 1}:]`,
    `_cdc_expiries = CASE WHEN EXCLUDED._cdc_expiries IS NULL AND t._cdc_expiries IS NULL THEN NULL
      ELSE ARRAY[${expiries.join(', ')}] || t._cdc_expiries[${table.slots + 1}:] END`,
  ];
  const kept = (name: string): string => `r.${name} || t.${name}[${table.slots + 1}:]`;
  const keyJoin = keys.map((key) => `t.${key} = r.${key}`).join(' AND ');
  const images = [...regular, '_cdc_versions', '_cdc_expiries'].map((name) => `t.${name}`).join(', ');
  const keyRows = `unnest(${input(keys.length)}) AS r(${keys.join(', ')})`;
  const numberedKeyRows = `unnest(${input(keys.length)}) WITH ORDINALITY AS r(${[...keys, 'n'].join(', ')})`;

  const readImages = `SELECT r.n, ${images} FROM ${numberedKeyRows}
      JOIN ${table.target} AS t ON ${keyJoin} ORDER BY r.n`;

  return {
    upsert: `INSERT INTO ${table.target} AS t (${all.join(', ')}) ${rows}
      ON CONFLICT (${keys.join(', ')}) DO UPDATE SET ${assignments.join(', ')}
      WHERE ${[...winners.values(), ...multiCell.map((column) => announces(column, sides))].map((winner) => `(${winner})`).join(' OR ')}`,
    replace: `UPDATE ${table.target} AS t SET ${[...regular, '_cdc_versions', '_cdc_expiries']
      .map((name) =>
        // Slots of columns that this member does not know stay.
        name.startsWith('_cdc_') ? `${name} = ${kept(name)}` : `${name} = r.${name}`,
      )
      .join(', ')} FROM (${rows}) AS r WHERE ${keyJoin}`,
    remove: `DELETE FROM ${table.target} AS t USING ${keyRows} WHERE ${keyJoin}`,
    lockImages: `${readImages} FOR UPDATE OF t`,
    images: readImages,
    ties: tiesStatement(table, keys, keyJoin),
    columns: all,
    incoming,
  };
}
