import fc from 'fast-check';
import { rowKey, type Bound, type Cell, type ChangeEvent } from '../../src/change/change-event.ts';
import { newestCovering, UNBOUNDED, type RangeTombstone } from '../../src/change/range-tombstone.ts';
import { cover, emptyRow, isAlive, mergeRows, stateOf, sweep, type RowState } from '../../src/change/row-state.ts';
import { NEVER } from '../../src/change/write-time.ts';
import type { BoundTable } from '../../src/target/bound-table.ts';

export interface HistoryShape {
  readonly table: string;
  /** Values that a key column may take, per key column. */
  readonly keys: readonly (readonly string[])[];
  readonly partitionColumns: number;
  /** Values that a regular column may take, per column; few, so that ties are frequent. */
  readonly values: readonly (readonly string[])[];
  /** Expiries in µs, or none. */
  readonly expiries?: readonly bigint[];
}

const time = fc.oneof(
  { weight: 8, arbitrary: fc.bigInt({ min: 1n, max: 6n }) },
  { weight: 1, arbitrary: fc.constantFrom(-5n, 862n, 1_795_251_184_999_000_000n, 2n ** 63n - 1n) },
);

/** One change of the shape: mostly writes; row, partition and range deletes where the table can have them. */
export function changes(shape: HistoryShape): fc.Arbitrary<ChangeEvent> {
  const key = fc.tuple(...shape.keys.map((values) => fc.constantFrom(...values))).map((values) => rowKey(values));
  const partition = fc
    .tuple(...shape.keys.slice(0, shape.partitionColumns).map((values) => fc.constantFrom(...values)))
    .map((values) => rowKey(values));
  const expiry =
    shape.expiries === undefined ? fc.constant(null) : fc.option(fc.constantFrom(...shape.expiries), { nil: null });
  const base = { table: shape.table, ambiguity: null };
  const write = fc
    .record({
      key,
      writeTime: time,
      insert: fc.boolean(),
      expiry,
      picks: fc.tuple(
        ...shape.values.map((values) =>
          fc.oneof(
            { weight: 4, arbitrary: fc.constantFrom(...values) },
            { weight: 3, arbitrary: fc.constant(undefined) },
            { weight: 2, arbitrary: fc.constant(null) },
          ),
        ),
      ),
    })
    .map(({ key: rowOf, writeTime, insert, expiry: at, picks }): ChangeEvent => {
      const cells = picks.map((value): Cell | null =>
        value === undefined ? null : { writeTime, value, expiry: value === null ? null : at },
      );
      return {
        ...base,
        kind: 'write',
        key: rowOf,
        writeTime,
        marker: insert ? { writeTime, expiry: at } : null,
        cells,
      };
    });
  const rowDelete = fc
    .record({ key, writeTime: time })
    .map((fields): ChangeEvent => ({ ...base, kind: 'row-delete', ...fields }));
  const clustering = shape.keys.slice(shape.partitionColumns);
  if (clustering.length === 0) return fc.oneof({ weight: 6, arbitrary: write }, { weight: 1, arbitrary: rowDelete });
  const bound: fc.Arbitrary<Bound> = fc
    .record({
      length: fc.nat(clustering.length),
      inclusive: fc.boolean(),
      values: fc.tuple(...clustering.map((values) => fc.constantFrom(...values))),
    })
    .map(({ length, inclusive, values }) =>
      length === 0 ? UNBOUNDED : { values: values.slice(0, length), inclusive },
    );
  const partitionDelete = fc
    .record({ partition, writeTime: time })
    .map((fields): ChangeEvent => ({ ...base, kind: 'partition-delete', ...fields }));
  const rangeDelete = fc
    .record({ partition, start: bound, end: bound, writeTime: time })
    .map((fields): ChangeEvent => ({ ...base, kind: 'range-delete', ...fields }));
  return fc.oneof(
    { weight: 10, arbitrary: write },
    { weight: 2, arbitrary: rowDelete },
    { weight: 1, arbitrary: partitionDelete },
    { weight: 2, arbitrary: rangeDelete },
  );
}

/** The rows that a set of changes leaves, by the pure core alone: what the door is tested against. */
export function expectedRows(history: readonly ChangeEvent[], table: BoundTable, nowUs: bigint): Map<string, RowState> {
  const columns = table.regular.length;
  const rows = new Map<string, { values: readonly string[]; state: RowState }>();
  const ranges = new Map<string, RangeTombstone[]>();
  for (const change of history) {
    if (change.kind === 'write' || change.kind === 'row-delete') {
      const known = rows.get(change.key.text)?.state ?? emptyRow(columns);
      rows.set(change.key.text, {
        values: change.key.values,
        state: mergeRows(known, stateOf(change, columns), table.valueOrders),
      });
    } else {
      const range = change.kind === 'range-delete' ? change : { start: UNBOUNDED, end: UNBOUNDED };
      const list = ranges.get(change.partition.text) ?? [];
      list.push({ start: range.start, end: range.end, writeTime: change.writeTime });
      ranges.set(change.partition.text, list);
    }
  }
  const visible = new Map<string, RowState>();
  const partitionColumns = table.table.partitionKey.length;
  for (const [text, { values, state }] of rows) {
    const tombstones = ranges.get(JSON.stringify(values.slice(0, partitionColumns))) ?? [];
    const deletedAt = newestCovering(tombstones, table.clusteringOrder, values.slice(partitionColumns), NEVER);
    const row = sweep(cover(state, deletedAt), nowUs);
    if (isAlive(row, nowUs)) visible.set(text, row);
  }
  return visible;
}
