/**
 * Verifies one delivery window: does the ledger hold every change ID of the changelog? What is missing is replayed, and
 * the window is read again before it is judged: a replay is no verification.
 */
import { LockstepError } from '../../shared/errors.ts';
import type { PackedSegment } from '../../target/ledger-reader.ts';
import type { Changelog, ChangelogEntry } from './changelog.ts';
import { IdAccount, TOO_MANY_IDS } from './id-account.ts';
import { idRangeOf, verdictOf, type DeliveryWindow, type WindowAccount, type WindowFinding } from './window.ts';

/** Change IDs held at once: 17 bytes each in a table at most 60 % full, doubled while it grows: 200 MB at the worst. */
export const MAX_IDS_AT_ONCE = 2_000_000;
/** Missing changes that are replayed in one go; more are left to the next verification, which finds them again. */
export const MAX_REPLAYED = 10_000;
/** A window is not cut finer than this; more changes than fit in one millisecond are an error. */
const MIN_SPAN_MS = 1;

/** What the ledger says of a table's change IDs. */
export interface LedgerSource {
  segments(table: string, from: string, to: string): AsyncIterable<readonly PackedSegment[]>;
}

/** Applies missing changes through the door. Resolves with how many could be applied; the others stay missing. */
export type Replay = (table: string, entries: readonly ChangelogEntry[], signal: AbortSignal) => Promise<number>;

export interface WindowVerifier {
  readonly changelog: Changelog;
  readonly ledger: LedgerSource;
  /** Null where missing changes are only told of. */
  readonly replay: Replay | null;
}

export interface VerifiedWindow extends WindowFinding {
  readonly replayed: number;
}

interface Comparison {
  readonly account: WindowAccount;
  readonly missing: readonly ChangelogEntry[];
}

const EMPTY: WindowAccount = { changelog: 0, processed: 0, filtered: 0, deadLettered: 0, missing: 0, unexpected: 0 };

function sum(left: WindowAccount, right: WindowAccount): WindowAccount {
  return {
    changelog: left.changelog + right.changelog,
    processed: left.processed + right.processed,
    filtered: left.filtered + right.filtered,
    deadLettered: left.deadLettered + right.deadLettered,
    missing: left.missing + right.missing,
    unexpected: left.unexpected + right.unexpected,
  };
}

/** Compares a span; one with too many changes is halved, so memory stays bounded whatever the window holds. */
async function compare(
  verifier: WindowVerifier,
  table: string,
  span: DeliveryWindow,
  signal: AbortSignal,
  maxIds: number,
): Promise<Comparison> {
  const account = new IdAccount(maxIds);
  const { from, to } = idRangeOf(span);
  const readLedger = async (): Promise<void> => {
    for await (const page of verifier.ledger.segments(table, from, to)) {
      signal.throwIfAborted();
      for (const { ids, outcomes } of page) account.noteLedger(ids, outcomes, from, to);
    }
  };
  try {
    // The ledger first, so that of the changelog only what is missing has to be kept.
    await readLedger();
    const suspects: ChangelogEntry[] = [];
    for await (const page of verifier.changelog.read(table, span, signal)) {
      for (const entry of page) {
        const isNew = account.noteChangelog(entry.id);
        if (isNew && !account.isInLedger(entry.id) && suspects.length < MAX_REPLAYED) suspects.push(entry);
      }
    }
    // What came through the door while the changelog was read is not missing.
    if (suspects.length > 0) await readLedger();
    return { account: account.account(), missing: suspects.filter(({ id }) => !account.isInLedger(id)) };
  } catch (error) {
    const canSplit = span.endMs - span.startMs > MIN_SPAN_MS;
    if (!canSplit || !(error instanceof LockstepError) || error.code !== TOO_MANY_IDS) throw error;
  }
  const middle = Math.floor((span.startMs + span.endMs) / 2);
  const parts = [
    { startMs: span.startMs, endMs: middle },
    { startMs: middle, endMs: span.endMs },
  ];
  const whole: { account: WindowAccount; missing: ChangelogEntry[] } = { account: EMPTY, missing: [] };
  for (const part of parts) {
    const { account: counts, missing } = await compare(verifier, table, part, signal, maxIds);
    whole.account = sum(whole.account, counts);
    whole.missing.push(...missing.slice(0, MAX_REPLAYED - whole.missing.length));
  }
  return whole;
}

/**
 * Verifies a window, replays what it lacks, and judges what the ledger holds then. `unproven`: why the barrier was not
 * proven before this began, or null. Rejects where changelog or ledger can't be read whole.
 */
export async function verifyWindow(
  verifier: WindowVerifier,
  table: string,
  window: DeliveryWindow,
  unproven: string | null,
  signal: AbortSignal,
  maxIds = MAX_IDS_AT_ONCE,
): Promise<VerifiedWindow> {
  const found = await compare(verifier, table, window, signal, maxIds);
  // Without the barrier what is missing may be on its way: it is left alone.
  if (unproven !== null || found.missing.length === 0 || verifier.replay === null) {
    return { window, account: found.account, replayed: 0, ...verdictOf(found.account, unproven) };
  }
  const replayed = await verifier.replay(table, found.missing, signal);
  const { account } = replayed === 0 ? found : await compare(verifier, table, window, signal, maxIds);
  return { window, account, replayed, ...verdictOf(account, null) };
}
