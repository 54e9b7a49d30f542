import { serialise } from '../../change/value-order.ts';
import { Refused, shown } from './codes.ts';
import type { ColumnPlan, TablePlan } from './column-plan.ts';
import type { Json } from './json.ts';
import { wireBytes } from './wire-scalars.ts';

/**
 * A blob in a partition key of several columns arrives as the *whole* serialised key (JsonConverter writes the array
 * behind the component's buffer): per component a 2-byte length, the bytes, and a 0. The blob is cut out of it, and the
 * other components are checked against what their own fields say.
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

/** Replaces the texts of the blob columns by their own components. `raws`: the JSON values of the partition key. */
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
    checkOthers(plan, column, parts, texts);
    texts[index] = `\\x${(parts[index] ?? Buffer.alloc(0)).toString('hex')}`;
  }
}

function checkOthers(
  plan: TablePlan,
  column: ColumnPlan,
  parts: readonly Buffer[],
  texts: readonly (string | null)[],
): void {
  for (const [other, { name }] of plan.partitionKeys.entries()) {
    const type = plan.table.partitionKey[other]?.type;
    if (type === undefined || isBlob(plan, other)) continue;
    const expected = serialise(type, texts[other] ?? '');
    if (expected !== null && parts[other]?.equals(expected) !== true) {
      const found = `the serialised key says ${parts[other]?.toString('hex') ?? 'nothing'} for ${name}`;
      throw new Refused('KEY_MISMATCH', `${column.path}.value`, found);
    }
  }
}
