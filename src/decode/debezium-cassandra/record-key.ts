import { Refused, shown } from './codes.ts';
import type { ColumnPlan, TablePlan } from './column-plan.ts';
import { isObject, own, parseExact, unwrapped, utf8Text, type Json } from './json.ts';
import type { Reading } from './wire-scalars.ts';

/**
 * The record key must name the row that the value names: Kafka's partition, and with it the order of a row's changes,
 * hangs on it. The usual case costs one string comparison: the key as the same converter would print the value's fields.
 */
export type KeyCheck = (key: Buffer, raws: readonly Json[], texts: readonly (string | null)[]) => void;

/** A frozen collection in a key is not printed: the texts then differ and the fields are compared. */
function printed(value: Json): string {
  if (typeof value === 'string') return JSON.stringify(value);
  return typeof value === 'object' && value !== null ? '' : String(value);
}

function checkField(column: ColumnPlan, inKey: Json | undefined, raw: Json, text: string | null): void {
  const path = `key.${column.name}`;
  if (inKey === undefined) throw new Refused('KEY_MISMATCH', path, 'missing');
  // Strings compare as they came, so that a blob's whole composite key needs no second decoding.
  if (inKey === raw) return;
  const reading: Reading = { exact: true, escapes: true, path, expansion: 0 };
  if (inKey === null || text === null || column.decode(inKey, reading) !== text) {
    throw new Refused('KEY_MISMATCH', path, `the key says ${shown(inKey)}, the value ${shown(text)}`);
  }
}

function checkFields(plan: TablePlan, key: Buffer, raws: readonly Json[], texts: readonly (string | null)[]): void {
  const fields = unwrapped(parseExact(utf8Text(key, 'key'), 'key'));
  if (!isObject(fields)) throw new Refused('NOT_AN_OBJECT', 'key', `found ${shown(fields)}`);
  for (const [index, column] of plan.keys.entries()) {
    checkField(column, own(fields, column.name), raws[index] ?? null, texts[index] ?? null);
  }
  for (const name of Object.keys(fields)) {
    const role = plan.columns.get(name)?.role;
    if (role !== 'partition' && role !== 'clustering') {
      throw new Refused('KEY_MISMATCH', `key.${name}`, 'the table has no such key column');
    }
  }
}

export function compileKeyCheck(plan: TablePlan): KeyCheck {
  const prefixes = plan.keys.map(({ name }, index) => `${index === 0 ? '{' : ','}${JSON.stringify(name)}:`);
  return (key, raws, texts) => {
    let expected = '';
    for (let index = 0; index < prefixes.length; index++)
      expected += `${prefixes[index]}${printed(raws[index] ?? null)}`;
    if (key.toString('utf8') !== `${expected}}`) checkFields(plan, key, raws, texts);
  };
}
