/**
 * Tells drift from changes that are under way (DESIGN §7). Nobody's clock is asked: a row drifts if the source had at one
 * moment what the target has not after everything from that moment has reached it, and neither side has moved meanwhile.
 *
 *     observe target → barrier → read source → (time for the capture) → barrier → observe target → read source
 *
 * The first three give the order that a repair needs; the last four are the proof: the second barrier begins after the
 * first read, so what that read saw has arrived. A row that moved follows the source (follow.ts), or drifts in columns
 * that stood still, or is looked at again, a few times.
 */
import { isDeepStrictEqual } from 'node:util';
import type { ReadSequence, RowKey } from '../../change/change-event.ts';
import { LockstepError } from '../../shared/errors.ts';
import type { BoundTable } from '../../target/bound-table.ts';
import type { RepairSession } from '../../target/repair-door.ts';
import type { Observation } from '../../target/row-observation.ts';
import { classify, leansOnCapture, type Classification } from './classify.ts';
import { compareRows, sameExpiry, type Difference } from './compare-rows.ts';
import { follows } from './follow.ts';
import type { SourceImage } from './row-images.ts';

/** How often a row that moves is looked at before it is left as "in flight". */
const ROUNDS = 3;

export interface ProofParts {
  readonly table: BoundTable;
  readonly session: Pick<RepairSession, 'observe'>;
  readonly readSource: (keys: readonly RowKey[], signal: AbortSignal) => Promise<readonly SourceImage[]>;
  /**
   * Resolves when everything that was behind the capture at the call has reached the target: null, or why that is not
   * proven.
   */
  readonly barrier: (signal: AbortSignal) => Promise<string | null>;
  /**
   * Resolves when everything that the source had at the call has left the capture: null, or why nobody knows. Asked only
   * where a difference would look the same while the capture held the change.
   */
  readonly captured: (signal: AbortSignal) => Promise<string | null>;
  readonly nowUs: () => bigint;
}

/** A proven difference with what a repair needs. */
export interface Drift {
  /** Name of the table, as it is registered. */
  readonly table: string;
  readonly key: RowKey;
  readonly classification: Classification;
  readonly source: SourceImage;
  readonly observed: Observation;
  /** By position in `Table.regular`. */
  readonly differs: readonly boolean[];
  /** Drawn before the source was read. */
  readonly sequence: ReadSequence;
}

export interface Proof {
  readonly drift: readonly Drift[];
  readonly equal: readonly RowKey[];
  /** Rows that moved on both sides, and were in step at a moment. */
  readonly following: readonly RowKey[];
  /** Rows that moved whenever they were looked at. */
  readonly inFlight: readonly RowKey[];
  /** Rows that differ, and why it is not proven that they drift. */
  readonly unproven: readonly { readonly key: RowKey; readonly reason: string }[];
}

interface Look {
  readonly observed: Observation;
  readonly source: SourceImage | 'unreadable';
  readonly sequence: ReadSequence;
  readonly difference: Difference | null;
}

function sameSource(left: SourceImage | 'unreadable', right: SourceImage | 'unreadable'): boolean {
  if (left === 'unreadable' || right === 'unreadable' || left === null || right === null) return left === right;
  return left.cells.every((cell, i) => {
    const other = right.cells[i] ?? null;
    if (cell === null || other === null) return cell === other;
    return cell.writeTime === other.writeTime && cell.value === other.value && sameExpiry(cell.expiry, other.expiry);
  });
}

/** Columns that differ and stood still on both sides, while the row moved in others. */
function differingAtRest(before: Look, now: Look): readonly number[] {
  const [from, to] = [before.observed, now.observed];
  if (before.difference?.kind !== 'differs' || now.difference?.kind !== 'differs') return [];
  if (from.row === null || to.row === null || from.coveredAt !== to.coveredAt) return [];
  const [differed, source, later] = [new Set(before.difference.columns), before.source, now.source];
  if (source === null || source === 'unreadable' || later === null || later === 'unreadable') return [];
  return now.difference.columns.filter(
    (i) =>
      differed.has(i) &&
      sameSource({ cells: [source.cells[i] ?? null] }, { cells: [later.cells[i] ?? null] }) &&
      from.row?.values[i] === to.row?.values[i] &&
      isDeepStrictEqual(from.row?.state.cells[i], to.row?.state.cells[i]),
  );
}

class Prover {
  readonly #parts: ProofParts;
  readonly #signal: AbortSignal;
  readonly drift: Drift[] = [];
  readonly equal: RowKey[] = [];
  readonly following: RowKey[] = [];
  readonly unproven: { key: RowKey; reason: string }[] = [];

  constructor(parts: ProofParts, signal: AbortSignal) {
    this.#parts = parts;
    this.#signal = signal;
  }

