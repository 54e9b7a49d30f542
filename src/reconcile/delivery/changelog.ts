import type { ChangeKind } from '../../change/changelog-entry.ts';
import type { ChangeId } from '../../change/change-id.ts';
import type { SourceRecord } from '../../decode/record.ts';
import type { DeliveryWindow } from './window.ts';

/** How a change that the ledger lacks can be applied after all. */
export type Evidence =
  /** The record is in Kafka: it is decoded and goes through the door as it is. */
  | { readonly kind: 'record'; readonly record: SourceRecord }
  /** Only the account knows of it: the row (or the rows of the partition) must be read again from the source. */
  | { readonly kind: 'key'; readonly changeKind: ChangeKind; readonly key: readonly string[] };

/** One change of the account. */
export interface ChangelogEntry {
  readonly id: ChangeId;
  readonly evidence: Evidence;
}

/**
 * An independent account of what changed, read by window (DESIGN §7 A). Entries may repeat and come in any order; their
 * change IDs lie in the window. Rejects with a LockstepError; a window that could not be read whole must reject, because
 * an entry that is left out looks like a change that never was.
 */
export interface Changelog {
  /** Names the reader in reports. */
  readonly name: 'kafka' | 'cassandra';
  read(table: string, window: DeliveryWindow, signal: AbortSignal): AsyncIterable<readonly ChangelogEntry[]>;
}
