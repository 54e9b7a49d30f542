/**
 * The changelog table in the source (DESIGN §7 A): applications write one row into it in the same logged batch as the
 * data, so it carries the same write time and is there exactly if the data is. Lockstep reads it by window and finds what
 * the capture has lost.
 *
 * Hot partitions: a partition holds one table's changes of one bucket of write time in one of several slices; the slice
 * is taken from the change ID's hash bits, so writers spread evenly whatever their keys are.
 */
import type { Client, types } from 'cassandra-driver';
import { changeIdOf, type ChangelogChange, type ChangeKind } from '../change/changelog-entry.ts';
import type { ChangeId } from '../change/change-id.ts';
import { LockstepError, messageOf } from '../shared/errors.ts';

/** Span of write time of one bucket; its number fits an `int` for 4,000 years. One minute of 10,000 changes/s over 16 slices is a partition of 2 MB. */
export const BUCKET_MS = 60_000;
export const SLICES = 16;
/** Default TTL of an entry, seconds: longer than the oldest horizon at which windows are verified, with room for outages. */
const DEFAULT_TTL_S = 7 * 86_400;
/** Rows a page; a partition is read with bounded memory. */
const PAGE_ROWS = 5_000;
const READ_TIMEOUT_MS = 30_000;

const quoted = (name: string): string => `"${name.replaceAll('"', '""')}"`;

/** Name of the changelog, one in each keyspace. */
export const CHANGELOG_TABLE = 'lockstep_changelog';

/** `keyspace.table` of the changelog of a keyspace. */
export function changelogTable(keyspace: string): string {
  return `${quoted(keyspace)}.${CHANGELOG_TABLE}`;
}

/** The table's definition, for `lockstep schema` and the documentation. `cdc` stays off: it is read, not captured. */
export function changelogTableCql(keyspace: string, ttlSeconds = DEFAULT_TTL_S): string {
  return `CREATE TABLE IF NOT EXISTS ${changelogTable(keyspace)} (
  table_name text,
  bucket int,
  slice smallint,
  change_id blob,
  kind text,
  row_key text,
  PRIMARY KEY ((table_name, bucket, slice), change_id)
) WITH default_time_to_live = ${ttlSeconds}
  AND gc_grace_seconds = 86400
  AND compaction = {'class': 'TimeWindowCompactionStrategy', 'compaction_window_unit': 'HOURS', 'compaction_window_size': 6}`;
}

/** A statement for the application's batch: text with `?` and its parameters, to be prepared. */
export interface ChangelogStatement {
  readonly query: string;
  readonly params: readonly [string, number, number, Buffer, string, string];
}

function bucketOf(id: ChangeId): number {
  return Math.floor(Number.parseInt(id.slice(0, 12), 16) / BUCKET_MS);
}

function sliceOf(id: ChangeId): number {
  return Number.parseInt(id.slice(-2), 16) % SLICES;
}

/**
 * The entry of one change, for the same logged batch as the change itself. The batch must carry the write time that is
 * given here (`USING TIMESTAMP`, or the statements' default timestamp): it is part of the change's identity.
 */
export function changelogStatement(keyspace: string, change: ChangelogChange): ChangelogStatement {
  const id = changeIdOf(change);
  return {
    query: `INSERT INTO ${changelogTable(keyspace)} (table_name, bucket, slice, change_id, kind, row_key) VALUES (?, ?, ?, ?, ?, ?)`,
    params: [change.table, bucketOf(id), sliceOf(id), Buffer.from(id, 'hex'), change.kind, JSON.stringify(change.key)],
  };
}

/** An entry as it is read back. */
export interface ChangelogRow {
  readonly id: ChangeId;
  readonly kind: ChangeKind;
  readonly key: readonly string[];
}

const KINDS: ReadonlySet<string> = new Set<ChangeKind>(['write', 'row-delete', 'partition-delete', 'range-delete']);

function rowFrom(table: string, line: ChangelogLine): ChangelogRow {
  const key: unknown = JSON.parse(line.row_key);
  if (!KINDS.has(line.kind) || !Array.isArray(key) || !key.every((part) => typeof part === 'string')) {
    throw new LockstepError(`the changelog of ${table} has an entry that is none: ${line.kind} ${line.row_key}`, {
      code: 'CHANGELOG_ENTRY',
      kind: 'batch',
      remedy: 'write entries as docs/changelog-table.md says; delete the row if it was written by hand',
    });
  }
  return { id: line.change_id.toString('hex'), kind: line.kind as ChangeKind, key };
}

/**
 * Reads the entries of [from, to) (change IDs), a page at a time. Rejects with a transient LockstepError where the source
 * can't answer: then the window has not been read whole.
 */
export async function* readChangelog(
  client: Client,
  keyspace: string,
  table: string,
  range: { readonly from: ChangeId; readonly to: ChangeId },
  signal: AbortSignal,
): AsyncIterable<readonly ChangelogRow[]> {
  const query = `SELECT change_id, kind, row_key FROM ${changelogTable(keyspace)}
    WHERE table_name = ? AND bucket = ? AND slice = ? AND change_id >= ? AND change_id < ?`;
  const [from, to] = [Buffer.from(range.from, 'hex'), Buffer.from(range.to, 'hex')];
  // The end is exclusive: an end on a bucket's edge needs nothing of that bucket.
  const last = Math.ceil(Number.parseInt(range.to.slice(0, 12), 16) / BUCKET_MS);
  for (let bucket = bucketOf(range.from); bucket < last; bucket++) {
    for (let slice = 0; slice < SLICES; slice++) {
      let pageState: string | null | undefined;
      do {
        signal.throwIfAborted();
        const result = await readPage(client, query, [table, bucket, slice, from, to], pageState, table, keyspace);
        if (result.rows.length > 0) yield result.rows.map((row) => rowFrom(table, row as unknown as ChangelogLine));
        ({ pageState } = result as PagedResult);
      } while (pageState != null);
    }
  }
}

/** The driver's type hides that the last page has none. */
interface PagedResult {
  readonly pageState?: string | null;
}

interface ChangelogLine {
  readonly change_id: Buffer;
  readonly kind: string;
  readonly row_key: string;
}

async function readPage(
  client: Client,
  query: string,
  params: readonly unknown[],
  pageState: string | null | undefined,
  table: string,
  keyspace: string,
): Promise<types.ResultSet> {
  try {
    return await client.execute(query, [...params], {
      prepare: true,
      fetchSize: PAGE_ROWS,
      readTimeout: READ_TIMEOUT_MS,
      ...(pageState == null ? {} : { pageState }),
    });
  } catch (cause) {
    throw new LockstepError(`reading the changelog of ${table}: ${messageOf(cause)}`, {
      code: 'CHANGELOG_UNREADABLE',
      kind: 'transient',
      remedy: `create the table as docs/changelog-table.md says, and grant SELECT on ${changelogTable(keyspace)}`,
      cause,
    });
  }
}
