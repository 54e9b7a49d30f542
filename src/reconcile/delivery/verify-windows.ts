/**
 * Verifies delivery windows: does the ledger hold every change ID of the changelog? What is missing is replayed, and
 * the window is read again before it is judged: a replay is no verification.
 */
import type { ChangeId } from '../../change/change-id.ts';
import { LockstepError } from '../../shared/errors.ts';
import type { PackedSegment } from '../../target/stores/ledger-reader.ts';
import type { BarrierVerdict } from './barrier.ts';
import type { Changelog, ChangelogEntry } from './changelog.ts';
import { emptiedId } from './emptied-collection.ts';
import { IdAccount, TOO_MANY_IDS } from './id-account.ts';
import { idRangeOf, msOfId, verdictOf, type DeliveryWindow, type WindowAccount, type WindowFinding } from './window.ts';

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

/** Applies missing changes through the door. Resolves with the IDs of those it could apply; the others stay missing. */
export type Replay = (
  table: string,
  entries: readonly ChangelogEntry[],
  signal: AbortSignal,
) => Promise<ReadonlySet<ChangeId>>;

export interface WindowVerifier {
  readonly changelog: Changelog;
  readonly ledger: LedgerSource;
  /** Whether the table has columns whose emptying the capture tells of as a microsecond earlier (emptied-collection.ts). */
  readonly hasCollections: (table: string) => boolean;
  /** Null where missing changes are only told of. */
  readonly replay: Replay | null;
}

export interface VerifiedWindow extends WindowFinding {
  readonly replayed: number;
}

/**
 * Resolves with what is proven of everything that the source had at the call. Asked after the changelog has been read, so
 * that every entry of it is older than the barrier, whatever the clocks of its writers say.
 */
export type Barrier = (signal: AbortSignal) => Promise<BarrierVerdict>;

interface Comparison {
  readonly account: WindowAccount;
  readonly missing: readonly ChangelogEntry[];
  readonly barrier: BarrierVerdict;
}

const PROVEN: BarrierVerdict = { unproven: null, silent: null };

const EMPTY: WindowAccount = { changelog: 0, processed: 0, filtered: 0, deadLettered: 0, missing: 0, unexpected: 0 };

function sum(left: Comparison, right: Comparison): Comparison {
  const [a, b] = [left.account, right.account];
  return {
    account: {
      changelog: a.changelog + b.changelog,
      processed: a.processed + b.processed,
      filtered: a.filtered + b.filtered,
      deadLettered: a.deadLettered + b.deadLettered,
      missing: a.missing + b.missing,
      unexpected: a.unexpected + b.unexpected,
    },
    missing: [...left.missing, ...right.missing].slice(0, MAX_REPLAYED),
    barrier: {
      unproven: left.barrier.unproven ?? right.barrier.unproven,
      silent: left.barrier.silent ?? right.barrier.silent,
    },
  };
}

/** The accounts of consecutive windows, filled by one reading of ledger and changelog. */
class Accounts {
  readonly #windows: readonly DeliveryWindow[];
  readonly #accounts: readonly IdAccount[];
  readonly #suspects: readonly ChangelogEntry[][];

  constructor(windows: readonly DeliveryWindow[], maxIds: number) {
    this.#windows = windows;
    const share = Math.max(1, Math.floor(maxIds / windows.length));
    this.#accounts = windows.map(() => new IdAccount(share));
    this.#suspects = windows.map(() => []);
  }

