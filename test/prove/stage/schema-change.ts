/** Adds columns to tables that are being written to. */
import { parseProofType } from '../../../src/demo/proof/cql-type.ts';
import { pause } from '../../../src/demo/waiting.ts';
import type { Random } from '../../../src/demo/workload/random.ts';
import { PLACE, typeText } from '../generate/cql-type.ts';
import type { Repertoire } from '../generate/semantics.ts';
import { quotedName, regularType, tableName } from '../generate/table.ts';
import type { Site } from './site.ts';
import type { TableSet } from './table-set.ts';

/** More would make tables that no one has. */
const MAX_REGULAR = 9;
/**
 * Before the new column is written: a change that the agent reads before it has heard of the column is lost, which is a
 * fact about the connector and not what is to be proven.
 */
const AGENT_HEARS_MS = 3_000;

/** Adds one column to one table of the set. Histories use it from when this resolves. */
export async function addColumn(
  site: Site,
  set: TableSet,
  random: Random,
  repertoire: Repertoire,
  signal: AbortSignal,
): Promise<string | null> {
  const { table, columns } = random.pick(set.tables);
  if (table.regular.length >= MAX_REGULAR) return null;
  const name = `added${table.regular.length + 1}`;
  // Of one cell and with its bytes kept, so that what the table's histories may do stays as it is.
  let type = regularType(random, repertoire);
  while (type.kind !== 'scalar' || type.name === 'duration') type = regularType(random, repertoire);
  const cql = `ALTER TABLE ${tableName(table)} ADD ${quotedName(name)} ${typeText(type)}`;
  await site.source.execute(cql);
  columns.push({
    name,
    type: parseProofType(typeText(type), new Map([[PLACE.name, []]])),
    kind: 'regular',
    isKey: false,
  });
  await pause(AGENT_HEARS_MS, signal).catch(() => undefined);
  table.regular.push({ name, type });
  return cql;
}
