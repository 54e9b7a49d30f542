/**
 * Replays missed changes of which only the row key is known: the rows are read again from the source, and where the
 * target differs, it is repaired by the compare-and-set of the end-state comparison. A plain read would not do: a column
 * that the lost change had set to null is a null without a time, which says nothing (DESIGN §4).
 *
 * A change counts as replayed when its rows have been proven equal; a repair alone proves nothing and is looked at again.
 */
import { rowKey, type RowKey } from '../../change/change-event.ts';
import type { ChangeId } from '../../change/change-id.ts';
import { compareRange, partitionOf } from '../end-state/compare-range.ts';
import { findingOf } from '../end-state/finding-of-drift.ts';
import { proveSuspects, type Drift } from '../end-state/prove-suspects.ts';
import type { ReconcileParts } from '../end-state/reconcile-table.ts';
import { overLimits, repairDrift, type KnownDrift, type RepairLimits } from '../end-state/repair-drift.ts';
import { storedKey } from '../end-state/row-images.ts';
import type { RepairSession } from '../../target/repair-door.ts';
import type { MissedRows } from './missed-changes.ts';

/** Rows that share their barriers. */
const PROOF_ROWS = 1_000;
/** Rows of a deleted partition that are looked at; one that differs in more is left to an end-state comparison. */
const MAX_PARTITION_ROWS = 1_000;

export type RowReplayParts = Omit<ReconcileParts, 'onProgress' | 'onLeft'>;

export interface RowReplayRequest {
  /** Names this replay in its findings. */
  readonly jobId: string;
  /** Null: what differs is noted for a person and not written. */
  readonly repair: RepairLimits | null;
  readonly actor: string;
}

/** What became of one change. */
export type RowReplayOutcome =
  /** Its rows are equal and needed nothing: something newer is there, or the stream has brought it. */
  | { readonly kind: 'superseded' }
  /** Its rows were repaired and are equal now. */
  | { readonly kind: 'repaired' }
  /** Its rows differ, and a finding says how. */
  | { readonly kind: 'review'; readonly reason: string }
  /** Which rows it is about can't be said. */
  | { readonly kind: 'unnameable'; readonly reason: string }
  /** Nothing is proven of its rows yet. */
  | { readonly kind: 'open'; readonly reason: string };

type RowState = RowReplayOutcome['kind'];

interface KnownRow {
  state: RowState;
  reason: string;
}

const NOT_LOOKED_AT: KnownRow = { state: 'open', reason: 'its row was not looked at' };

class RowReplay {
  readonly #parts: RowReplayParts;
  readonly #request: RowReplayRequest;
  readonly #signal: AbortSignal;
  readonly rows = new Map<string, KnownRow>();

  constructor(parts: RowReplayParts, request: RowReplayRequest, signal: AbortSignal) {
    this.#parts = parts;
    this.#request = request;
    this.#signal = signal;
  }

  /** The rows that a change is about, as the target stores their keys; or why they can't be named. */
  async keysOf({ kind, key }: MissedRows): Promise<readonly RowKey[] | string> {
    const { table } = this.#parts;
    if (kind === 'write' || kind === 'row-delete') {
      return key.length === table.keys.length ? [rowKey(storedKey(table, key))] : 'its row key has not all columns';
    }
    if (key.length !== table.table.partitionKey.length) return 'its partition key has not all columns';
    const token = table.tokenOf(key);
    if (token === null) return 'the token of its partition is not known';
    const partition = partitionOf(table, storedKey(table, key));
    const differing = new Map<string, RowKey>();
    let more = 0;
    const range = { after: token - 1n, upTo: token };
    await compareRange(
      this.#parts,
      range,
      { values: true, writtenUs: null },
      (found) => {
        if (partitionOf(table, found.values) !== partition) return;
        if (differing.size < MAX_PARTITION_ROWS) differing.set(found.text, found);
        else more += 1;
      },
      this.#signal,
    );
    return more === 0
      ? [...differing.values()]
      : `more than ${MAX_PARTITION_ROWS} rows of its partition differ: compare the table`;
  }

