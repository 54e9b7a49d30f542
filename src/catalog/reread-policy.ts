import type { RereadPolicy } from '../change/hint.ts';
import { holdsDuration, isMultiCell } from '../change/source-type.ts';
import type { Table } from './table.ts';
import type { TableMapping } from './table-mapping.ts';

/**
 * How the rows of a table are read again, where there is a connection to its source (DESIGN §4).
 *
 * A table of key columns only is read for every write: its partition deletes carry no time (facts), so what they removed
 * can't be told from what came after.
 */
export function rereadPolicy(table: Table, mapping: Pick<TableMapping, 'mode' | 'existenceChecks'>): RereadPolicy {
  const onlyKeys = table.regular.length + table.statics.length + (table.excluded?.length ?? 0) === 0;
  return {
    multiCell: table.regular.map((column) => isMultiCell(column.type)),
    lossy: table.regular.map((column) => holdsDuration(column.type)),
    everyWrite: mapping.mode === 'reread' || onlyKeys,
    existence: mapping.existenceChecks && table.clustering.length > 0,
  };
}
