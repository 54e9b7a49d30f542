/**
 * Rows that Cassandra takes and the target refuses: one column of each is what a CHECK, a trigger, an index, another row
 * or the type of the target's column does not let in. `NARROW` and `HARDEN` are the target that refuses them, `WIDE` and
 * `MEND` the same one with every cause mended, so that it can hold whatever Cassandra does.
 */
import cassandra from 'cassandra-driver';

const { LocalDate, LocalTime } = cassandra.types;

export const CQL = `CREATE TABLE shop.poisoned (id int PRIMARY KEY, v text, wide text, note text, code text, doc text,
  nul text, extra text, amount decimal, big bigint, at timestamp, clock time, day date, parent int) WITH cdc = true`;

/** What tests write in CQL types, for events that are made by hand. */
export const CQL_COLUMNS = {
  wide: 'text',
  note: 'text',
  code: 'text',
  doc: 'text',
  nul: 'text',
  extra: 'text',
  amount: 'decimal',
  big: 'bigint',
  at: 'timestamp',
  clock: 'time',
  day: 'date',
  parent: 'int',
} as const;

export const NARROW = {
  note: { type: 'varchar(20)' },
  doc: { type: 'json' },
  amount: { type: 'numeric(8,2)' },
  big: { type: 'integer' },
};

export const WIDE = {
  nul: { type: 'bytea' },
  at: { type: 'bigint' },
  clock: { type: 'bigint' },
  day: { type: 'integer' },
};

/** Parents that are there from the beginning. */
const PARENTS = 10;
/** Rows of somebody else, in the way of ours. */
const TAKEN_CODES = 1_000;
/** The first ID of a row that is refused; its number is added. */
export const FIRST_POISON_ID = 1_000_000;

export const HARDEN: readonly string[] = [
  'CREATE TABLE parents (id int PRIMARY KEY)',
  `INSERT INTO parents SELECT generate_series(0, ${PARENTS - 1})`,
  'ALTER TABLE poisoned ADD CONSTRAINT has_parent FOREIGN KEY (parent) REFERENCES parents (id)',
  'ALTER TABLE poisoned ADD CONSTRAINT one_code UNIQUE (code)',
  `INSERT INTO poisoned (id, code) SELECT -n, 'taken-' || (${FIRST_POISON_ID} + n)
     FROM generate_series(1, ${TAKEN_CODES}) AS n`,
  `ALTER TABLE poisoned ADD CONSTRAINT no_check CHECK (v NOT LIKE 'check-%')`,
  'CREATE INDEX too_wide ON poisoned (wide)',
  `CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
     IF NEW.v LIKE 'raise-%' THEN RAISE EXCEPTION 'not this one'; END IF;
     IF NEW.v LIKE 'divide-%' THEN PERFORM 1 / (length(NEW.v) - length(NEW.v)); END IF;
     IF NEW.v LIKE 'overflow-%' THEN PERFORM 2147483647 + length(NEW.v); END IF;
     RETURN NEW; END $$`,
  'CREATE TRIGGER refuse BEFORE INSERT OR UPDATE ON poisoned FOR EACH ROW EXECUTE FUNCTION refuse()',
];

export const MEND: readonly string[] = [
  `INSERT INTO parents SELECT generate_series(${FIRST_POISON_ID}, ${FIRST_POISON_ID + TAKEN_CODES})`,
  'DELETE FROM poisoned WHERE id < 0',
  'ALTER TABLE poisoned DROP CONSTRAINT no_check',
  'DROP INDEX too_wide',
  'DROP TRIGGER refuse ON poisoned',
  'ALTER TABLE poisoned ALTER note TYPE text, ALTER doc TYPE text, ALTER amount TYPE numeric, ALTER big TYPE bigint',
  `ALTER TABLE poisoned ALTER nul TYPE bytea USING convert_to(nul, 'UTF8'),
     ALTER at TYPE bigint USING (extract(epoch FROM at) * 1000)::bigint,
     ALTER clock TYPE bigint USING (extract(epoch FROM clock) * 1000000)::bigint * 1000,
     ALTER day TYPE integer USING day - DATE '1970-01-01'`,
];

export type SourceRow = Record<keyof typeof CQL_COLUMNS | 'v', unknown>;

