import type { Cells, RowKey } from '../../change/change-event.ts';
import { LockstepError } from '../../shared/errors.ts';
import type { BoundColumn, BoundTable } from '../bound-table.ts';

/** Why the target can't hold a row that was read from the source exactly; null where it can. */
export function readProblem(bound: BoundTable, key: RowKey, cells: Cells): LockstepError | null {
  return (
    firstProblem(bound, key, bound.keys, (i) => key.values[i]) ??
    firstProblem(bound, key, bound.regular, (i) => cells[i]?.value)
  );
}

function firstProblem(
  bound: BoundTable,
  key: RowKey,
  columns: readonly BoundColumn[],
  valueAt: (i: number) => string | null | undefined,
): LockstepError | null {
  for (const [i, { column, mapping }] of columns.entries()) {
    const value = valueAt(i);
    const problem = value == null ? null : (mapping.check?.(value) ?? null);
    if (problem === null) continue;
    const message = `row ${key.text} of ${bound.table.name}, ${column.name}: ${problem.message}`;
    return new LockstepError(message, { code: problem.code, kind: 'row' });
  }
  return null;
}
