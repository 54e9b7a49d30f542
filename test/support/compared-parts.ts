import type { ScannedRow } from '../../src/reconcile/end-state/source-slices.ts';
import type { ReconcileParts } from '../../src/reconcile/end-state/reconcile-table.ts';
import { auditEntry } from '../../src/target/stores/audit-log.ts';
import type { BoundTable } from '../../src/target/bound-table.ts';
import { FindingStore } from '../../src/target/stores/finding-store.ts';
import { TokenScan } from '../../src/target/scan/token-scan.ts';
import type { DoorRig } from './door-rig.ts';
import { sourcePages } from './two-sides.ts';

/** What a comparison runs on: the rig's PostgreSQL, and rows in memory as the source, whatever they are at the moment. */
export function comparedParts(
  rig: DoorRig,
  controlSchema: string,
  table: BoundTable,
  source: () => ReadonlyMap<string, ScannedRow>,
): ReconcileParts {
  return {
    table,
    target: new TokenScan(rig.pool, table, 7),
    scanSource: (range) => sourcePages([...source().values()], range, [{ rows: 5, saysWhole: true }]),
    readSource: (keys) => Promise.resolve(keys.map(({ text }) => source().get(text) ?? null)),
    nowUs: () => BigInt(rig.clock.nowMs()) * 1000n,
    barrier: () => Promise.resolve(null),
    captured: () => Promise.resolve(null),
    repairs: rig.target.repairs,
    findings: new FindingStore(rig.pool, controlSchema),
    audit: (entry) => auditEntry(controlSchema, entry),
    shard: { topic: table.table.topic, incarnation: 1, partition: 0 },
    quorumReads: true,
    pacing: { elapsedMs: () => performance.now(), pause: () => Promise.resolve() },
    onProgress: () => undefined,
    onLeft: () => undefined,
  };
}