/** A row that every target takes. */
export function goodRow(id: number, i: number): SourceRow {
  return {
    v: `v-${i}`,
    wide: `wide-${i % 97}`,
    note: `note ${i % 1000}`,
    code: `code-${id}`,
    doc: `{"i": ${i}}`,
    nul: 'none',
    extra: null,
    amount: cassandra.types.BigDecimal.fromString(`${i % 10_000}.25`),
    big: BigInt(i),
    at: new Date(1_700_000_000_000 + i),
    clock: LocalTime.fromString('12:34:56.000001000'),
    day: LocalDate.fromString('2026-11-29'),
    parent: i % PARENTS,
  };
}

/** Does not compress: an index entry of it does not fit a page. */
function incompressible(id: number): string {
  const character = (i: number) => 33 + (((Math.imul(id + 1, 48_271) ^ Math.imul(i + 7, 69_621)) >>> 7) % 90);
  return String.fromCharCode(...Array.from({ length: 12_000 }, (_, i) => character(i)));
}

export interface SourcePoison {
  readonly code: string;
  /** The cells of the row with this ID that the target refuses. */
  readonly bad: (id: number) => Partial<SourceRow>;
}

export const SOURCE_POISON: readonly SourcePoison[] = [
  { code: 'PG_23514', bad: (id) => ({ v: `check-${id}` }) },
  { code: 'PG_P0001', bad: (id) => ({ v: `raise-${id}` }) },
  { code: 'PG_22012', bad: (id) => ({ v: `divide-${id}` }) },
  { code: 'PG_22003', bad: (id) => ({ v: `overflow-${id}` }) },
  { code: 'PG_54000', bad: (id) => ({ wide: incompressible(id) }) },
  { code: 'PG_23505', bad: (id) => ({ code: `taken-${id}` }) },
  { code: 'PG_23503', bad: (id) => ({ parent: id }) },
  { code: 'TEXT_TOO_LONG', bad: () => ({ note: 'longer than the target allows' }) },
  { code: 'TEXT_NOT_JSON', bad: () => ({ doc: '{no json' }) },
  { code: 'TEXT_NUL', bad: () => ({ nul: 'a\0b' }) },
  { code: 'NUMERIC_PRECISION', bad: () => ({ amount: cassandra.types.BigDecimal.fromString('12345678.00') }) },
  { code: 'NUMERIC_SCALE', bad: () => ({ amount: cassandra.types.BigDecimal.fromString('1.234') }) },
  { code: 'INTEGER_RANGE', bad: (id) => ({ big: 5_000_000_000n + BigInt(id) }) },
  // 5001 BC.
  { code: 'TIMESTAMP_RANGE', bad: () => ({ at: new Date(-220_000_000_000_000) }) },
  { code: 'TIME_PRECISION', bad: () => ({ clock: LocalTime.fromString('12:34:56.123456789') }) },
  { code: 'DATE_RANGE', bad: () => ({ day: new LocalDate(-5000, 1, 1) }) },
];

/** Statements of CQL with their parameters. */
export type Statement = readonly [query: string, params: readonly unknown[]];

export function insertOf(id: number, row: Partial<SourceRow>): Statement {
  const names = Object.keys(row);
  const marks = names.map(() => '?').join(', ');
  return [`INSERT INTO shop.poisoned (id, ${names.join(', ')}) VALUES (?, ${marks})`, [id, ...Object.values(row)]];
}

export function updateOf(id: number, cells: Partial<SourceRow>): Statement {
  const names = Object.keys(cells);
  return [
    `UPDATE shop.poisoned SET ${names.map((name) => `${name} = ?`).join(', ')} WHERE id = ?`,
    [...Object.values(cells), id],
  ];
}

export function deleteOf(id: number): Statement {
  return ['DELETE FROM shop.poisoned WHERE id = ?', [id]];
}

/**
 * How the row number `n` of a kind meets its refusal: new with it, good and then changed, or new with it and then changed
 * elsewhere, so that the target has a part of the row.
 */
export function poisonStatements({ bad }: SourcePoison, id: number, n: number): readonly Statement[] {
  const good = goodRow(id, n);
  const cells = bad(id);
  switch (n % 3) {
    case 0:
      return [insertOf(id, { ...good, ...cells })];
    case 1:
      return [insertOf(id, good), updateOf(id, cells)];
    default:
      return [insertOf(id, { ...good, ...cells }), updateOf(id, { extra: `extra-${n}` })];
  }
}
