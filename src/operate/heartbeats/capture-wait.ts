/** The capture's half of the barrier as whatever proves something asks it: by heartbeats, or by a configured guess. */
import { setTimeout as delay } from 'node:timers/promises';
import type { Client } from 'cassandra-driver';
import type { Pool } from 'pg';
import type { Configuration } from '../../config/index.ts';
import type { Clock } from '../../shared/clock.ts';
import { captureBarrier, heartbeatParts } from './capture-barrier.ts';

/** Waits; then why not everything that the source had at the call is known to have come through the capture, or null. */
export type CaptureWait = (signal: AbortSignal) => Promise<string | null>;

/** How long the capture, or the shards, may take to pass what there was when they were asked; somebody waits for a verdict. */
export const BARRIER_LIMIT_MS = 60_000;

/** Without heartbeats: the longest that the capture is said to hold a change, ms; null: nobody knows. */
export function guessedWait(
  captureDelay: number | null,
  unknown = 'no heartbeats are written, so what the capture still holds is unknown',
): CaptureWait {
  return async (signal) => {
    if (captureDelay === null) return unknown;
    await delay(captureDelay, undefined, { signal });
    return null;
  };
}

/** By heartbeats where they are configured, else by `reconciliation.captureDelay`. */
export function captureWait(configuration: Configuration, cassandra: Client, pool: Pool, clock: Clock): CaptureWait {
  const heartbeats = heartbeatParts(configuration, cassandra, pool, clock);
  if (heartbeats === null) return guessedWait(configuration.reconciliation.captureDelay);
  return (signal) => captureBarrier(heartbeats, BARRIER_LIMIT_MS, signal);
}
