import type { Configuration } from '../../config/index.ts';
import type { LockstepError } from '../../shared/errors.ts';
import type { ReadKeyspace, ResolvedTables } from '../schema/source-tables.ts';
import type { CheckedTable, CheckedTargets } from '../schema/target-check.ts';
import { fault, ok, skipped, warn, type Check, type Finding } from './check.ts';

/** The functions that do the work; tests put others there. */
export interface MappingWork {
  resolve(mappings: Configuration['tables'], read: ReadKeyspace): Promise<ResolvedTables>;
  check(url: string, tables: readonly ResolvedTables['resolved'][number]['table'][]): Promise<CheckedTargets>;
}

const GENERIC_REMEDY = 'Correct the mapping in tables[].columns.';

function errorFinding(error: LockstepError): Finding {
  return fault(error.message, error.remedy ?? GENERIC_REMEDY);
}

function tableFindings({ table, findings }: CheckedTable): readonly Finding[] {
  if (findings.length === 0) return [ok(`fits ${table.targetSchema}.${table.targetTable}`, table.name)];
  return findings.map(({ severity, code, message, remedy }) =>
    severity === 'error'
      ? fault(`${code}: ${message}`, remedy, table.name)
      : warn(`${code}: ${message}`, remedy, table.name),
  );
}

/** The mapping of each source table onto its live target: what can't be mapped, what will refuse rows. */
export function mappingChecks(
  configuration: () => Configuration,
  work: MappingWork,
  /** Null where there is no connection to the source. */
  readKeyspace: () => ReadKeyspace,
): readonly Check[] {
  const declaredOnly = () => configuration().tables.every(({ schema }) => schema !== null);
  const resolve = async () => work.resolve(configuration().tables, readKeyspace());
  return [
    {
      id: 'mapping.source',
      needs: ['configuration'],
      after: ['cassandra.reachable'],
      async run() {
        if (readKeyspace() === null && !declaredOnly()) {
          return [skipped('needs the schema of the source, and cassandra.reachable is not ok')];
        }
        const { resolved, errors } = await resolve();
        return [
          ...resolved.map(({ table }) => {
            const columns = table.partitionKey.length + table.clustering.length + table.regular.length;
            return ok(`${columns} columns map exactly`, table.name);
          }),
          ...errors.map(errorFinding),
        ];
      },
    },
    {
      id: 'mapping.target',
      needs: ['mapping.source', 'postgres.reachable'],
      async run() {
        const { resolved } = await resolve();
        const tables = resolved.map(({ table }) => table);
        // What stands against the database as a whole is a finding of postgres.settings.
        return (await work.check(configuration().target.postgres.url, tables)).tables.flatMap(tableFindings);
      },
    },
  ];
}
