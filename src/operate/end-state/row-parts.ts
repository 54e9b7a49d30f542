/** What is asked and written of a table's rows alike, whoever compares them: a command, a member, a replay of missed changes. */
import type { Pool } from 'pg';
import type { ReconcileParts } from '../../reconcile/end-state/reconcile-table.ts';
import type { Clock } from '../../shared/clock.ts';
import type { RowReader } from '../../source/row-reader.ts';
import type { BoundTable } from '../../target/bound-table.ts';
import { auditEntry } from '../../target/stores/audit-log.ts';
import { FindingStore } from '../../target/stores/finding-store.ts';
import { shardsOf } from '../connect/one-table.ts';
import { processPacing } from '../connect/process-pacing.ts';

export interface RowSystems {
  readonly target: Parameters<typeof shardsOf>[0];
  readonly pool: Pool;
  readonly controlSchema: string;
  readonly reader: RowReader;
  readonly clock: Clock;
  /** `source.cassandra.consistency`. */
  readonly consistency: string | undefined;
}

export type RowParts = Pick<
  ReconcileParts,
  'table' | 'readSource' | 'nowUs' | 'findings' | 'audit' | 'shard' | 'quorumReads' | 'pacing'
>;

/** Consistencies of which a read meets every write of a quorum. */
const QUORUMS: ReadonlySet<string> = new Set(['QUORUM', 'LOCAL_QUORUM', 'EACH_QUORUM', 'ALL']);

/** @param topic That of the table; of the table of static columns the one of its rows. */
export async function rowParts(systems: RowSystems, table: BoundTable, topic: string): Promise<RowParts> {
  const { target, pool, controlSchema, reader, clock, consistency } = systems;
  const [shard] = await shardsOf(target, topic);
  return {
    table,
    readSource: (keys, signal) => reader.read(table.table, keys, signal),
    nowUs: () => BigInt(clock.nowMs()) * 1000n,
    findings: new FindingStore(pool, controlSchema),
    audit: (entry) => auditEntry(controlSchema, entry),
    shard,
    quorumReads: QUORUMS.has(consistency ?? ''),
    pacing: processPacing,
  };
}
