/**
 * Which change IDs of a window are in the changelog and which in the ledger, in bounded memory (pure).
 *
 * An open-addressing table over typed arrays, 17 bytes a slot, no object per ID. IDs are 80 bits of SHA-256 behind their
 * time, so their own bits serve as the hash. Sorting and merging the same IDs as strings reached 0.9 million IDs/s, this
 * several millions (`npm run bench:reconcile`), and it needs neither side to be sorted.
 */
import type { Outcome } from '../../target/batch.ts';
import { LockstepError } from '../../shared/errors.ts';
import { assert } from '../../shared/assert.ts';
import type { WindowAccount } from './window.ts';

const LANES = 4;
const IN_CHANGELOG = 1;
/** Outcomes as flags; several of one ID fold to the best: processed, then filtered, then dead-lettered. */
const FLAG_OF: Readonly<Record<Outcome, number>> = { processed: 2, filtered: 4, dead_lettered: 8 };
const IN_LEDGER = 2 | 4 | 8;
const USED = 16;
/** Slots filled before the table doubles: above it, probes get long. */
const MAX_LOAD = 0.6;
const MIN_SLOTS = 1024;
const BYTES_PER_ID = 16;

/** Code of the error that asks for a smaller range. */
export const TOO_MANY_IDS = 'WINDOW_TOO_LARGE';

export class IdAccount {
  #slots: number;
  #lanes: Uint32Array;
  #flags: Uint8Array;
  #size = 0;
  readonly #maxIds: number;

  /** Noting more than `maxIds` distinct IDs throws `WINDOW_TOO_LARGE`: the caller splits the range. */
  constructor(maxIds: number) {
    this.#maxIds = maxIds;
    this.#slots = MIN_SLOTS;
    this.#lanes = new Uint32Array(MIN_SLOTS * LANES);
    this.#flags = new Uint8Array(MIN_SLOTS);
  }

  /** Distinct IDs seen so far on either side. */
  get size(): number {
    return this.#size;
  }

  /** Notes a change of the changelog. True where it is seen for the first time there. */
  noteChangelog(id: string): boolean {
    return this.#noteId(id, IN_CHANGELOG);
  }

