import type { CqlType } from '../../change/source-type.ts';
import { deserialise } from '../../change/values/value-from-bytes.ts';
import { strippedDecimal } from '../../change/values/value-number.ts';
import { serialise } from '../../change/values/value-order.ts';
import { Refused, shown } from './codes.ts';
import type { ColumnPlan, TablePlan } from './column-plan.ts';
import type { Json } from './json.ts';
import { wireBytes } from './wire-scalars.ts';

/**
 * A blob in a partition key of several columns arrives as the *whole* serialised key (JsonConverter writes the array
 * behind the component's buffer): per component a 2-byte length, the bytes, and a 0. The blob is cut out of it, and the
 * other components are checked against what their own fields say. A decimal of negative scale is taken from there: its own
 * field has it written out (`5E+3` as 5000), which is another partition.
 */
function components(bytes: Buffer, count: number): Buffer[] | null {
  const parts: Buffer[] = [];
  let at = 0;
  for (let index = 0; index < count; index++) {
    if (at + 3 > bytes.length) return null;
    const end = at + 2 + bytes.readUInt16BE(at);
    if (end >= bytes.length || bytes[end] !== 0) return null;
    parts.push(bytes.subarray(at + 2, end));
    at = end + 1;
  }
  return at === bytes.length ? parts : null;
}

function isBlob(plan: TablePlan, index: number): boolean {
  const type = plan.table.partitionKey[index]?.type;
  return type?.kind === 'scalar' && type.name === 'blob';
}

function wholeKey(column: ColumnPlan, raw: Json | undefined, count: number): { bytes: Buffer; parts: Buffer[] } {
  const bytes = wireBytes(raw ?? null);
  const parts = bytes === null ? null : components(bytes, count);
  if (bytes === null || parts === null) {
    const found = `${shown(raw)} is no serialised key of ${count} components`;
    throw new Refused('BAD_VALUE', `${column.path}.value`, found);
  }
  return { bytes, parts };
}

/** Replaces the texts of the blob columns, and of decimals with a negative scale, by their own components. `raws`: the JSON values of the partition key. */
export function resolveCompositeKey(plan: TablePlan, raws: readonly Json[], texts: (string | null)[]): void {
  const count = plan.partitionKeys.length;
  let first: Buffer | null = null;
  for (const [index, column] of plan.partitionKeys.entries()) {
    if (!isBlob(plan, index)) continue;
    const { bytes, parts } = wholeKey(column, raws[index], count);
    if (first !== null && !first.equals(bytes)) {
      throw new Refused('KEY_MISMATCH', `${column.path}.value`, 'two blobs of the key carry different serialised keys');
    }
    first = bytes;
    resolveOthers(plan, column, parts, texts);
    texts[index] = `\\x${(parts[index] ?? Buffer.alloc(0)).toString('hex')}`;
  }
}

/** A decimal of negative scale in the serialised key of which the field says the same number, or null. */
function exactDecimal(type: CqlType, bytes: Buffer | undefined, text: string): string | null {
  if (type.kind !== 'scalar' || type.name !== 'decimal' || bytes === undefined) return null;
  const exact = deserialise(type, bytes);
  return exact?.includes('E+') === true && strippedDecimal(exact) === strippedDecimal(text) ? exact : null;
}

function resolveOthers(plan: TablePlan, column: ColumnPlan, parts: readonly Buffer[], texts: (string | null)[]): void {
  for (const [other, { name }] of plan.partitionKeys.entries()) {
    const type = plan.table.partitionKey[other]?.type;
    if (type === undefined || isBlob(plan, other)) continue;
    const text = texts[other] ?? '';
    const expected = serialise(type, text);
    if (expected !== null && parts[other]?.equals(expected) !== true) {
      const exact = exactDecimal(type, parts[other], text);
      if (exact !== null) {
        texts[other] = exact;
        continue;
      }
      const found = `the serialised key says ${parts[other]?.toString('hex') ?? 'nothing'} for ${name}`;
      throw new Refused('KEY_MISMATCH', `${column.path}.value`, found);
    }
  }
}