  /** Looks at rows until each is known to be equal, repaired or left to a person. */
  async look(keys: readonly RowKey[]): Promise<void> {
    await this.#parts.repairs.session(async (session) => {
      for (let at = 0; at < keys.length; at += PROOF_ROWS) {
        const repaired = await this.#prove(session, keys.slice(at, at + PROOF_ROWS), 'superseded');
        // A repair is no verification.
        if (repaired.length > 0) await this.#prove(session, repaired, 'repaired');
      }
    });
  }

  /** @returns the rows that were repaired, of which nothing is proven yet. */
  async #prove(session: RepairSession, keys: readonly RowKey[], equalMeans: RowState): Promise<readonly RowKey[]> {
    const { findings, table } = this.#parts;
    const proof = await proveSuspects({ ...this.#parts, session }, keys, this.#signal);
    const set = (key: RowKey, state: RowState, reason = ''): void => {
      this.rows.set(key.text, { state, reason });
    };
    for (const key of proof.equal) set(key, equalMeans);
    for (const key of proof.inFlight) set(key, 'open', 'its row is being written to');
    for (const { key, reason } of proof.unproven) set(key, 'open', reason);
    for (const { key, classification } of proof.drift) {
      set(key, 'review', `${classification.type}: ${classification.cause}`);
    }
    await findings.supersede(
      table.id,
      this.#request.jobId,
      proof.equal.map(({ text }) => text),
    );
    if (proof.drift.length === 0) return [];
    const noted = await findings.record(
      table.id,
      this.#request.jobId,
      proof.drift.map((drift) => findingOf(table, drift, this.#parts.nowUs())),
    );
    // What somebody has accepted stays as it is.
    const known = proof.drift.flatMap((drift, i): KnownDrift[] =>
      noted[i]?.status === 'PENDING' ? [{ drift, findingId: noted[i].id }] : [],
    );
    return equalMeans === 'repaired' ? [] : this.#repair(session, known);
  }

  async #repair(session: RepairSession, known: readonly KnownDrift[]): Promise<readonly RowKey[]> {
    const { repair, actor } = this.#request;
    if (repair === null || known.length === 0) return [];
    const refused = overLimits(known.length, 0, repair);
    if (refused !== null) {
      for (const { drift } of known) this.rows.set(drift.key.text, { state: 'review', reason: refused });
      return [];
    }
    const left = new Set<string>();
    const onLeft = (drift: Drift, reason: string): void => {
      left.add(drift.key.text);
      this.rows.set(drift.key.text, { state: 'review', reason });
    };
    await repairDrift(
      { ...this.#parts, session, actor, status: 'AUTO_RESOLVED', dryRun: false, onLeft },
      known,
      this.#signal,
    );
    return known.map(({ drift }) => drift.key).filter(({ text }) => !left.has(text));
  }

  /** The worst of a change's rows is the change's. */
  outcomeOf(keys: readonly RowKey[]): RowReplayOutcome {
    const rows = keys.map(({ text }) => this.rows.get(text) ?? NOT_LOOKED_AT);
    const open = rows.find(({ state }) => state === 'open');
    if (open !== undefined) return { kind: 'open', reason: open.reason };
    const review = rows.find(({ state }) => state === 'review');
    if (review !== undefined) return { kind: 'review', reason: review.reason };
    return { kind: rows.some(({ state }) => state === 'repaired') ? 'repaired' : 'superseded' };
  }
}

/** Resolves with what became of each change. Rejects where a side does not answer: what was repaired until then is. */
export async function replayRows(
  parts: RowReplayParts,
  request: RowReplayRequest,
  missed: readonly MissedRows[],
  signal: AbortSignal,
): Promise<ReadonlyMap<ChangeId, RowReplayOutcome>> {
  const replay = new RowReplay(parts, request, signal);
  const keysOf = new Map<ChangeId, readonly RowKey[] | string>();
  const keys = new Map<string, RowKey>();
  for (const each of missed) {
    const own = await replay.keysOf(each);
    keysOf.set(each.id, own);
    if (typeof own !== 'string') for (const key of own) keys.set(key.text, key);
  }
  await replay.look([...keys.values()]);
  return new Map(
    missed.map(({ id, reason }): [ChangeId, RowReplayOutcome] => {
      const own = keysOf.get(id) ?? '';
      if (typeof own === 'string') return [id, { kind: 'unnameable', reason: own }];
      const outcome = replay.outcomeOf(own);
      return [id, outcome.kind === 'review' && reason !== null ? { ...outcome, reason } : outcome];
    }),
  );
}