  /** One round; gives the keys that moved. */
  async round(keys: readonly RowKey[]): Promise<readonly RowKey[]> {
    const { session, table, barrier } = this.#parts;
    const { rows } = await session.observe(table.table.name, keys);
    const late = await barrier(this.#signal);
    const sources = await this.#readEach(keys);
    const first = new Map(keys.map((key, i) => [key.text, this.#look(rows[i], sources[i] ?? null, 0n)] as const));
    const differing = this.#sort(keys, first, late);
    if (differing.length === 0) return [];

    const leaning = differing.some((key) => leansOnCapture(this.#cause(first.get(key.text)).cause));
    const held = leaning ? await this.#parts.captured(this.#signal) : null;
    const stillLate = await barrier(this.#signal);
    const again = await session.observe(table.table.name, differing);
    const reread = await this.#readEach(differing);
    const moved: RowKey[] = [];
    for (const [i, key] of differing.entries()) {
      const before = first.get(key.text);
      const now = this.#look(again.rows[i], reread[i] ?? null, again.sequence);
      if (now?.difference === null) this.equal.push(key);
      else if (before == null || now === null) moved.push(key);
      else if (isDeepStrictEqual(before.observed, now.observed) && sameSource(before.source, now.source)) {
        this.#judge(key, now, stillLate, held);
      } else if (this.#follows(before, now)) this.following.push(key);
      else {
        const columns = differingAtRest(before, now);
        const look: Look = { ...now, difference: { kind: 'differs', columns } };
        // What would lean on the capture is judged in a round that has asked it.
        const isProven = columns.length > 0 && (leaning || !leansOnCapture(this.#cause(look).cause));
        if (isProven) this.#judge(key, look, stillLate, held);
        else moved.push(key);
      }
    }
    return moved;
  }

  #follows({ source: earlier }: Look, { observed, source: later }: Look): boolean {
    if (earlier === 'unreadable' || later === 'unreadable') return false;
    return follows(this.#parts.table, earlier, observed, later, this.#parts.nowUs());
  }

  #sort(keys: readonly RowKey[], looks: ReadonlyMap<string, Look | null>, late: string | null): RowKey[] {
    const differing: RowKey[] = [];
    for (const key of keys) {
      const look = looks.get(key.text) ?? null;
      if (look?.source === 'unreadable')
        this.unproven.push({ key, reason: 'the source’s row can not be read exactly' });
      else if (look?.difference == null) this.equal.push(key);
      else if (late !== null) this.unproven.push({ key, reason: late });
      else differing.push(key);
    }
    return differing;
  }

  #judge(key: RowKey, look: Look, late: string | null, held: string | null): void {
    const classification = this.#cause(look);
    const reason = late ?? (leansOnCapture(classification.cause) ? held : null);
    if (reason !== null) {
      this.unproven.push({ key, reason });
      return;
    }
    const { observed, source, sequence, difference } = look;
    const columns = difference?.kind === 'differs' ? difference.columns : [];
    this.drift.push({
      table: this.#parts.table.table.name,
      key,
      classification,
      source: source === 'unreadable' ? null : source,
      observed,
      differs: this.#parts.table.regular.map((_, i) => columns.includes(i)),
      sequence,
    });
  }

  #cause(look: Look | null | undefined): Classification {
    if (look?.difference == null || look.source === 'unreadable') {
      return { type: 'DATA_MISMATCH', cause: 'missed-update', columns: [] };
    }
    const { observed, source, difference } = look;
    return classify(this.#parts.table, difference, source, observed.row, observed.coveredAt, this.#parts.nowUs());
  }

  #look(observed: Observation | undefined, source: SourceImage | 'unreadable', sequence: ReadSequence): Look | null {
    if (observed === undefined) return null;
    const difference =
      source === 'unreadable' ? null : compareRows(this.#parts.table, source, observed.row, this.#parts.nowUs());
    return { observed, source, sequence, difference };
  }

  /** A row whose bytes are no value of their type must not hide the others. */
  async #readEach(keys: readonly RowKey[]): Promise<readonly (SourceImage | 'unreadable')[]> {
    if (keys.length === 0) return [];
    try {
      return await this.#parts.readSource(keys, this.#signal);
    } catch (error) {
      if (!(error instanceof LockstepError) || error.kind !== 'row') throw error;
      if (keys.length === 1) return ['unreadable'];
      const middle = Math.ceil(keys.length / 2);
      return [...(await this.#readEach(keys.slice(0, middle))), ...(await this.#readEach(keys.slice(middle)))];
    }
  }
}

/**
 * Rejects where a side can't be read. The session of the observations must be that of the repairs: they are void with it.
 */
export async function proveSuspects(parts: ProofParts, keys: readonly RowKey[], signal: AbortSignal): Promise<Proof> {
  const prover = new Prover(parts, signal);
  let moving = keys;
  for (let round = 0; round < ROUNDS && moving.length > 0; round++) moving = await prover.round(moving);
  const { drift, equal, following, unproven } = prover;
  return { drift, equal, following, unproven, inFlight: moving };
}
