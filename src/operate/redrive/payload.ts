/** A dead letter's payload for people: where the cause is, and without what is nobody's business. Pure. */
import { isUtf8 } from 'node:buffer';
import { isLosslessNumber, parse, stringify, type LosslessNumber } from 'lossless-json';

/** What stands for a value of a sensitive column. */
export const MASK = '••••••';

export interface Payload {
  /** JSON text of the value, or base64 where it is no JSON. */
  readonly text: string;
  readonly encoding: 'json' | 'base64' | 'null';
  /** The value at the path that the letter names, as JSON text, or null where the path leads nowhere. */
  readonly cause: string | null;
}

type Json = null | boolean | LosslessNumber | string | readonly Json[] | { readonly [name: string]: Json };

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

function at(value: Json, path: string): Json | undefined {
  let here: Json | undefined = value;
  for (const name of path.split('.').filter((part) => part !== '')) {
    if (typeof here !== 'object' || here === null || Array.isArray(here)) return undefined;
    here = (here as Readonly<Record<string, Json>>)[name];
  }
  return here;
}

/** The payload with the columns in `sensitive` masked (an empty set shows everything). */
export function payloadOf(value: Buffer | null, path: string, sensitive: ReadonlySet<string>): Payload {
  if (value === null) return { text: 'null', encoding: 'null', cause: null };
  const document = isUtf8(value) ? parsed(value) : undefined;
  if (document === undefined) {
    // Bytes that can't be read can't be masked either.
    const text = sensitive.size === 0 ? value.toString('base64') : MASK;
    return { text, encoding: 'base64', cause: null };
  }
  const shown = masked(document, sensitive);
  const cause = path === '' ? undefined : at(shown, path);
  return {
    text: stringify(shown, undefined, 2) ?? '',
    encoding: 'json',
    cause: cause === undefined ? null : (stringify(cause) ?? null),
  };
}
