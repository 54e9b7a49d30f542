import type { RereadPolicy } from '../change/hint.ts';
import { holdsDuration, isMultiCell } from '../change/source-type.ts';
import { keyBytesKnown } from '../change/values/value-order.ts';
import { keyColumns, type Table } from './table.ts';
import { undecidedTie } from './type-mapping.ts';

/**
 * How the rows of a table are read again (DESIGN §4); null where there is no connection to its source, or where its key
 * holds a type whose bytes are not known, so that no row can be asked for: queueing such reads would keep them for ever.
 *
 * A table of key columns only is read for every write: its partition deletes carry no time (facts), so what they removed
 * can't be told from what came after.
 */
export function rereadPolicy(table: Table): RereadPolicy | null {
  const { rereads } = table;
  if (rereads === undefined || !keyColumns(table).every(({ type }) => keyBytesKnown(type))) return null;
  const onlyKeys = table.regular.length + table.statics.length + (table.excluded?.length ?? 0) === 0;
  return {
    multiCell: table.regular.map((column) => isMultiCell(column.type)),
    lossy: table.regular.map((column) => holdsDuration(column.type)),
    everyWrite: rereads.mode === 'reread' || onlyKeys,
    existence: rereads.existenceChecks && table.clustering.length > 0,
    undecided: table.regular.map((column) => (isMultiCell(column.type) ? null : undecidedTie(column))),
  };
}
