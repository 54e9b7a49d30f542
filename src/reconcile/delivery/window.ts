/**
 * Delivery windows (DESIGN §7 A), pure: half-open ranges of write time, so of change IDs, in which it is proven that every
 * change of the changelog has an outcome in the ledger.
 */
import type { ChangeId } from '../../change/change-id.ts';
import type { BarrierVerdict } from './barrier.ts';

/** [startMs, endMs) of write time, ms since the epoch, aligned to the size of windows. */
export interface DeliveryWindow {
  readonly startMs: number;
  readonly endMs: number;
}

const TIME_HEX_DIGITS = 12;
const ID_HEX_DIGITS = 32;

/** First change ID of a millisecond. */
export function firstIdAt(ms: number): ChangeId {
  return ms.toString(16).padStart(TIME_HEX_DIGITS, '0').padEnd(ID_HEX_DIGITS, '0');
}

/** The millisecond of write time that an ID begins with (clamped times at the ends, see src/change/change-id.ts). */
export function msOfId(id: ChangeId): number {
  return Number.parseInt(id.slice(0, TIME_HEX_DIGITS), 16);
}

/** The change IDs of a window: `from` is the first in it, `to` the first after it. */
export function idRangeOf(window: DeliveryWindow): { readonly from: ChangeId; readonly to: ChangeId } {
  return { from: firstIdAt(window.startMs), to: firstIdAt(window.endMs) };
}

/** Start of the window that a moment lies in. */
export function windowStart(ms: number, sizeMs: number): number {
  return Math.floor(ms / sizeMs) * sizeMs;
}

/** Counts over *distinct* change IDs. `unexpected`: in the ledger only, which is no loss but is told. */
export interface WindowAccount {
  readonly changelog: number;
  readonly processed: number;
  readonly filtered: number;
  readonly deadLettered: number;
  readonly missing: number;
  readonly unexpected: number;
}

/** changelog = processed + filtered + dead_lettered + missing: every change of the changelog has one place. */
export function isBalanced(account: WindowAccount): boolean {
  const { changelog, processed, filtered, deadLettered, missing } = account;
  return changelog === processed + filtered + deadLettered + missing;
}

export type WindowVerdict = 'PASS' | 'DRIFT' | 'INCONCLUSIVE';

/** What the verification of a window found. `reason` says what was not proven, null with PASS and DRIFT. */
export interface WindowFinding {
  readonly window: DeliveryWindow;
  readonly account: WindowAccount;
  readonly verdict: WindowVerdict;
  readonly reason: string | null;
}

/**
 * The verdict of a window. Nothing missing is a pass whatever the stream has still before it: every change that the
 * changelog holds has its outcome. But where heartbeats are written, a node whose capture is silent keeps the window open:
 * a topic shows nothing of what has not left it. Something missing is drift only where the barrier is proven: before, it
 * may be on its way. An empty changelog beside a ledger that is not proves nothing: its writers do not keep it.
 */
export function verdictOf(
  account: WindowAccount,
  { unproven, silent }: BarrierVerdict,
): Pick<WindowFinding, 'verdict' | 'reason'> {
  if (!isBalanced(account)) return { verdict: 'INCONCLUSIVE', reason: 'the account does not add up' };
  const reason = silent ?? (account.missing > 0 ? unproven : null);
  if (reason !== null) return { verdict: 'INCONCLUSIVE', reason };
  if (account.missing > 0) return { verdict: 'DRIFT', reason: null };
  if (account.changelog === 0 && account.unexpected > 0) {
    return { verdict: 'INCONCLUSIVE', reason: 'the changelog is empty while the ledger has changes' };
  }
  return { verdict: 'PASS', reason: null };
}

/** A stretch of a log that is gone: changes of this time may have been in it. */
export interface LostStretch {
  /** What is gone, for the reader. */
  readonly what: string;
  /** ms since the epoch; null = since ever. */
  readonly fromMs: number | null;
  readonly toMs: number;
}

/**
 * Nothing passes of which the account itself has lost a part: a topic does not show what was removed from it before it
 * was read. What is proven missing stays so.
 */
