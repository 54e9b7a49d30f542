/** What is found out about a row that PostgreSQL refused, beside what it says: which row, and which columns. */
import type { RowKey } from '../change/change-event.ts';
import type { LockstepError } from '../shared/errors.ts';
import type { BoundTable } from './bound-table.ts';
import { classifyPostgresError, type PostgresFault, type RefusalFacts } from './postgres-errors.ts';
import { suspectRow } from './suspect-row.ts';
import type { TargetCatalogue } from './target-catalogue.ts';

/**
 * check_violation and not_null_violation: PostgreSQL looks at one row alone and at once, so the row that it shows is the
 * guilty one. Other refusals tell of no row, or of a conflict of two.
 */
const OF_ONE_ROW: ReadonlySet<string> = new Set(['23514', '23502']);

/** The error classified, with the row and columns at fault where it is one of a row. */
export async function classifyRefusal(
  error: unknown,
  action: string,
  bound: BoundTable,
  rows: Iterable<{ readonly key: RowKey }>,
  catalogue: TargetCatalogue,
): Promise<LockstepError> {
  const classified = classifyPostgresError(error, action);
  if (classified.kind !== 'row' || classified === error) return classified;
  return classifyPostgresError(error, action, false, await factsOf(error ?? {}, bound, rows, catalogue));
}

async function factsOf(
  fault: PostgresFault,
  { table, keys, regular }: BoundTable,
  rows: Iterable<{ readonly key: RowKey }>,
  catalogue: TargetCatalogue,
): Promise<RefusalFacts> {
  const target = { schema: table.targetSchema, table: table.targetTable };
  const isOurs = fault.schema === target.schema && fault.table === target.table;
  const suspect = fault.detail === undefined ? null : suspectRow(fault.detail, rows);
  const isSuspectProven =
    suspect !== null &&
    isOurs &&
    OF_ONE_ROW.has(fault.code ?? '') &&
    (await catalogue.beginsWith(
      target,
      keys.map(({ column }) => column.target),
    ));
  const named = fault.column === undefined ? [] : [fault.column];
  const ofConstraint = isOurs && fault.constraint !== undefined && named.length === 0;
  const targetColumns = ofConstraint ? await catalogue.columnsOf(target, fault.constraint) : named;
  const mapped = [...keys, ...regular].map(({ column }) => column);
  const columns = targetColumns.flatMap((name) => mapped.find((column) => column.target === name)?.name ?? []);
  return { suspect, isSuspectProven, targetColumns, columns };
}
