/** Delivery windows as a service of a running member: puts the verifier together and keeps verifying what is due. */
import type { Kafka } from 'kafkajs';
import { isMultiCell } from '../../change/source-type.ts';
import type { Changelog } from '../../reconcile/delivery/changelog.ts';
import { kafkaChangelog } from '../../reconcile/delivery/kafka-changelog.ts';
import { sourceChangelog } from '../../reconcile/delivery/source-changelog.ts';
import {
  verifyDueWindows,
  type WindowObserver,
  type WindowRounds,
} from '../../reconcile/delivery/verify-due-windows.ts';
import { LockstepError } from '../../shared/errors.ts';
import { openGaps } from '../../target/stores/gap-store.ts';
import { LedgerReader } from '../../target/stores/ledger-reader.ts';
import { WindowStore } from '../../target/stores/window-store.ts';
import { UPKEEP_BACKOFF } from '../upkeep/backoff.ts';
import { waitForBarrier } from './barrier-wait.ts';
import { decoderOf } from '../connect/decoder-of.ts';
import { replayOf, type ReplayBarrier } from './delivery-replay.ts';
import { RECONCILE } from '../end-state/run-comparison.ts';
import { captureBarrier, heartbeatParts, type HeartbeatParts } from '../heartbeats/capture-barrier.ts';
import type { CaptureWait } from '../heartbeats/capture-wait.ts';
import { repeating } from '../upkeep/repeating.ts';
import type { Service } from '../service/service.ts';
import type { RunningParts } from '../service/running-parts.ts';

/** Windows come of age one by one; looking for them costs one small query a table. Small windows come more often. */
const MAX_ROUND_EVERY_MS = 15_000;
const MIN_ROUND_EVERY_MS = 1_000;
/** Rounds in the time in which one window comes of age. */
const ROUNDS_A_WINDOW = 4;

function roundEveryMs({ configuration }: RunningParts): number {
  const { size } = configuration.reconciliation.windows;
  return Math.min(MAX_ROUND_EVERY_MS, Math.max(MIN_ROUND_EVERY_MS, size / ROUNDS_A_WINDOW));
}
/** A round reads hours of a changelog after an outage. */
const ROUND_TIMEOUT_MS = 600_000;
/** How long a round waits for the shards to pass the log ends that it has taken; then its windows are inconclusive. */
const BARRIER_LIMIT_MS = 20_000;

/** The stream's half of the barrier. */
function streamReason(parts: RunningParts, table: string, signal: AbortSignal): Promise<string | null> {
  const { port, pool, prepared, configuration } = parts;
  const topic = prepared.tables.find(({ name }) => name === table)?.topic ?? '';
  const { controlSchema } = configuration.target.postgres;
  const wait = {
    logRanges: (name: string) => port.logRanges(name),
    shards: prepared.target.shards,
    pool,
    controlSchema,
    limitMs: BARRIER_LIMIT_MS,
  };
  return waitForBarrier(wait, { table, topic }, signal);
}

/** The capture's half; a node that is silent is not waited for again at once, for every table and window. */
function captureReason(heartbeats: HeartbeatParts, pauseMs: number): CaptureWait {
  let known: { readonly reason: string; readonly untilMs: number } | null = null;
  return async (signal) => {
    if (known !== null && performance.now() < known.untilMs) return known.reason;
    const reason = await captureBarrier(heartbeats, BARRIER_LIMIT_MS, signal);
    known = reason === null ? null : { reason, untilMs: performance.now() + pauseMs };
    return reason;
  };
}

/** Both halves as they are asked by windows and by what replays their changes. */
function halvesOf(parts: RunningParts): ReplayBarrier {
  const { configuration, prepared, pool, clock } = parts;
  const heartbeats = heartbeatParts(configuration, prepared.cassandra, pool, clock);
  return {
    stream: (table, signal) => streamReason(parts, table, signal),
    capture: heartbeats === null ? null : captureReason(heartbeats, roundEveryMs(parts)),
  };
}

function barrierOf(
  { stream, capture }: ReplayBarrier,
  changelog: Changelog,
  horizons: number,
): WindowRounds['barrier'] {
  return async (table, horizon, signal) => {
    const silent = (await capture?.(signal)) ?? null;
    if (silent !== null) return { unproven: silent, silent };
    // The capture may hold a change for minutes; without heartbeats nobody knows, so the first horizon only looks.
    const isGuess = capture === null && changelog.name === 'cassandra' && horizon === 0;
    if (isGuess && horizons > 1) {
      return { unproven: 'no heartbeats are written: what is missing may still be in the capture', silent: null };
    }
    return { unproven: await stream(table, signal), silent: null };
  };
}

