/** What a running member needs to replay missed changes: the outside door, and rows read again from the source. */
import { randomUUID } from 'node:crypto';
import { LRUCache } from 'lru-cache';
import type { ChangeId } from '../../change/change-id.ts';
import { replayMissed, type ReplayOutcome, type ReplayParts } from '../../reconcile/delivery/replay-missed.ts';
import type { RowReplayParts } from '../../reconcile/delivery/replay-rows.ts';
import type { Replay } from '../../reconcile/delivery/verify-windows.ts';
import { RowReader } from '../../source/row-reader.ts';
import { scanRows } from '../../source/row-scan.ts';
import { scanSession } from '../../source/scan-session.ts';
import { FindingStore } from '../../target/stores/finding-store.ts';
import { PacedDoor } from '../../target/paced-door.ts';
import { noteAccounted } from '../../target/stores/replay-ledger.ts';
import { TokenScan } from '../../target/scan/token-scan.ts';
import { decoderOf } from '../connect/decoder-of.ts';
import { SCAN_PATIENCE } from '../connect/one-table.ts';
import { processPacing } from '../connect/process-pacing.ts';
import type { RunningParts } from '../service/running-parts.ts';
import { guessedWait, type CaptureWait } from '../heartbeats/capture-wait.ts';
import { rowParts } from '../end-state/row-parts.ts';

/** Changes that were left to a person and told of; they come up again at every verification of their window. */
const MAX_TOLD = 100_000;

/** The two halves of the barrier, each null or why it is not proven. */
export interface ReplayBarrier {
  readonly stream: (table: string, signal: AbortSignal) => Promise<string | null>;
  /** Null where no heartbeats are written. */
  readonly capture: CaptureWait | null;
}

function rowPartsOf(parts: RunningParts, barrier: ReplayBarrier): ReplayParts['rowsOf'] {
  const { configuration, prepared, pool, clock } = parts;
  const { cassandra, target } = prepared;
  if (cassandra === null) return null;
  const { controlSchema } = configuration.target.postgres;
  const { captureDelay } = configuration.reconciliation;
  const { consistency } = configuration.source.cassandra ?? {};
  const systems = { target, pool, controlSchema, reader: new RowReader(cassandra, clock), clock, consistency };
  return async (name): Promise<RowReplayParts> => {
    const table = target.boundOf(name);
    return {
      ...(await rowParts(systems, table, table.table.topic)),
      target: new TokenScan(pool, table),
      scanSource: async function* (range, signal) {
        const pages = scanRows(scanSession(cassandra), table.table, {
          ...SCAN_PATIENCE,
          range,
          from: null,
          signal,
          elapsedMs: processPacing.elapsedMs,
        });
        for await (const { rows, unreadable, position } of pages) {
          yield { rows, unreadable, upTo: position.token, whole: position.key === null };
        }
      },
      barrier: (signal) => barrier.stream(name, signal),
      captured: barrier.capture ?? guessedWait(captureDelay),
      repairs: target.repairs,
    };
  };
}

/** Null where missing changes are only told of. */
export function replayOf(parts: RunningParts, barrier: ReplayBarrier): Replay | null {
  const { configuration, prepared, pool, logger, metrics } = parts;
  const { windows, repair } = configuration.reconciliation;
  if (windows.replay === 'off') return null;
  const { target } = prepared;
  const { controlSchema } = configuration.target.postgres;
  const findings = new FindingStore(pool, controlSchema);
  const told = new LRUCache<string, ReplayOutcome>({ max: MAX_TOLD });
  const tell = (table: string, id: ChangeId, outcome: ReplayOutcome, reason: string | null): void => {
    if (outcome === 'open' || told.get(id) === outcome) return;
    metrics.reconciliation.replayed.inc({ table, outcome });
    if (outcome !== 'review' && outcome !== 'failed') return;
    told.set(id, outcome);
    logger.error({ table, id, outcome, reason }, 'a missed change was not replayed; a finding says more');
  };
  return replayMissed({
    mode: windows.replay,
    limits: { maxRows: repair.maxRows, maxShare: repair.maxPercent / 100 },
    door: new PacedDoor(target.outside, processPacing),
    topicOf: (name) => {
      const bound = target.tables.find((each) => each.table.name === name);
      return bound === undefined ? null : { topic: bound.table.topic, decoder: decoderOf(bound.table) };
    },
    shardsOf: async (topic) => (await target.shards.list(topic)).map(({ shard }) => shard),
    rowsOf: rowPartsOf(parts, barrier),
    note: (table, shard, ids) => noteAccounted(pool, controlSchema, target.boundOf(table).id, shard, ids),
    record: (table, jobId, found) => findings.record(target.boundOf(table).id, jobId, found),
    newJobId: randomUUID,
    onOutcome: tell,
  });
}
