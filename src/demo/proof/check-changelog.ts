/**
 * Whether every entry of the changelog table has its outcome in the ledger. The entry was written by the application in
 * the batch of its data, and neither the capture nor Kafka has seen it: what both lost is missing here.
 */
import type cassandra from 'cassandra-driver';
import type { Check } from './check-ledger.ts';

const PAGE_ROWS = 5_000;
/** Missing entries shown. */
const MAX_SHOWN = 3;

/** Reads the changelog of a keyspace whole. `tables`: names without the keyspace. */
export async function checkChangelog(
  source: cassandra.Client,
  keyspace: string,
  tables: readonly string[],
  ledger: ReadonlySet<string>,
): Promise<Check> {
  const names = new Set(tables.map((table) => `${keyspace}.${table}`));
  const missing: string[] = [];
  let entries = 0;
  const rows = await source.execute(
    `SELECT table_name, change_id, kind, row_key FROM "${keyspace}".lockstep_changelog`,
    [],
    { prepare: true, fetchSize: PAGE_ROWS },
  );
  for await (const row of rows) {
    const name = row['table_name'] as string;
    if (!names.has(name)) continue;
    entries += 1;
    const id = (row['change_id'] as Buffer).toString('hex');
    if (!ledger.has(id)) missing.push(`${row['kind'] as string} of ${name} ${row['row_key'] as string} (${id})`);
  }
  const more = missing.length > MAX_SHOWN ? ` and ${missing.length - MAX_SHOWN} more` : '';
  return {
    name: 'the ledger holds every change of the changelog',
    // An account without entries would say nothing.
    ok: entries > 0 && missing.length === 0,
    found: missing.length === 0 ? `${entries} entries` : `missing: ${missing.slice(0, MAX_SHOWN).join('; ')}${more}`,
  };
}
