import type { Cells, RowKey } from '../change/change-event.ts';
import { LockstepError } from '../shared/errors.ts';
import type { BoundColumn, BoundTable } from './bound-table.ts';

function problemOf(
  column: BoundColumn,
  value: string | null | undefined,
): ReturnType<NonNullable<BoundColumn['mapping']['check']>> {
  return value == null ? null : (column.mapping.check?.(value) ?? null);
}

/** Why the target can't hold a row that was read from the source exactly; null where it can. */
export function readProblem(bound: BoundTable, key: RowKey, cells: Cells): LockstepError | null {
  const found = [
    ...bound.keys.map((column, i) => [column, problemOf(column, key.values[i])] as const),
    ...bound.regular.map((column, i) => [column, problemOf(column, cells[i]?.value)] as const),
  ].find(([, problem]) => problem !== null);
  if (found === undefined) return null;
  const [{ column }, problem] = found;
  return new LockstepError(`row ${key.text} of ${bound.table.name}, ${column.name}: ${problem?.message ?? ''}`, {
    code: problem?.code ?? 'TYPE_LOSS',
    kind: 'row',
  });
}
