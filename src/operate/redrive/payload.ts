/** A dead letter's payload for people: where the cause is, and without what is nobody's business. Pure. */
import { isUtf8 } from 'node:buffer';
import { isLosslessNumber, parse, stringify, type LosslessNumber } from 'lossless-json';
import { MASK } from './masking.ts';

export interface Payload {
  /** JSON text of the value, the value itself where it is another text, base64 where it is none. */
  readonly text: string;
  readonly encoding: 'json' | 'text' | 'base64' | 'null';
  /** The value at the path that the letter names, as JSON text, or null where the path leads nowhere. */
  readonly cause: string | null;
  /** Which lines of the text are the cause, or as far as its path leads; null where it names nothing. */
  readonly causeLines: { readonly first: number; readonly count: number } | null;
}

type Json = null | boolean | LosslessNumber | string | readonly Json[] | { readonly [name: string]: Json };

/** Stands in the place of the cause while its line is looked for. No JSON text of a record has it in this form. */
const MARK = '\u0000the cause\u0000';

/** Numbers keep their digits: they are shown as they were written. */
function parsed(bytes: Buffer): Json | undefined {
  try {
    return parse(bytes.toString('utf8')) as Json;
  } catch {
    return undefined;
  }
}

function masked(value: Json, sensitive: ReadonlySet<string>): Json {
  if (Array.isArray(value)) return value.map((each: Json) => masked(each, sensitive));
  if (typeof value !== 'object' || value === null || isLosslessNumber(value)) return value;
  return Object.fromEntries(
    Object.entries(value).map(([name, field]) => [
      name,
      sensitive.has(name) ? (field === null ? null : MASK) : masked(field, sensitive),
    ]),
  );
}

type Fields = Readonly<Record<string, Json>>;

function fieldsOf(value: Json): Fields | null {
  if (typeof value !== 'object' || value === null || Array.isArray(value) || isLosslessNumber(value)) return null;
  return value as Fields;
}

/** The value as far as the path leads, and the document with the mark in its place. */
function along(
  value: Json,
  names: readonly string[],
): { readonly left: number; readonly found: Json; readonly marked: Json } {
  const [name, ...rest] = names;
  const fields = fieldsOf(value);
  const field = name === undefined ? undefined : fields?.[name];
  if (name === undefined || fields === null || field === undefined) {
    return { left: names.length, found: value, marked: MARK };
  }
  const { left, found, marked } = along(field, rest);
  return { left, found, marked: { ...fields, [name]: marked } };
}

function linesOf(value: Json): readonly string[] {
  return (stringify(value, undefined, 2) ?? '').split('\n');
}

/** The payload with the columns in `sensitive` masked (an empty set shows everything). */
export function payloadOf(value: Buffer | null, path: string, sensitive: ReadonlySet<string>): Payload {
  const nothing = { cause: null, causeLines: null };
  if (value === null) return { text: 'null', encoding: 'null', ...nothing };
  const document = isUtf8(value) ? parsed(value) : undefined;
  if (document === undefined) {
    const encoding = isUtf8(value) ? 'text' : 'base64';
    // What can't be read can't be masked either.
    return {
      text: sensitive.size === 0 ? value.toString(encoding === 'text' ? 'utf8' : 'base64') : MASK,
      encoding,
      ...nothing,
    };
  }
  const shown = masked(document, sensitive);
  const lines = linesOf(shown);
  const names = path.split('.').filter((part) => part !== '');
  const { left, found, marked } = along(shown, names);
  const cause = names.length > 0 && left === 0 ? (stringify(found) ?? null) : null;
  const first = linesOf(marked).findIndex((line) => line.includes(JSON.stringify(MARK)));
  // A path of which nothing is there leads to the whole record: no line of it is the cause.
  const causeLines = left === names.length || first < 0 ? null : { first, count: linesOf(found).length };
  return { text: lines.join('\n'), encoding: 'json', cause, causeLines };
}
