/** One round over the delivery windows that are due: verified, stored, told. */
import type { Clock } from '../../shared/clock.ts';
import { messageOf } from '../../shared/errors.ts';
import type { WindowStore } from '../../target/window-store.ts';
import { verifyWindow, type VerifiedWindow, type WindowVerifier } from './verify-window.ts';
import { changeSince, dueWindows, type DueWindow, type StoredWindow, type WindowSchedule } from './window.ts';

/** What a round says to metrics and log. */
export interface WindowObserver {
  verified(table: string, found: VerifiedWindow): void;
  /** Age of the oldest window that is due and not passed, seconds; 0 where there is none. */
  oldestUnverified(table: string, seconds: number): void;
  /** A window could not be read whole: it stays due. */
  failed(table: string, reason: string): void;
}

export interface WindowRounds {
  /**
   * Why the barrier of this moment is not proven, or null. Asked once a round, after its windows have ended and before
   * anything is read. `horizon` counts from 0: how often the youngest window of the round has come of age.
   */
  readonly unproven: (table: string, horizon: number, signal: AbortSignal) => Promise<string | null>;
  readonly store: WindowStore;
  readonly verifier: WindowVerifier;
  readonly schedule: WindowSchedule;
  readonly clock: Clock;
  readonly observer: WindowObserver;
}

/** Windows of one table that one round looks at; the rest has its turn in the next round. */
const MAX_WINDOWS_PER_ROUND = 120;
/** Stored windows that are looked at to find what is due. A day of minutes, twice. */
const MAX_STORED = 2_880;

async function storedWindows(store: WindowStore, table: string): Promise<Map<number, StoredWindow>> {
  const rows = await store.list({ table, limit: MAX_STORED, offset: 0 });
  return new Map(
    rows.map((row) => [
      row.startMs,
      { window: { startMs: row.startMs, endMs: row.endMs }, rounds: row.rounds, account: row, verdict: row.verdict },
    ]),
  );
}

/**
 * Verifies what is due of one table. Rejects only where PostgreSQL can't be asked what is due; a window that can't be
 * read is reported and stays due.
 */
export async function verifyDueWindows(rounds: WindowRounds, table: string, signal: AbortSignal): Promise<void> {
  const { store, schedule, clock, observer } = rounds;
  const registeredMs = await store.registeredAtMs(table);
  if (registeredMs === null) return;
  const stored = await storedWindows(store, table);
  const due = dueWindows(schedule, registeredMs, stored, clock.nowMs(), MAX_WINDOWS_PER_ROUND);
  const reasons = new Map<number, string | null>();
  for (const horizon of new Set(due.map((each) => each.horizon))) {
    reasons.set(horizon, await rounds.unproven(table, horizon, signal));
  }
  let oldest: DueWindow | null = null;
  for (const each of due) {
    if (signal.aborted) return;
    const unproven = reasons.get(each.horizon) ?? null;
    const passed = await verifyOne(rounds, table, each, stored.get(each.window.startMs), unproven, signal);
    if (!passed) oldest ??= each;
  }
  observer.oldestUnverified(table, oldest === null ? 0 : (clock.nowMs() - oldest.window.endMs) / 1000);
}

async function verifyOne(
  { store, verifier, observer }: WindowRounds,
  table: string,
  { window, horizon }: DueWindow,
  before: StoredWindow | undefined,
  unproven: string | null,
  signal: AbortSignal,
): Promise<boolean> {
  let found: VerifiedWindow;
  try {
    found = await verifyWindow(verifier, table, window, unproven, signal);
  } catch (error) {
    if (!signal.aborted) observer.failed(table, messageOf(error));
    return false;
  }
  const { account, verdict, reason, replayed } = found;
  await store.save({
    table,
    ...window,
    // Only a pass ends a horizon: what was not proven is looked at again.
    rounds: verdict === 'PASS' ? horizon + 1 : (before?.rounds ?? 0),
    ...account,
    ...changeSince(before, found),
    replayed,
    verdict,
    reason,
  });
  observer.verified(table, found);
  return verdict === 'PASS';
}
