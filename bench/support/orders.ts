/**
 * The workload, before any envelope: orders that are inserted and then updated. Every value is a function of
 * (seed, id, round), so nothing is remembered while producing and any row can be recomputed to check a target.
 */

export interface OrderRow {
  readonly customer: string;
  readonly status: string;
  readonly city: string;
  readonly note: string;
  readonly quantity: number;
  /** Two decimals, as text: it must arrive exactly. */
  readonly price: string;
  readonly weight: number;
  readonly paid: boolean;
  /** Milliseconds since the epoch. */
  readonly created: number;
  /** Below 2^50; new with every change, so the sum over a table tells whether every update has arrived. */
  readonly version: number;
}

/** One change: round 0 inserts the whole row, later rounds change `status`, `quantity` and `version`. */
export interface OrderChange {
  readonly id: number;
  readonly round: number;
  readonly writeTimeUs: number;
  /** The row after the change. */
  readonly row: OrderRow;
}

/** First write time, µs. Far enough in the past for every round to be over. */
const BASE_US = 1_795_000_000_000_000;
/** Between two rounds; more than ids × 10 µs, so a row's later round is always newer. */
const ROUND_US = 100_000_000;

const CITIES = ['Lyon', 'Oslo', 'Porto', 'Kraków', 'Zürich', 'Lima', 'Osaka', 'Turin'];
const STATUS = ['new', 'paid', 'packed', 'shipped', 'returned'];

/** mulberry32: a small seeded generator, so that a run can be repeated. */
export function randomFrom(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = state;
    t = Math.imul(t ^ (t >>> 15), t | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  };
}

function randomOf(seed: number, id: number, round: number): () => number {
  return randomFrom(Math.imul(seed + 1, 0x9e3779b1) ^ Math.imul(id + 1, 0x85ebca6b) ^ Math.imul(round + 1, 0xc2b2ae35));
}

function pick(from: readonly string[], random: () => number): string {
  return from[Math.floor(random() * from.length)] ?? '';
}

/** The row `id` after `round`. */
export function rowAfter(seed: number, id: number, round: number): OrderRow {
  const random = randomOf(seed, id, 0);
  const inserted: OrderRow = {
    customer: `customer-${Math.floor(random() * 1e6)}`,
    status: 'new',
    city: pick(CITIES, random),
    note: `order ${id} of a customer who wrote "please ring twice"`,
    quantity: Math.floor(random() * 100),
    price: (random() * 1000).toFixed(2),
    weight: Math.round(random() * 1e5) / 1e3,
    paid: random() < 0.5,
    created: 1_795_000_000_000 + Math.floor(random() * 1e9),
    version: Math.floor(random() * 2 ** 50),
  };
  if (round === 0) return inserted;
  const changed = randomOf(seed, id, round);
  return {
    ...inserted,
    status: pick(STATUS, changed),
    quantity: Math.floor(changed() * 100),
    version: Math.floor(changed() * 2 ** 50),
  };
}

export interface WorkloadSize {
  readonly rows: number;
  readonly events: number;
  readonly seed: number;
}

/** Every row inserted, then the rows updated in random order, round after round, until there are `events` changes. */
export class Workload {
  readonly size: WorkloadSize;
  /** Updates that each row has had. */
  readonly #rounds: Uint16Array;

  constructor(size: WorkloadSize) {
    if (size.events < size.rows) throw new Error('--events must be at least --rows: every row is inserted once');
    this.size = size;
    this.#rounds = new Uint16Array(size.rows);
  }

  *changes(): Generator<OrderChange> {
    const { rows, events, seed } = this.size;
    this.#rounds.fill(0);
    for (let id = 0; id < rows; id++) yield this.#change(id, 0);
    let left = events - rows;
    for (let round = 1; left > 0; round++) {
      for (const id of shuffled(rows, seed + round)) {
        if (left-- === 0) return;
        yield this.next(id);
      }
    }
  }

  /** One more update of a row. */
  next(id: number): OrderChange {
    const round = (this.#rounds[id] ?? 0) + 1;
    this.#rounds[id] = round;
    return this.#change(id, round);
  }

  /** What the row must be once all changes handed out so far have been applied. */
  expected(id: number): OrderRow {
    return rowAfter(this.size.seed, id, this.#rounds[id] ?? 0);
  }

  #change(id: number, round: number): OrderChange {
    return { id, round, writeTimeUs: BASE_US + round * ROUND_US + id * 10, row: rowAfter(this.size.seed, id, round) };
  }
}

function shuffled(count: number, seed: number): Uint32Array {
  const random = randomFrom(seed);
  const order = Uint32Array.from({ length: count }, (_, i) => i);
  for (let i = count - 1; i > 0; i--) {
    const j = Math.floor(random() * (i + 1));
    const other = order[j] ?? 0;
    order[j] = order[i] ?? 0;
    order[i] = other;
  }
  return order;
}