/** What was gone from a topic before it was read is in no account of that topic. */
function lostOf({ pool, configuration }: RunningParts): WindowRounds['lost'] {
  const { controlSchema } = configuration.target.postgres;
  const { skew } = configuration.reconciliation.windows;
  return async (table) =>
    (await openGaps(pool, controlSchema, table, RECONCILE)).map(({ topic, partition, from, to, afterMs, foundMs }) => ({
      what: `records ${from} to ${to - 1n} of ${topic}/${partition} were gone before they were read: a CHECKSUM comparison that passes accounts for them`,
      fromMs: afterMs === null ? null : afterMs - skew,
      toMs: foundMs + skew,
    }));
}

function changelogOf(parts: RunningParts, kafka: Kafka): Changelog | null {
  const { windows } = parts.configuration.reconciliation;
  const { target, cassandra } = parts.prepared;
  switch (windows.changelog) {
    case 'off':
      return null;
    case 'cassandra':
      return cassandra === null ? null : sourceChangelog(cassandra);
    case 'kafka': {
      return kafkaChangelog({
        kafka,
        // The table as it is bound now: its columns may have changed since the start.
        topicOf: (name) => {
          const bound = target.tables.find(({ table }) => table.name === name);
          return bound === undefined ? null : { topic: bound.table.topic, decoder: decoderOf(bound.table) };
        },
        skewMs: windows.skew,
        latenessMs: (windows.horizons.at(-1) ?? 0) + windows.skew,
      });
    }
  }
}

function observerOf({ metrics, logger }: RunningParts): WindowObserver {
  const { reconciliation } = metrics;
  return {
    verified: (table, { window, account, verdict, reason, replayed }, { late, reopened, newlyMissing }) => {
      reconciliation.windowsVerified.inc({ table, verdict });
      reconciliation.windowMissing.inc({ table }, newlyMissing);
      reconciliation.windowLate.inc({ table }, late);
      if (reopened) reconciliation.windowsReopened.inc({ table });
      if (newlyMissing === 0) return;
      const span = { start: new Date(window.startMs).toISOString(), end: new Date(window.endMs).toISOString() };
      logger.error({ table, ...span, ...account, verdict, reason, replayed }, 'changes of the source never arrived');
    },
    missing: (table, changes) => {
      reconciliation.windowMissingNow.set({ table }, changes);
    },
    oldestUnverified: (table, seconds) => {
      reconciliation.windowOldestUnverified.set({ table }, seconds);
    },
    failed: (table, reason) => {
      logger.warn({ table, reason }, 'a delivery window could not be verified; it stays due');
    },
  };
}

/**
 * Verifies the delivery windows of the tables whose first shard this member owns, so that members share them. Null where
 * windows are switched off.
 */
export function verifyDelivery(parts: RunningParts, kafka: Kafka): Service | null {
  const { configuration, consumer, pool, clock, logger, metrics, prepared } = parts;
  const changelog = changelogOf(parts, kafka);
  if (changelog === null) return null;
  const { windows } = configuration.reconciliation;
  const { controlSchema } = configuration.target.postgres;
  const halves = halvesOf(parts);
  const rounds: WindowRounds = {
    store: new WindowStore(pool, controlSchema),
    schedule: { sizeMs: windows.size, horizonsMs: windows.horizons },
    verifier: {
      changelog,
      ledger: new LedgerReader(pool, controlSchema),
      replay: replayOf(parts, halves),
      hasCollections: (table) => prepared.target.boundOf(table).table.regular.some(({ type }) => isMultiCell(type)),
    },
    clock,
    observer: observerOf(parts),
    lost: changelog.name === 'kafka' ? lostOf(parts) : null,
    barrier: barrierOf(halves, changelog, windows.horizons.length),
  };
  const heartbeatTable = configuration.reconciliation.heartbeats?.table;
  for (const { name } of prepared.tables) {
    if (name === heartbeatTable) continue;
    metrics.reconciliation.windowMissing.inc({ table: name }, 0);
    metrics.reconciliation.windowMissingNow.set({ table: name }, 0);
    metrics.reconciliation.windowLate.inc({ table: name }, 0);
    metrics.reconciliation.windowOldestUnverified.set({ table: name }, 0);
  }
  return repeating('verify-delivery', {
    everyMs: roundEveryMs(parts),
    timeoutMs: ROUND_TIMEOUT_MS,
    work: async (signal) => {
      const first = consumer.shards().filter(({ partition, table }) => partition === 0 && table !== heartbeatTable);
      for (const { table } of first) await verifyDueWindows(rounds, table, signal);
    },
    backoff: UPKEEP_BACKOFF,
    onError: (error, failures) => {
      metrics.stream.retries.inc({ kind: error instanceof LockstepError ? error.code : 'UPKEEP' });
      logger[failures === 1 ? 'warn' : 'debug']({ err: error, failures }, 'verifying delivery failed, retrying');
    },
  });
}
