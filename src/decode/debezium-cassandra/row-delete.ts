import { rowKey, type ChangeEvent } from '../../change/change-event.ts';
import { Refused, shown } from './codes.ts';
import { cellOf, microseconds, type ColumnPlan, type TablePlan } from './column-plan.ts';
import { resolveCompositeKey } from './composite-key.ts';
import type { Json, JsonObject } from './json.ts';
import type { KeyCheck } from './record-key.ts';
import { checkOtherField, keyCell, missingKey } from './row-write.ts';
import type { Reading } from './wire-scalars.ts';

/**
 * Compiles `d`: a row delete, or a partition delete where the clustering cells are `{"value":null,"deletion_ts":T}`.
 *
 * **Its time** is the `deletion_ts` of its cells. Of a partition delete `source.ts_us` is the maximum of the whole update
 * and so may be later (an insert of the same batch would be deleted with it). All cells come from one
 * `DeletionTime.markedForDeleteAt` (read in the connector's code), so cells that disagree are no work of the connector:
 * refused. Without any such cell (a table of key columns only):
 * - a *row* delete takes `source.ts_us`, which for row deletes is `row.deletion().time()` itself (bytecode of 3.4.1.Final,
 *   source of every release since 3.1);
 * - a *partition* delete has lost it: ambiguous. That is every delete of a table without clustering columns.
 */
export function compileRowDelete(
  plan: TablePlan,
  checkKey: KeyCheck,
): (after: JsonObject, sourceTime: bigint, key: Buffer, reading: Reading) => ChangeEvent {
  const { table, columns, keys, partitionKeys } = plan;

  /** The time of a deleted cell. */
  function deletedAt(column: ColumnPlan, cell: JsonObject, reading: Reading): bigint {
    const at = cell['deletion_ts'] ?? null;
    if (cell['value'] !== null || at === null) {
      throw new Refused('BAD_CELL', column.path, `a delete with ${shown(cell)}`);
    }
    return microseconds(at, `${column.path}.deletion_ts`, reading);
  }

  return (after, sourceTime, key, reading) => {
    const texts = new Array<string | null>(keys.length).fill(null);
    const raws = new Array<Json>(keys.length).fill(null);
    let valuesSeen = 0;
    let clusteringDeleted = 0;
    let time: bigint | null = null;
    for (const name of Object.keys(after)) {
      const value = after[name] ?? null;
      const column = columns.get(name);
      if (column === undefined) {
        checkOtherField(name, value);
        continue;
      }
      const isKey = column.role === 'partition' || column.role === 'clustering';
      if (value === null && !isKey) continue;
      const cell = cellOf(value, column.path);
      if (isKey && cell['deletion_ts'] === null) {
        const raw = keyCell(column, cell);
        reading.path = `${column.path}.value`;
        texts[column.index] = column.decode(raw, reading);
        raws[column.index] = raw;
        valuesSeen++;
        continue;
      }
      if (column.role === 'partition') throw new Refused('BAD_CELL', column.path, `a key column with ${shown(cell)}`);
      if (column.role === 'clustering') clusteringDeleted++;
      const at = deletedAt(column, cell, reading);
      if (time !== null && time !== at) {
        throw new Refused('BAD_CELL', `${column.path}.deletion_ts`, `${at}, other cells of the delete say ${time}`);
      }
      time = at;
    }
    if (valuesSeen + clusteringDeleted !== keys.length) throw missingKey(keys, Object.keys(after));
    if (clusteringDeleted !== 0 && clusteringDeleted !== plan.clustering.length) {
      throw new Refused('BAD_CELL', 'after', 'some clustering columns have a value and some are deleted');
    }
    if (plan.blobInCompositeKey) resolveCompositeKey(plan, raws, texts);
    checkKey(key, raws, texts);
    const ofPartition = clusteringDeleted !== 0;
    const timeLost = time === null && (ofPartition || plan.clustering.length === 0);
    const base = {
      table: table.name,
      writeTime: time ?? sourceTime,
      ambiguity: timeLost ? ('delete-without-time' as const) : null,
    };
    const values = texts.filter((text) => text !== null);
    if (ofPartition)
      return { ...base, kind: 'partition-delete', partition: rowKey(values.slice(0, partitionKeys.length)) };
    return { ...base, kind: 'row-delete', key: rowKey(values) };
  };
}