  noteLedger({ ids, outcomes }: PackedSegment): void {
    this.#windows.forEach((window, i) => {
      const { from, to } = idRangeOf(window);
      this.#accounts[i]?.noteLedger(ids, outcomes, from, to);
    });
  }

  noteChangelog(entry: ChangelogEntry): void {
    const at = windowAt(this.#windows, msOfId(entry.id));
    const account = this.#accounts[at];
    const suspects = this.#suspects[at];
    if (account === undefined || suspects === undefined || !account.noteChangelog(entry.id)) return;
    if (!account.isInLedger(entry.id) && suspects.length < MAX_REPLAYED) suspects.push(entry);
  }

  /** What is missing although the barrier has passed, or before it is asked. */
  missing(): ChangelogEntry[] {
    return this.#suspects.flatMap((suspects, i) =>
      suspects.filter(({ id }) => this.#accounts[i]?.isInLedger(id) === false),
    );
  }

  /** Null for an ID of another time than these windows'. */
  isInChangelog(id: ChangeId): boolean | null {
    return this.#accountOf(id)?.isInChangelog(id) ?? null;
  }

  noteKnownAs(id: ChangeId, known: ChangeId, outcome: number): void {
    this.#accountOf(id)?.noteKnownAs(id, outcome);
    this.#accountOf(known)?.forgetUnexpected(known);
  }

  #accountOf(id: ChangeId): IdAccount | undefined {
    return this.#accounts[windowAt(this.#windows, msOfId(id))];
  }

  get hasSuspects(): boolean {
    return this.#suspects.some((suspects) => suspects.length > 0);
  }

  comparisons(barrier: BarrierVerdict): Comparison[] {
    return this.#accounts.map((account, i) => ({
      barrier,
      account: account.account(),
      missing: (this.#suspects[i] ?? []).filter(({ id }) => !account.isInLedger(id)),
    }));
  }
}

/** Position of the window that a moment lies in, −1 where none; the windows follow one another. */
function windowAt(windows: readonly DeliveryWindow[], ms: number): number {
  let low = 0;
  let high = windows.length - 1;
  while (low <= high) {
    const middle = (low + high) >>> 1;
    const { startMs, endMs } = windows[middle] ?? { startMs: 0, endMs: 0 };
    if (ms < startMs) high = middle - 1;
    else if (ms >= endMs) low = middle + 1;
    else return middle;
  }
  return -1;
}

/** Halves of a span of windows; a single window is halved in time. Null where it can't be cut finer. */
function halves(windows: readonly DeliveryWindow[]): readonly [DeliveryWindow[], DeliveryWindow[]] | null {
  const [only] = windows;
  if (windows.length !== 1 || only === undefined) {
    const middle = Math.ceil(windows.length / 2);
    return [windows.slice(0, middle), windows.slice(middle)];
  }
  if (only.endMs - only.startMs <= MIN_SPAN_MS) return null;
  const middle = Math.floor((only.startMs + only.endMs) / 2);
  return [[{ startMs: only.startMs, endMs: middle }], [{ startMs: middle, endMs: only.endMs }]];
}

/**
 * Compares consecutive windows by one reading of both sides: opening a reader of Kafka costs seconds. A span with too
 * many changes is halved, so memory stays bounded whatever the windows hold.
 */
async function compare(
  verifier: WindowVerifier,
  table: string,
  windows: readonly DeliveryWindow[],
  barrier: Barrier,
  signal: AbortSignal,
  maxIds: number,
): Promise<Comparison[]> {
  const span = { startMs: windows[0]?.startMs ?? 0, endMs: windows.at(-1)?.endMs ?? 0 };
  const accounts = new Accounts(windows, maxIds);
  const { from, to } = idRangeOf(span);
  const readLedger = async (): Promise<void> => {
    for await (const page of verifier.ledger.segments(table, from, to)) {
      signal.throwIfAborted();
      for (const segment of page) accounts.noteLedger(segment);
    }
  };
  try {
    // The ledger first, so that of the changelog only what is missing has to be kept.
    await readLedger();
    for await (const page of verifier.changelog.read(table, span, signal)) {
      for (const entry of page) accounts.noteChangelog(entry);
    }
    // What comes through the door until the barrier is not missing.
    const proven = await barrier(signal);
    if (accounts.hasSuspects) {
      await readLedger();
      if (verifier.hasCollections(table)) await noteEmptied(verifier, table, accounts, signal);
    }
    return accounts.comparisons(proven);
  } catch (error) {
    if (!(error instanceof LockstepError) || error.code !== TOO_MANY_IDS) throw error;
    const parts = halves(windows);
    if (parts === null) throw error;
    const [left, right] = [
      await compare(verifier, table, parts[0], barrier, signal, maxIds),
      await compare(verifier, table, parts[1], barrier, signal, maxIds),
    ];
    const isOneWindow = windows.length === 1;
    return isOneWindow ? [sum(left[0] ?? NOTHING, right[0] ?? NOTHING)] : [...left, ...right];
  }
}

