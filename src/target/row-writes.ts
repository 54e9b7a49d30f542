import type { FoldedRow } from '../change/fold.ts';
import type { BoundTable } from './bound-table.ts';
import type { ControlStatements } from './control-statements.ts';
import { RowParameters, keyParameters } from './row-codec.ts';
import type { RowPlan } from './row-plan.ts';
import type { RowStatements } from './row-statements.ts';
import type { Statement } from './transaction.ts';

/** What the door knows of one table, compiled once. */
export interface TableDoor {
  readonly bound: BoundTable;
  readonly statements: RowStatements;
}

function parametersOf(bound: BoundTable, rows: readonly FoldedRow[]): string[] {
  const parameters = new RowParameters(bound);
  for (const row of rows) parameters.add(row.key, row.state);
  return parameters.values();
}

/** The statements that carry out a plan; shared by the batch, the removal of ranges and the sweep of expired values. */
export function rowWrites(table: TableDoor, control: ControlStatements, plan: RowPlan): Statement[] {
  const { bound, statements } = table;
  const writes: Statement[] = [];
  if (plan.removals.length > 0) {
    writes.push({ name: `remove-${bound.tag}`, text: statements.remove, values: keyParameters(bound, plan.removals) });
  }
  if (plan.graves.length > 0) writes.push(control.bury(bound, plan.graves));
  if (plan.replacements.length > 0) {
    const values = parametersOf(bound, plan.replacements);
    writes.push({ name: `replace-${bound.tag}`, text: statements.replace, values });
  }
  if (plan.upserts.length > 0) {
    writes.push({ name: `upsert-${bound.tag}`, text: statements.upsert, values: parametersOf(bound, plan.upserts) });
  }
  return writes;
}