export function beside<Finding extends WindowFinding>(found: Finding, lost: readonly LostStretch[]): Finding {
  if (found.verdict !== 'PASS') return found;
  const { startMs, endMs } = found.window;
  const stretch = lost.find(({ fromMs, toMs }) => (fromMs === null || fromMs < endMs) && toMs >= startMs);
  return stretch === undefined ? found : { ...found, verdict: 'INCONCLUSIVE', reason: stretch.what };
}

/** What is stored of a window: how many horizons it has been verified at, and what the last one found. */
export interface StoredWindow {
  readonly window: DeliveryWindow;
  readonly rounds: number;
  readonly account: WindowAccount;
  readonly verdict: WindowVerdict;
  /** When that was, ms since the epoch, by PostgreSQL's clock. */
  readonly verifiedMs: number;
}

export interface WindowSchedule {
  readonly sizeMs: number;
  /** Ages at which a window is verified, ascending: the first soon, the later ones for what arrives late. */
  readonly horizonsMs: readonly number[];
}

/** A window to verify now, and the horizon (index) that it has reached. */
export interface DueWindow {
  readonly window: DeliveryWindow;
  readonly horizon: number;
}

/** A window that drifts is looked at again after this share of its age, and after this long at most. */
const DRIFT_PAUSE_SHARE = 1 / 20;
const MAX_DRIFT_PAUSE_MS = 600_000;

/**
 * Whether a window that drifts may rest: what is missing waits for a person, and to prove that again costs reads of both
 * sides. A time in the future is another clock's, and no reason to wait.
 */
function rests({ window, verdict, verifiedMs }: StoredWindow, nowMs: number): boolean {
  if (verdict !== 'DRIFT' || verifiedMs > nowMs) return false;
  return nowMs - verifiedMs < Math.min(MAX_DRIFT_PAUSE_MS, (nowMs - window.endMs) * DRIFT_PAUSE_SHARE);
}

/**
 * Windows that are due: those that have reached a horizon at which they have not been verified, and those whose last
 * verdict was not PASS, which are looked at again and again. Oldest first, at most `limit`. `sinceMs`: everything before
 * has been verified at every horizon.
 */
export function dueWindows(
  schedule: WindowSchedule,
  sinceMs: number,
  stored: ReadonlyMap<number, StoredWindow>,
  nowMs: number,
  limit: number,
): readonly DueWindow[] {
  const { sizeMs, horizonsMs } = schedule;
  const [first] = horizonsMs;
  if (first === undefined) return [];
  const due: DueWindow[] = [];
  for (
    let startMs = windowStart(sinceMs, sizeMs);
    startMs + sizeMs + first <= nowMs && due.length < limit;
    startMs += sizeMs
  ) {
    const window = { startMs, endMs: startMs + sizeMs };
    const reached = horizonsMs.findLastIndex((horizonMs) => window.endMs + horizonMs <= nowMs);
    const known = stored.get(startMs);
    if (known !== undefined && ((known.rounds > reached && known.verdict === 'PASS') || rests(known, nowMs))) continue;
    due.push({ window, horizon: reached });
  }
  return due;
}

/** How a window changed since it was verified before. */
export interface WindowChange {
  /** Changes that the changelog did not hold then. */
  readonly late: number;
  /** It had passed, and is open again. */
  readonly reopened: boolean;
  /** Proven missing for the first time; what was replayed since counts, too. */
  readonly newlyMissing: number;
}

/** `replayed`: changes that were missing when this verification began and are not any more. */
export function changeSince(
  before: StoredWindow | undefined,
  found: WindowFinding & { readonly replayed: number },
): WindowChange {
  const missing = (found.verdict === 'DRIFT' ? found.account.missing : 0) + found.replayed;
  const known = before?.verdict === 'DRIFT' ? before.account.missing : 0;
  const newlyMissing = Math.max(0, missing - known);
  if (before === undefined) return { late: 0, reopened: false, newlyMissing };
  const late = Math.max(0, found.account.changelog - before.account.changelog);
  return { late, reopened: before.verdict === 'PASS' && (late > 0 || found.verdict !== 'PASS'), newlyMissing };
}
