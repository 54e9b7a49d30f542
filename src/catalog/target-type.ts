/** A PostgreSQL type as a mapping names it: base name as `format_type` spells it, and its modifiers. */
export interface TargetType {
  readonly base: string;
  readonly modifiers: readonly number[];
  readonly array: boolean;
  /** DDL text, spelled as `format_type` does, so that it can be compared with a live column's. */
  readonly text: string;
}

/** Spellings that people use → the one that the catalog uses. */
const SYNONYMS: Readonly<Record<string, string>> = {
  int: 'integer',
  int2: 'smallint',
  int4: 'integer',
  int8: 'bigint',
  decimal: 'numeric',
  float4: 'real',
  float8: 'double precision',
  float: 'double precision',
  bool: 'boolean',
  varchar: 'character varying',
  timestamptz: 'timestamp with time zone',
  timestamp: 'timestamp without time zone',
  time: 'time without time zone',
  timetz: 'time with time zone',
};

/** Base names whose modifiers stand inside the name: `timestamp(3) with time zone`. */
const ZONED = /^(timestamp|time)\s*(\(\s*\d+\s*\))?\s*(with|without) time zone$/;

/** Reads the name of a PostgreSQL type, in any usual spelling. Null where it is none. */
export function parseTargetType(written: string): TargetType | null {
  let text = written.trim().toLowerCase().replace(/\s+/g, ' ');
  const array = text.endsWith('[]');
  if (array) text = text.slice(0, -2).trimEnd();
  const zoned = ZONED.exec(text);
  if (zoned !== null) {
    const precision = zoned[2] === undefined ? [] : [Number(zoned[2].replace(/[()]/g, ''))];
    return assemble(`${zoned[1]} ${zoned[3]} time zone`, precision, array);
  }
  const match = /^(?:([a-z_][a-z0-9_]*)\.)?([a-z_][a-z0-9_ ]*?)\s*(?:\(\s*(-?\d+(?:\s*,\s*-?\d+)*)\s*\))?$/.exec(text);
  if (match === null) return null;
  const name = match[2] ?? '';
  const modifiers = match[3] === undefined ? [] : match[3].split(',').map(Number);
  return assemble(SYNONYMS[name] ?? name, modifiers, array);
}

function assemble(base: string, written: readonly number[], array: boolean): TargetType {
  // numeric(10) is numeric(10,0).
  const modifiers = base === 'numeric' && written.length === 1 ? [...written, 0] : written;
  const list = modifiers.length === 0 ? '' : `(${modifiers.join(',')})`;
  const zone = / with(out)? time zone$/.exec(base)?.[0];
  const spelled = zone === undefined ? base + list : base.slice(0, -zone.length) + list + zone;
  return { base, modifiers, array, text: array ? `${spelled}[]` : spelled };
}