  /** Notes packed ledger entries: 16 bytes an ID, one outcome byte each, of IDs in [from, to) (hex) only. */
  noteLedger(ids: Buffer, outcomes: Buffer, from: string, to: string): void {
    assert(ids.length === outcomes.length * BYTES_PER_ID, 'a ledger segment has as many outcomes as IDs');
    const [first, end] = [lowerBound(ids, Buffer.from(from, 'hex')), lowerBound(ids, Buffer.from(to, 'hex'))];
    this.#makeRoomFor(end - first);
    const view = new DataView(ids.buffer, ids.byteOffset, ids.length);
    for (let i = first; i < end; i++) {
      const at = i * BYTES_PER_ID;
      this.#note(
        view.getUint32(at),
        view.getUint32(at + 4),
        view.getUint32(at + 8),
        view.getUint32(at + 12),
        flagOfByte(outcomes[i] ?? 0),
      );
    }
  }

  /** Whether the changelog has this ID. */
  isInChangelog(id: string): boolean {
    return ((this.#flags[this.#slotOfId(id)] ?? 0) & IN_CHANGELOG) !== 0;
  }

  /** Notes that the ledger knows a change of the changelog by another ID, of which this is the outcome. */
  noteKnownAs(id: string, outcome: number): void {
    this.#noteId(id, flagOfByte(outcome));
  }

  /** Forgets an ID of the ledger that is in no changelog under its own name: it is accounted for under another one. */
  forgetUnexpected(id: string): void {
    const slot = this.#slotOfId(id);
    this.#flags[slot] = (this.#flags[slot] ?? 0) & ~IN_LEDGER;
  }

  /** Whether the ledger has an outcome for this ID. */
  isInLedger(id: string): boolean {
    return ((this.#flags[this.#slotOfId(id)] ?? 0) & IN_LEDGER) !== 0;
  }

  account(): WindowAccount {
    let [changelog, processed, filtered, deadLettered, missing, unexpected] = [0, 0, 0, 0, 0, 0];
    for (const flags of this.#flags) {
      if ((flags & IN_CHANGELOG) === 0) {
        if ((flags & IN_LEDGER) !== 0) unexpected += 1;
        continue;
      }
      changelog += 1;
      if ((flags & FLAG_OF.processed) !== 0) processed += 1;
      else if ((flags & FLAG_OF.filtered) !== 0) filtered += 1;
      else if ((flags & FLAG_OF.dead_lettered) !== 0) deadLettered += 1;
      else missing += 1;
    }
    return { changelog, processed, filtered, deadLettered, missing, unexpected };
  }

  #slotOfId(id: string): number {
    readLanes(id);
    return this.#slotOf(LANES_READ[0] ?? 0, LANES_READ[1] ?? 0, LANES_READ[2] ?? 0, LANES_READ[3] ?? 0);
  }

  #noteId(id: string, flag: number): boolean {
    readLanes(id);
    return this.#note(LANES_READ[0] ?? 0, LANES_READ[1] ?? 0, LANES_READ[2] ?? 0, LANES_READ[3] ?? 0, flag);
  }

  #slotOf(a: number, b: number, c: number, d: number): number {
    const mask = this.#slots - 1;
    // The last 64 bits are hash bits; the time in front is much the same within a window.
    let slot = (c ^ Math.imul(d, 0x9e3779b1)) & mask;
    while (this.#flags[slot] !== 0) {
      const at = slot * LANES;
      const lanes = this.#lanes;
      if (lanes[at + 3] === d && lanes[at + 2] === c && lanes[at + 1] === b && lanes[at] === a) break;
      slot = (slot + 1) & mask;
    }
    return slot;
  }

  #note(a: number, b: number, c: number, d: number, flag: number): boolean {
    const slot = this.#slotOf(a, b, c, d);
    const known = this.#flags[slot] ?? 0;
    if (known === 0) {
      if (this.#size >= this.#maxIds) throw tooManyIds(this.#maxIds);
      this.#put(slot, a, b, c, d);
      this.#size += 1;
    }
    this.#flags[slot] = known | flag | USED;
    if (this.#size > this.#slots * MAX_LOAD) this.#resize(this.#slots * 2);
    return (known & flag) === 0;
  }

  /** An array of four a slot, to be copied from, was a third of all time. */
  #put(slot: number, a: number, b: number, c: number, d: number): void {
    const at = slot * LANES;
    const lanes = this.#lanes;
    lanes[at] = a;
    lanes[at + 1] = b;
    lanes[at + 2] = c;
    lanes[at + 3] = d;
  }

  /** So many more may come: the table grows once, and not by doubling while they do. */
  #makeRoomFor(ids: number): void {
    const expected = Math.min(this.#size + ids, this.#maxIds);
    let slots = this.#slots;
    while (expected > slots * MAX_LOAD) slots *= 2;
    if (slots > this.#slots) this.#resize(slots);
  }

  #resize(slots: number): void {
    const [lanes, flags] = [this.#lanes, this.#flags];
    this.#slots = slots;
    this.#lanes = new Uint32Array(slots * LANES);
    this.#flags = new Uint8Array(slots);
    for (let slot = 0; slot < flags.length; slot++) {
      const known = flags[slot] ?? 0;
      if (known === 0) continue;
      const at = slot * LANES;
      const [a, b, c, d] = [lanes[at] ?? 0, lanes[at + 1] ?? 0, lanes[at + 2] ?? 0, lanes[at + 3] ?? 0];
      const into = this.#slotOf(a, b, c, d);
      this.#put(into, a, b, c, d);
      this.#flags[into] = known;
    }
  }
}

function tooManyIds(maxIds: number): LockstepError {
  return new LockstepError(`more than ${maxIds} change IDs in one millisecond of write time`, {
    code: TOO_MANY_IDS,
    kind: 'batch',
    remedy: 'writes whose time is set by hand to one moment can only be verified by an end-state scan',
  });
}

/** Outcome byte of the ledger → flag (src/target/ledger.ts writes 0, 1, 2). */
function flagOfByte(byte: number): number {
  if (byte === 0) return FLAG_OF.processed;
  return byte === 1 ? FLAG_OF.filtered : FLAG_OF.dead_lettered;
}

/** Where `readLanes` puts the four parts of an ID: no array for each. */
const LANES_READ = new Uint32Array(LANES);
const DIGITS_PER_LANE = 8;
/** Value of a hex digit by its character code. */
const HEX_VALUES = Uint8Array.from({ length: 128 }, (_, code) => {
  const value = '0123456789abcdef'.indexOf(String.fromCharCode(code).toLowerCase());
  return value === -1 ? 0 : value;
});

/** The four 32-bit parts of an ID of 32 hex digits, into LANES_READ. `Number.parseInt` of slices took five times as long. */
function readLanes(id: string): void {
  assert(id.length === BYTES_PER_ID * 2, 'a change ID has 32 hex digits');
  for (let lane = 0; lane < LANES; lane++) {
    let value = 0;
    for (let at = lane * DIGITS_PER_LANE; at < (lane + 1) * DIGITS_PER_LANE; at++) {
      value = (value << 4) | (HEX_VALUES[id.charCodeAt(at)] ?? 0);
    }
    LANES_READ[lane] = value;
  }
}

/** Position of the first packed ID that is not below `bound`; the IDs are sorted. */
function lowerBound(ids: Buffer, bound: Buffer): number {
  let low = 0;
  let high = ids.length / BYTES_PER_ID;
  while (low < high) {
    const middle = (low + high) >>> 1;
    const at = middle * BYTES_PER_ID;
    if (ids.compare(bound, 0, bound.length, at, at + BYTES_PER_ID) < 0) low = middle + 1;
    else high = middle;
  }
  return low;
}
