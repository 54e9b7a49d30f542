/**
 * A write that does nothing but empty non-frozen collections or types (`SET tags = {}`, `SET tags = null`). Cassandra puts
 * the deletion in front of an assignment one microsecond before the write, so nothing of such a write has the write's own
 * time (Cassandra: UpdateParameters.setComplexDeletionTimeForOverwrite; captured, seen with 3.4.1.Final), and its event has
 * the change ID of that microsecond.
 */
import { changeIdOf, writeTimeOf } from '../../change/changelog-entry.ts';
import type { ChangeId } from '../../change/change-id.ts';
import type { ChangelogEntry } from './changelog.ts';

/** The ID that the event of such a write has; null where the entry can't be of one. */
export function emptiedId(table: string, { id, evidence }: ChangelogEntry): ChangeId | null {
  if (evidence.kind !== 'key' || evidence.changeKind !== 'write') return null;
  const change = { table, kind: evidence.changeKind, key: evidence.key, bounds: null };
  const writeTime = writeTimeOf(id, change);
  return writeTime === null ? null : changeIdOf({ ...change, writeTime: writeTime - 1n });
}
