/**
 * Whether the ledger accounts for every record of the source topics (pure).
 *
 * Per shard: its segments cover [log start, log end) without a gap or an overlap. Per segment: it counts as many records
 * as Kafka holds there, and as many change IDs as there are different changes among them. Over all: as many different
 * IDs as different changes, all of them processed.
 */
import type { LedgerSegment } from './ledger-account.ts';
import type { LogAccount, ShardAccount } from './log-account.ts';

/** One question and its answer. */
export interface Check {
  readonly name: string;
  readonly ok: boolean;
  readonly found: string;
}

/** What the ledger says in sum. */
export interface LedgerTotals {
  readonly records: number;
  /** Different changes processed, from their records or replayed. */
  readonly changes: number;
  /** Of these, the ones that never came as records. */
  readonly replayed: number;
  readonly duplicates: number;
  readonly skipped: number;
  readonly deadLettered: number;
  readonly segments: number;
}

/** Problems shown of each kind. */
const MAX_SHOWN = 3;

function check(name: string, problems: readonly string[], fine: string): Check {
  const more = problems.length > MAX_SHOWN ? ` and ${problems.length - MAX_SHOWN} more` : '';
  return {
    name,
    ok: problems.length === 0,
    found: problems.length === 0 ? fine : problems.slice(0, MAX_SHOWN).join('; ') + more,
  };
}

function coverage(shard: ShardAccount, segments: readonly LedgerSegment[]): string[] {
  const at = `${shard.topic}/${shard.partition}`;
  const problems: string[] = [];
  let expected = shard.start;
  for (const { from, next } of segments) {
    if (from > expected) problems.push(`${at}: offsets ${expected} to ${from} are in no segment`);
    if (from < expected) problems.push(`${at}: offsets ${from} to ${expected} are in two segments`);
    if (next > expected) expected = next;
  }
  if (expected !== shard.end) problems.push(`${at}: covered up to ${expected}, the log ends at ${shard.end}`);
  return problems;
}

function segmentProblems(
  shard: ShardAccount,
  segment: LedgerSegment,
): { readonly counts: string[]; readonly ids: string[] } {
  const at = `${segment.topic}/${segment.partition} [${segment.from}, ${segment.next})`;
  const inside = shard.records.filter(({ offset }) => offset >= segment.from && offset < segment.next);
  const changes = new Set(inside.flatMap(({ change }) => (change === null ? [] : [change])));
  const counts: string[] = [];
  const ids: string[] = [];
  if (inside.length !== segment.records)
    counts.push(`${at}: ${inside.length} records in Kafka, ${segment.records} in the ledger`);
  const outcomes = segment.processed + segment.filtered + segment.deadLettered;
  if (segment.ids.length !== outcomes || segment.outcomes !== outcomes) {
    ids.push(`${at}: ${segment.ids.length} IDs, ${segment.outcomes} outcomes, ${outcomes} counted`);
  }
  if (changes.size !== segment.ids.length)
    ids.push(`${at}: ${changes.size} different changes in Kafka, ${segment.ids.length} IDs`);
  return { counts, ids };
}

/** Checks the ledger against the logs. */
export function checkLedger(
  log: LogAccount,
  ledger: readonly LedgerSegment[],
  replayed: ReadonlySet<string> = new Set(),
): { readonly checks: Check[]; readonly totals: LedgerTotals; readonly ids: ReadonlySet<string> } {
  const covered: string[] = [];
  const counted: string[] = [];
  const identified: string[] = [];
  for (const shard of log.shards) {
    const own = ledger.filter(({ topic, partition }) => topic === shard.topic && partition === shard.partition);
    covered.push(...coverage(shard, own));
    // Both are in order of offsets: each segment looks only at its own stretch.
    let at = 0;
    for (const segment of own) {
      const start = at;
      while (at < shard.records.length && (shard.records[at]?.offset ?? segment.next) < segment.next) at += 1;
      const problems = segmentProblems({ ...shard, records: shard.records.slice(start, at) }, segment);
      counted.push(...problems.counts);
      identified.push(...problems.ids);
    }
  }
  const sum = (of: (segment: LedgerSegment) => number): number =>
    ledger.reduce((total, segment) => total + of(segment), 0);
  const ids = new Set(ledger.flatMap((segment) => segment.ids));
  const changes = new Set(
    log.shards.flatMap(({ records }) => records.flatMap(({ change }) => (change === null ? [] : [change]))),
  );
  const all = new Set([...ids, ...replayed]);
  const records = log.shards.reduce((total, shard) => total + shard.records.length, 0);
  const filtered = sum((segment) => segment.filtered);
  const deadLettered = sum((segment) => segment.deadLettered);
  const different: string[] = [];
  if (ids.size !== changes.size)
    different.push(`${changes.size} different changes in Kafka, ${ids.size} different IDs in the ledger`);
  if (filtered > 0) different.push(`${filtered} changes were filtered`);
  if (deadLettered > 0) different.push(`${deadLettered} changes were dead-lettered`);
  return {
    checks: [
      check(
        'every offset is in exactly one ledger segment',
        covered,
        `${log.shards.length} shards, ${ledger.length} segments`,
      ),
      check('every record is counted', counted, `${records} records`),
      check('every change of a segment has its ID', identified, `${sum((segment) => segment.ids.length)} IDs`),
      check('every change was processed', different, `${changes.size} different ones`),
    ],
    totals: {
      records: sum((segment) => segment.records),
      changes: all.size,
      replayed: all.size - ids.size,
      duplicates: sum((segment) => segment.duplicates),
      skipped: sum((segment) => segment.skipped),
      deadLettered,
      segments: ledger.length,
    },
    ids: all,
  };
}
