/**
 * A correction of a dead letter's record by hand: a JSON object from path to value, in the paths that `dlq show` names:
 * `{"after.total.value": "12.50"}`. The empty path is the whole value, for bytes that are no JSON. Key, headers and
 * everything that is not named stay as they are; the record in the DLQ keeps its bytes. Pure.
 */
import { isUtf8 } from 'node:buffer';
import { isLosslessNumber, parse, stringify } from 'lossless-json';
import { LockstepError, messageOf } from '../../shared/errors.ts';

type Json = unknown;

/** Paths and values, numbers with all their digits. */
export type Patch = ReadonlyMap<string, Json>;

function invalid(message: string): LockstepError {
  return new LockstepError(message, {
    code: 'PATCH_INVALID',
    kind: 'usage',
    remedy: 'write a JSON object from path to value, such as {"after.total.value": "12.50"}',
  });
}

function isObject(value: Json): value is Record<string, Json> {
  return typeof value === 'object' && value !== null && !Array.isArray(value) && !isLosslessNumber(value);
}

/** @throws {LockstepError} `PATCH_INVALID` (usage) where the text is no JSON object with at least one path. */
export function parsePatch(text: string): Patch {
  let document: Json;
  try {
    document = parse(text);
  } catch (error) {
    throw invalid(`the patch is no JSON: ${messageOf(error)}`);
  }
  if (!isObject(document) || Object.keys(document).length === 0) throw invalid('the patch names nothing to change');
  return new Map(Object.entries(document));
}

/** `value` at the path; objects on the way are made where there are none. */
function withValue(document: Json, path: readonly string[], value: Json): Json {
  const [name, ...rest] = path;
  if (name === undefined) return value;
  const object = isObject(document) ? document : {};
  const before = Object.hasOwn(object, name) ? object[name] : undefined;
  return Object.fromEntries([...Object.entries(object), [name, withValue(before, rest, value)]]);
}

/** The record's value with the patch applied. What is no JSON is replaced as a whole. */
export function patched(value: Buffer | null, patch: Patch): Buffer {
  let document: Json = null;
  if (value !== null && isUtf8(value)) {
    try {
      document = parse(value.toString('utf8'));
    } catch {
      document = null;
    }
  }
  for (const [path, replacement] of patch) {
    document = withValue(document, path === '' ? [] : path.split('.'), replacement);
  }
  return Buffer.from(stringify(document) ?? 'null');
}

/** A record's value in the audit log: as text where it is text, else base64. */
export function auditImage(value: Buffer | null): { readonly encoding: string; readonly value: string | null } {
  if (value === null) return { encoding: 'null', value: null };
  // jsonb holds no U+0000; as base64 nothing is lost.
  const isText = isUtf8(value) && !value.includes(0);
  return { encoding: isText ? 'utf8' : 'base64', value: value.toString(isText ? 'utf8' : 'base64') };
}
