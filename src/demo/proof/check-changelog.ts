/**
 * Whether every entry of the changelog table has its outcome in the ledger. The entry was written by the application in
 * the batch of its data, and neither the capture nor Kafka has seen it: what both lost is missing here.
 */
import { createHash } from 'node:crypto';
import type cassandra from 'cassandra-driver';
import type { Check } from './check-ledger.ts';

const PAGE_ROWS = 5_000;
/** Missing entries shown. */
const MAX_SHOWN = 3;

interface Entry {
  readonly table: string;
  readonly id: string;
  readonly kind: string;
  readonly key: string;
}

const TIME_DIGITS = 12;
const ID_DIGITS = 32;

/** The ID of a change as docs/changelog-table.md defines it, at a write time in µs. */
function idAt({ table, kind, key }: Entry, us: bigint): string {
  const ms = us / 1000n;
  const hash = createHash('sha256').update(`1\n${table}\n${kind}\n${us}\n${key}`).digest('hex');
  return (ms.toString(16).padStart(TIME_DIGITS, '0') + hash).slice(0, ID_DIGITS);
}

/**
 * Whether the ledger has it. Of a write that only empties collections the commit log has nothing but a deletion, which
 * Cassandra dates a microsecond before the write.
 */
function isHeld(entry: Entry, ledger: ReadonlySet<string>): boolean {
  if (ledger.has(entry.id)) return true;
  if (entry.kind !== 'write') return false;
  const startUs = BigInt(`0x${entry.id.slice(0, TIME_DIGITS)}`) * 1000n;
  for (let us = startUs; us < startUs + 1000n; us++) {
    if (idAt(entry, us) === entry.id) return ledger.has(idAt(entry, us - 1n));
  }
  return false;
}

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
    const entry: Entry = {
      table: row['table_name'] as string,
      id: (row['change_id'] as Buffer).toString('hex'),
      kind: row['kind'] as string,
      key: row['row_key'] as string,
    };
    if (!names.has(entry.table)) continue;
    entries += 1;
    if (!isHeld(entry, ledger)) missing.push(`${entry.kind} of ${entry.table} ${entry.key} (${entry.id})`);
  }
  const more = missing.length > MAX_SHOWN ? ` and ${missing.length - MAX_SHOWN} more` : '';
  return {
    name: 'the ledger holds every change of the changelog',
    // An account without entries would say nothing.
    ok: entries > 0 && missing.length === 0,
    found: missing.length === 0 ? `${entries} entries` : `missing: ${missing.slice(0, MAX_SHOWN).join('; ')}${more}`,
  };
}
