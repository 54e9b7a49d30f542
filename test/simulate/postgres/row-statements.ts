/** What the generated statements of a target table do (`row-statements.ts` of the door), decided by the pure core. */
import type { Cell } from '../../../src/change/change-event.ts';
import { markerReplaces, replaces } from '../../../src/change/row-state.ts';
import { NEVER } from '../../../src/change/write-time.ts';
import { MARKER_ORDINAL, type BoundTable } from '../../../src/target/bound-table.ts';
import { parseArray, parseBigints, printBigints } from './array-literal.ts';
import type { TargetRow } from './relations.ts';

/** Text of a key in the target: what its primary key compares. */
export function targetKey(key: readonly (string | null)[]): string {
  return JSON.stringify(key);
}

/** Keys out of the parameters of `remove` and `lockImages`: one array a column. */
export function keysFrom(values: readonly unknown[]): string[][] {
  const columns = values.map((value) => parseArray(value as string));
  return (columns[0] ?? []).map((_, row) => columns.map((column) => column[row]!));
}

/** Rows out of the parameters of `upsert` and `replace`. */
export function rowsFrom(table: BoundTable, values: readonly unknown[]): TargetRow[] {
  const lists = values.map((value) => parseArray(value as string));
  const keyCount = table.keys.length;
  const end = keyCount + table.regular.length;
  const [times, masks, versions, expiries, , orders] = lists.slice(end);
  return lists[0]!.map((_, row): TargetRow => {
    const text = versions![row] ?? null;
    const time = times![row] ?? null;
    const mask = BigInt(masks![row] ?? 0);
    const spread = Array.from({ length: table.slots }, (__, slot) =>
      (mask >> BigInt(slot)) & 1n ? BigInt(time!) : NEVER,
    );
    const expiryText = expiries![row] ?? null;
    return {
      key: lists.slice(0, keyCount).map((list) => list[row]!),
      values: lists.slice(keyCount, end).map((list) => list[row] ?? null),
      versions: text === null ? spread : parseBigints(text).map((version) => version ?? NEVER),
      expiries: expiryText === null ? null : parseBigints(expiryText),
      order: orders?.[row]?.replace(/^\\x/, '') ?? null,
    };
  });
}

function versionAt(row: TargetRow, ordinal: number): bigint {
  return row.versions[ordinal - 1] ?? NEVER;
}

function expiryAt(row: TargetRow, ordinal: number): bigint | null {
  return row.expiries?.[ordinal - 1] ?? null;
}

/** Whether the incoming cell or marker of this slot wins: `wins` of the generated SQL. */
function winners(table: BoundTable, incoming: TargetRow, stored: TargetRow): Map<number, boolean> {
  const decide = (ordinal: number, tie: () => boolean): boolean => {
    const [ours, theirs] = [versionAt(incoming, ordinal), versionAt(stored, ordinal)];
    if (ours !== theirs) return ours > theirs;
    return ours === NEVER ? false : tie();
  };
  const won = new Map([
    [
      MARKER_ORDINAL,
      decide(MARKER_ORDINAL, () => {
        const marker = (row: TargetRow) => ({ writeTime: 0n, expiry: expiryAt(row, MARKER_ORDINAL) });
        return markerReplaces(marker(incoming), marker(stored));
      }),
    ],
  ]);
  for (const [i, { ordinal, mapping }] of table.regular.entries()) {
    const cell = (row: TargetRow): Cell => {
      const value = row.values[i] ?? null;
      return {
        writeTime: 0n,
        value: value === null ? null : mapping.fromTarget(value),
        expiry: expiryAt(row, ordinal),
      };
    };
    won.set(
      ordinal,
      decide(ordinal, () => replaces(cell(incoming), cell(stored), table.valueOrders[i]!)),
    );
  }
  return won;
}

/** The row after ON CONFLICT DO UPDATE, or null where its WHERE skips it. */
export function upserted(table: BoundTable, incoming: TargetRow, stored: TargetRow): TargetRow | null {
  const won = winners(table, incoming, stored);
  if (![...won.values()].some((wins) => wins)) return null;
  const slots = Array.from({ length: table.slots }, (_, i) => i + 1);
  const noExpiry = incoming.expiries === null && stored.expiries === null;
  return {
    ...stored,
    values: table.regular.map(({ ordinal }, i) => (won.get(ordinal) === true ? incoming : stored).values[i] ?? null),
    versions: slots.map((slot) => {
      const [a, b] = [versionAt(incoming, slot), versionAt(stored, slot)];
      return a > b ? a : b;
    }),
    expiries: noExpiry ? null : slots.map((slot) => expiryAt(won.get(slot) === true ? incoming : stored, slot)),
  };
}

/** Regular columns, versions and expiries as a SELECT prints them. */
export function printedImage(row: TargetRow): (string | null)[] {
  return [...row.values, printBigints(row.versions), row.expiries === null ? null : printBigints(row.expiries)];
}