const BYTES_PER_ID = 16;

/** Accounts for missing changes that the ledger has a microsecond earlier, where no other change of the changelog is there. */
async function noteEmptied(
  { ledger, changelog }: WindowVerifier,
  table: string,
  accounts: Accounts,
  signal: AbortSignal,
): Promise<void> {
  const wanted = new Map<ChangeId, ChangeId>();
  for (const entry of accounts.missing()) {
    const known = emptiedId(table, entry);
    if (known !== null) wanted.set(known, entry.id);
  }
  const sorted = [...wanted.keys()].sort();
  const [first, last] = [sorted[0], sorted.at(-1)];
  if (first === undefined || last === undefined) return;
  const behind = idRangeOf({ startMs: msOfId(last), endMs: msOfId(last) + 1 }).to;
  for await (const page of ledger.segments(table, first, behind)) {
    signal.throwIfAborted();
    for (const { ids, outcomes } of page) {
      for (let i = 0; i < outcomes.length; i++) {
        const known = ids.toString('hex', i * BYTES_PER_ID, (i + 1) * BYTES_PER_ID);
        const id = wanted.get(known);
        if (id === undefined) continue;
        if (accounts.isInChangelog(known) ?? (await isLogged(changelog, table, known, signal))) continue;
        accounts.noteKnownAs(id, known, outcomes[i] ?? 0);
      }
    }
  }
}

/** Whether a change of the window before has an entry. */
async function isLogged(changelog: Changelog, table: string, id: ChangeId, signal: AbortSignal): Promise<boolean> {
  const ms = msOfId(id);
  for await (const page of changelog.read(table, { startMs: ms, endMs: ms + 1 }, signal)) {
    if (page.some((entry) => entry.id === id)) return true;
  }
  return false;
}

const NOTHING: Comparison = { account: EMPTY, missing: [], barrier: PROVEN };

/**
 * Verifies consecutive windows, replays what they lack, and judges what the ledger holds then. Rejects where changelog or
 * ledger can't be read whole, or the barrier can't be asked.
 */
export async function verifyWindows(
  verifier: WindowVerifier,
  table: string,
  windows: readonly DeliveryWindow[],
  barrier: Barrier,
  signal: AbortSignal,
  maxIds = MAX_IDS_AT_ONCE,
): Promise<VerifiedWindow[]> {
  const found = await compare(verifier, table, windows, barrier, signal, maxIds);
  // Before the barrier what is missing may be on its way: it is left alone.
  const missing = found
    .flatMap((comparison) => (comparison.barrier.unproven === null ? comparison.missing : []))
    .slice(0, MAX_REPLAYED);
  const replayed =
    missing.length === 0 || verifier.replay === null
      ? new Set<string>()
      : await verifier.replay(table, missing, signal);
  const after = replayed.size === 0 ? found : await compare(verifier, table, windows, barrier, signal, maxIds);
  return windows.map((window, i) => {
    const { account, barrier: proven } = after[i] ?? NOTHING;
    return {
      window,
      account,
      replayed: (found[i] ?? NOTHING).missing.filter(({ id }) => replayed.has(id)).length,
      ...verdictOf(account, proven),
    };
  });
}
