/**
 * Tables of counters. The connector emits nothing for them and a counter is a sum of increments, not a value that was
 * written at a time: there is nothing to merge, so Lockstep does not keep them. What keeps a copy of them in PostgreSQL can
 * be compared with the source.
 */
import { LockstepError } from '../shared/errors.ts';
import { bindTable, type Binding } from './bind.ts';
import { COUNTER_TABLE } from './declared-schema.ts';
import type { SourceTable } from './source-table.ts';
import { tableMappingSchema, type TableMapping } from './table-mapping.ts';

/** Behind the name of the source table, where a name of a topic is asked for: no topic has such a name. */
const COUNTERS_OF = '#counters';

/** An entry of `reconciliation.counters`. */
export type CounterMapping = Pick<TableMapping, 'source' | 'target' | 'columns'>;

/** Binds a table of counters, for comparisons alone. Static counters belong to no row and are left out. */
export function bindCounters(source: SourceTable, { source: name, target, columns }: CounterMapping): Binding {
  if (source.unsupported !== COUNTER_TABLE) {
    const error = new LockstepError(`reconciliation.counters: ${name}: is no table of counters`, {
      code: 'COUNTER_TABLE',
      kind: 'config',
      remedy: 'put it into tables: what is captured is compared as well',
    });
    return { kind: 'refused', errors: [error] };
  }
  const mapping = tableMappingSchema.parse({ source: name, target, columns, topic: 'counters' });
  const binding = bindTable({ ...source, unsupported: null }, mapping);
  if (binding.kind === 'refused') return binding;
  return {
    kind: 'bound',
    table: {
      ...binding.table,
      topic: name + COUNTERS_OF,
      statics: [],
      rereads: { mode: 'apply', existenceChecks: false },
      ofCounters: true,
    },
  };
}
