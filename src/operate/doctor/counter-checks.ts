import { bindCounters, type CounterMapping } from '../../catalog/counter-table.ts';
import type { SourceTable } from '../../catalog/source-table.ts';
import { keyColumns } from '../../catalog/table.ts';
import type { Configuration } from '../../config/index.ts';
import type { CassandraProbe } from './cassandra-checks.ts';
import { fault, ok, skipped, warn, type Check, type Finding } from './check.ts';
import { splitTarget, type PostgresProbe } from './postgres-checks.ts';

const COLUMNS_SQL = `
  SELECT a.attname AS name, has_table_privilege(c.oid, 'SELECT') AS readable
  FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
  WHERE n.nspname = $1 AND c.relname = $2`;

const COPY_REMEDY = 'Correct reconciliation.counters[].target and columns: Lockstep does not create that table.';

async function copyFindings(
  mapping: CounterMapping,
  source: SourceTable | undefined,
  probe: PostgresProbe,
): Promise<readonly Finding[]> {
  const { source: name, target } = mapping;
  if (source === undefined) {
    return [fault('the source has no such table', 'Correct reconciliation.counters[].source.', name)];
  }
  const binding = bindCounters(source, mapping);
  if (binding.kind === 'refused') {
    return binding.errors.map(({ message, remedy }) => fault(message, remedy ?? COPY_REMEDY, name));
  }
  const rows = await probe.query(COLUMNS_SQL, splitTarget(target));
  if (rows.length === 0) return [fault(`its copy ${target} does not exist`, COPY_REMEDY, name)];
  if (rows[0]?.['readable'] !== 't') {
    return [fault(`this role may not read its copy ${target}`, `GRANT SELECT ON ${target} to the role.`, name)];
  }
  const present = new Set(rows.map((row) => row['name']));
  const { table } = binding;
  const lacking = [...keyColumns(table), ...table.regular]
    .map(({ target: column }) => column)
    .filter((column) => !present.has(column));
  if (lacking.length > 0) return [fault(`its copy ${target} lacks ${lacking.join(', ')}`, COPY_REMEDY, name)];
  const statics = source.columns.filter(({ kind }) => kind === 'static').map((column) => column.name);
  return [
    ok(`is compared with ${target} by its key`, name),
    warn(
      `a difference is found and never repaired, and nothing of it comes by Kafka${statics.length === 0 ? '' : `; static counters are not compared: ${statics.join(', ')}`}`,
      'Let what keeps the copy correct it; then compare it again. lockstep reconcile resolve ID --action KEEP_TARGET accepts a difference.',
      name,
    ),
  ];
}

/** Copies of counters: whether they can be compared, and what of them nobody repairs. */
export function counterChecks(
  configuration: () => Configuration,
  cassandra: () => Pick<CassandraProbe, 'readKeyspace'>,
  postgres: () => PostgresProbe,
): readonly Check[] {
  return [
    {
      id: 'counters.copies',
      needs: ['cassandra.reachable', 'postgres.reachable'],
      async run() {
        const { counters } = configuration().reconciliation;
        if (counters.length === 0) return [skipped('no copies of counters are configured')];
        const findings: Finding[] = [];
        for (const mapping of counters) {
          const [keyspace = '', name] = mapping.source.split('.');
          const tables = await cassandra().readKeyspace(keyspace);
          const source = tables.find((table) => table.name === name);
          findings.push(...(await copyFindings(mapping, source, postgres())));
        }
        return findings;
      },
    },
  ];
}
