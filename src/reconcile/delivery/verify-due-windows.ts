/** One round over the delivery windows that are due: verified, stored, told. */
import type { Clock } from '../../shared/clock.ts';
import { messageOf } from '../../shared/errors.ts';
import type { WindowStore } from '../../target/stores/window-store.ts';
import type { BarrierVerdict } from './barrier.ts';
import { verifyWindows, type VerifiedWindow, type WindowVerifier } from './verify-windows.ts';
import {
  beside,
  changeSince,
  dueWindows,
  type DueWindow,
  type LostStretch,
  type StoredWindow,
  type WindowChange,
  type WindowSchedule,
} from './window.ts';

/** What a round says to metrics and log. */
export interface WindowObserver {
  verified(table: string, found: VerifiedWindow, since: WindowChange): void;
  /** Changes that are proven missing in windows that drift, all of the table's. */
  missing(table: string, changes: number): void;
  /** Age of the oldest window that is due and not passed, seconds; 0 where there is none. */
  oldestUnverified(table: string, seconds: number): void;
  /** A window could not be read whole: it stays due. */
  failed(table: string, reason: string): void;
}

/** What a round asks of the stored windows. */
export type WindowRows = Pick<WindowStore, 'unfinishedSinceMs' | 'list' | 'save' | 'missing'>;

export interface WindowRounds {
  /** The barrier of the moment it is asked. `horizon` counts from 0: how often the windows have come of age. */
  readonly barrier: (table: string, horizon: number, signal: AbortSignal) => Promise<BarrierVerdict>;
  /** Stretches that the changelog has lost of a table; null where it can't lose any that the capture has not. */
  readonly lost: ((table: string) => Promise<readonly LostStretch[]>) | null;
  readonly store: WindowRows;
  readonly verifier: WindowVerifier;
  readonly schedule: WindowSchedule;
  readonly clock: Clock;
  readonly observer: WindowObserver;
}

/** Windows of one table that one round looks at; the rest has its turn in the next round. */
const MAX_WINDOWS_PER_ROUND = 120;
/** Stored windows that are looked at to find what is due: a week of minutes. */
const MAX_STORED = 10_080;

async function storedWindows(store: WindowRows, table: string, sinceMs: number): Promise<Map<number, StoredWindow>> {
  const rows = await store.list({ table, fromMs: sinceMs, limit: MAX_STORED, offset: 0 });
  return new Map(
    rows.map((row) => [
      row.startMs,
      {
        window: { startMs: row.startMs, endMs: row.endMs },
        rounds: row.rounds,
        account: row,
        verdict: row.verdict,
        verifiedMs: row.verifiedAt.getTime(),
      },
    ]),
  );
}

/**
 * Verifies what is due of one table. Rejects only where PostgreSQL can't be asked what is due; a window that can't be
 * read is reported and stays due.
 */
export async function verifyDueWindows(rounds: WindowRounds, table: string, signal: AbortSignal): Promise<void> {
  const { store, schedule, clock, observer } = rounds;
  const sinceMs = await store.unfinishedSinceMs(table, schedule.horizonsMs.length);
  if (sinceMs === null) return;
  const stored = await storedWindows(store, table, sinceMs);
  const due = dueWindows(schedule, sinceMs, stored, clock.nowMs(), MAX_WINDOWS_PER_ROUND);
  let oldestMs: number | null = null;
  for (const group of consecutive(due)) {
    if (signal.aborted) return;
    const passed = await verifyGroup(rounds, table, group, stored, signal);
    const open = group.find(({ window }) => passed?.has(window.startMs) !== true);
    if (open !== undefined) oldestMs ??= open.window.endMs;
    // Windows are verified in order, so that none is left out for ever behind one that could not be read.
    if (passed === null) break;
  }
  observer.missing(table, await store.missing(table));
  observer.oldestUnverified(table, oldestMs === null ? 0 : (clock.nowMs() - oldestMs) / 1000);
}

/** Runs of windows that follow one another at one horizon: each is read in one go. */
function consecutive(due: readonly DueWindow[]): DueWindow[][] {
  const groups: DueWindow[][] = [];
  for (const each of due) {
    const last = groups.at(-1)?.at(-1);
    if (last?.horizon === each.horizon && last.window.endMs === each.window.startMs) groups.at(-1)?.push(each);
    else groups.push([each]);
  }
  return groups;
}

/** Starts of the windows that passed; null where they could not be read. */
async function verifyGroup(
  { store, verifier, observer, barrier, lost }: WindowRounds,
  table: string,
  group: readonly DueWindow[],
  stored: ReadonlyMap<number, StoredWindow>,
  signal: AbortSignal,
): Promise<ReadonlySet<number> | null> {
  const passed = new Set<number>();
  const horizon = group[0]?.horizon ?? 0;
  let found: readonly VerifiedWindow[];
  try {
    const windows = group.map(({ window }) => window);
    const gone = (await lost?.(table)) ?? [];
    const verified = await verifyWindows(verifier, table, windows, (until) => barrier(table, horizon, until), signal);
    found = verified.map((each) => beside(each, gone));
  } catch (error) {
    if (!signal.aborted) observer.failed(table, messageOf(error));
    return null;
  }
  for (const each of found) {
    const { window, account, verdict, reason, replayed } = each;
    const before = stored.get(window.startMs);
    // Only a pass ends a horizon: what was not proven is looked at again.
    const rounds = verdict === 'PASS' ? horizon + 1 : (before?.rounds ?? 0);
    const since = changeSince(before, each);
    const { late, reopened } = since;
    await store.save({ table, ...window, rounds, ...account, late, reopened, replayed, verdict, reason });
    observer.verified(table, each, since);
    if (verdict === 'PASS') passed.add(window.startMs);
  }
  return passed;
}
