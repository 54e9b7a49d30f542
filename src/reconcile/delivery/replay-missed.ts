/**
 * Replays the changes that a window lacked (DESIGN §7 A): what can go through the door as it is, does — a record that is
 * still in Kafka, a delete of which the changelog says everything — and the rows of the others are read again from the
 * source and repaired. What can't be replayed is a finding.
 */
import type { ChangeId } from '../../change/change-id.ts';
import { rowKey } from '../../change/change-event.ts';
import type { Decoder } from '../../decode/record.ts';
import type { ShardId } from '../../target/batch.ts';
import type { NewFinding } from '../../target/stores/finding-store.ts';
import type { PacedDoor } from '../../target/paced-door.ts';
import type { RepairLimits } from '../end-state/repair-drift.ts';
import { applyMissed } from './apply-missed.ts';
import type { ChangelogEntry } from './changelog.ts';
import { missedChange, rowsOf, type MissedChange, type MissedRows } from './missed-changes.ts';
import { replayRows, type RowReplayParts } from './replay-rows.ts';
import type { Replay } from './verify-windows.ts';

/** What became of a missed change; `open`: nothing is proven yet, the next verification tries again. */
export type ReplayOutcome = 'applied' | 'superseded' | 'queued' | 'repaired' | 'review' | 'failed' | 'open';

export interface ReplayParts {
  /** review: nothing is written but findings; auto: through the door, and repairs within their limits. */
  readonly mode: 'review' | 'auto';
  readonly limits: RepairLimits;
  readonly door: PacedDoor;
  readonly topicOf: (table: string) => { readonly topic: string; readonly decoder: Decoder } | null;
  /** The shards of a topic's present incarnation. */
  readonly shardsOf: (topic: string) => Promise<readonly ShardId[]>;
  /** Null where there is no source to read rows from. */
  readonly rowsOf: ((table: string) => Promise<RowReplayParts>) | null;
  /** Notes changes as processed whose rows are proven equal. */
  readonly note: (table: string, shard: ShardId, ids: readonly ChangeId[]) => Promise<void>;
  readonly record: (table: string, jobId: string, found: readonly NewFinding[]) => Promise<unknown>;
  readonly newJobId: () => string;
  readonly onOutcome: (table: string, id: ChangeId, outcome: ReplayOutcome, reason: string | null) => void;
}

/** Where nothing is known of the rows on either side. */
function findingOfChange({ kind, key }: MissedRows): NewFinding {
  return {
    rowKey: rowKey(key).text,
    type: kind === 'write' ? 'MISSING_IN_POSTGRES' : 'MISSING_IN_CASSANDRA',
    cause: 'missed-change',
    columns: [],
    sourceImage: null,
    targetImage: null,
    sourceChecksum: null,
    targetChecksum: null,
  };
}

class Replaying {
  readonly #parts: ReplayParts;
  readonly #table: string;
  readonly #shards: readonly [ShardId, ...ShardId[]];
  readonly #signal: AbortSignal;
  readonly accounted = new Set<ChangeId>();

  constructor(parts: ReplayParts, table: string, shards: readonly [ShardId, ...ShardId[]], signal: AbortSignal) {
    this.#parts = parts;
    this.#table = table;
    this.#shards = shards;
    this.#signal = signal;
  }

  /** @returns the changes that the target refuses. */
  async apply(changes: readonly MissedChange[]): Promise<readonly MissedRows[]> {
    const [first] = this.#shards;
    const refused: MissedRows[] = [];
    const byShard = Map.groupBy(
      changes,
      (change) => this.#shards.find(({ partition }) => partition === change.partition) ?? first,
    );
    for (const [shard, own] of byShard) {
      const outcomes = await applyMissed(this.#parts.door, shard, this.#table, own, this.#signal);
      for (const [i, change] of own.entries()) {
        const outcome = outcomes[i];
        if (outcome === undefined || outcome.kind === 'failed') {
          refused.push(rowsOf(change, outcome?.reason ?? null));
        } else this.#tell(change.id, outcome.kind, null);
      }
    }
    return refused;
  }

  async rows(missed: readonly MissedRows[]): Promise<void> {
    const { rowsOf: partsOf, limits, mode, note, newJobId } = this.#parts;
    if (missed.length === 0) return;
    const jobId = newJobId();
    if (partsOf === null) {
      await this.#give(jobId, missed, 'there is no source to read its row from');
      return;
    }
    const request = { jobId, repair: mode === 'auto' ? limits : null, actor: 'delivery windows' };
    const outcomes = await replayRows(await partsOf(this.#table), request, missed, this.#signal);
    const equal: ChangeId[] = [];
    for (const each of missed) {
      const outcome = outcomes.get(each.id) ?? { kind: 'open' as const, reason: 'its row was not looked at' };
      if (outcome.kind === 'superseded' || outcome.kind === 'repaired') equal.push(each.id);
      else if (outcome.kind === 'unnameable') await this.#give(jobId, [each], outcome.reason);
      else this.#tell(each.id, outcome.kind, outcome.reason);
    }
    await note(this.#table, this.#shards[0], equal);
    for (const id of equal) this.#tell(id, outcomes.get(id)?.kind === 'repaired' ? 'repaired' : 'superseded', null);
  }

  /** What nobody can replay is a finding. */
  async #give(jobId: string, missed: readonly MissedRows[], why: string): Promise<void> {
    // Several changes of one row are one finding.
    const findings = new Map(missed.map((each) => [rowKey(each.key).text, findingOfChange(each)]));
    await this.#parts.record(this.#table, jobId, [...findings.values()]);
    for (const { id, reason } of missed) this.#tell(id, 'failed', reason ?? why);
  }

  #tell(id: ChangeId, outcome: ReplayOutcome, reason: string | null): void {
    if (outcome !== 'open' && outcome !== 'review' && outcome !== 'failed') this.accounted.add(id);
    this.#parts.onOutcome(this.#table, id, outcome, reason);
  }
}

export function replayMissed(parts: ReplayParts): Replay {
  return async (table, entries, signal) => {
    const source = parts.topicOf(table);
    const [first, ...more] = source === null ? [] : await parts.shardsOf(source.topic);
    if (source === null || first === undefined) return new Set();
    const replaying = new Replaying(parts, table, [first, ...more], signal);
    const { changes, rows } = sorted(table, entries, source.decoder);
    if (parts.mode === 'review') await replaying.rows([...changes.map((change) => rowsOf(change, null)), ...rows]);
    else await replaying.rows([...(await replaying.apply(changes)), ...rows]);
    return replaying.accounted;
  };
}

/** Whole changes, and those of which only the rows are known. */
function sorted(
  table: string,
  entries: readonly ChangelogEntry[],
  decoder: Decoder,
): { readonly changes: readonly MissedChange[]; readonly rows: readonly MissedRows[] } {
  const changes: MissedChange[] = [];
  const rows: MissedRows[] = [];
  for (const entry of entries) {
    const missed = missedChange(table, entry, decoder);
    if (missed === null) continue;
    if ('change' in missed) changes.push(missed);
    else rows.push(missed);
  }
  return { changes, rows };
}
