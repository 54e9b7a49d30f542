import type { Configuration } from '../../config/index.ts';

type Reconciliation = Configuration['reconciliation'];
export type RepairMode = Reconciliation['repair']['mode'];

/**
 * How drift of a table is dealt with. Pure.
 *
 * | mode | schedules | `reconcile run --repair`, a trigger with repair | `reconcile resolve` |
 * |---|---|---|---|
 * | off | no repair | refused | rows are not written; findings may be closed |
 * | review | no repair | repairs: whoever asks for it has confirmed it | repairs |
 * | auto | repair within the limits | repairs | repairs |
 */
export function repairModeOf({ repair }: Pick<Reconciliation, 'repair'>, table: string): RepairMode {
  return repair.tables[table] ?? repair.mode;
}
