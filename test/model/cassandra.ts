/**
 * What Cassandra would hold: an independent model of its storage and merge rules (`Cells.resolveRegular`,
 * `LivenessInfo.supersedes`, `DeletionTime.deletes`, `Slice.includes`). It shares no code with `src/change`, and is built
 * otherwise on purpose: every statement's newest cell, marker and deletion is kept side by side, and what covers what is
 * asked when a row is read, where the core keeps rows in normal form.
 */
import { compareClusteringValues, serialised } from './bytes.ts';
import { isWide, type Mutation, type RangeBound, type WideMutation } from './mutation.ts';
import type { ModelSchema } from './schema.ts';

export interface ModelCell {
  readonly value: string | null;
  readonly time: bigint;
  readonly expiry: bigint | null;
}

interface ModelLiveness {
  readonly time: bigint;
  readonly expiry: bigint | null;
}

interface ModelRow {
  readonly key: readonly string[];
  liveness: ModelLiveness | null;
  deletion: bigint | null;
  readonly cells: (ModelCell | null)[];
  /** Every cell that was ever written, by position. */
  readonly written: ModelCell[][];
}

/** A row as a reader sees it. */
export interface VisibleRow {
  readonly key: readonly string[];
  /** By position; null where nothing shows. */
  readonly cells: readonly (ModelCell | null)[];
}

export function keyText(values: readonly string[]): string {
  return JSON.stringify(values);
}

/** Of two cells of one column, the one that stays. */
function reconcile(schema: ModelSchema, column: number, left: ModelCell, right: ModelCell): ModelCell {
  if (left.time !== right.time) return left.time > right.time ? left : right;
  const tombstones = [left.value === null, right.value === null];
  if (tombstones[0] === true || tombstones[1] === true) return tombstones[0] === true ? left : right;
  if ((left.expiry === null) !== (right.expiry === null)) return left.expiry === null ? right : left;
  if (left.expiry !== null && right.expiry !== null && left.expiry !== right.expiry) {
    return left.expiry > right.expiry ? left : right;
  }
  const type = schema.regular[column]!.type;
  return Buffer.compare(serialised(type, left.value!), serialised(type, right.value!)) >= 0 ? left : right;
}

function supersedes(left: ModelLiveness, right: ModelLiveness): boolean {
  if (left.time !== right.time) return left.time > right.time;
  if ((left.expiry === null) !== (right.expiry === null)) return left.expiry !== null;
  return (left.expiry ?? 0n) > (right.expiry ?? 0n);
}

/** Whether a clustering key lies between the bounds; values of a prefix compare equal to all that begin with it. */
function contains(schema: ModelSchema, start: RangeBound, end: RangeBound, clustering: readonly string[]): boolean {
  const compare = (bound: RangeBound): number => {
    for (const [i, value] of bound.values.entries()) {
      const order = compareClusteringValues(schema.clustering[i]!, clustering[i]!, value);
      if (order !== 0) return order;
    }
    return 0;
  };
  const [low, high] = [compare(start), compare(end)];
  return (low > 0 || (low === 0 && start.inclusive)) && (high < 0 || (high === 0 && end.inclusive));
}

export class CassandraModel {
  readonly #schema: ModelSchema;
  readonly #rows = new Map<string, ModelRow>();
  readonly #wide = new Map<string, WideMutation[]>();

  constructor(schema: ModelSchema) {
    this.#schema = schema;
  }

  get keys(): IterableIterator<string> {
    return this.#rows.keys();
  }

  apply(mutation: Mutation): void {
    if (isWide(mutation)) {
      const at = keyText(mutation.partition);
      const known = this.#wide.get(at);
      if (known === undefined) this.#wide.set(at, [mutation]);
      else known.push(mutation);
      return;
    }
    const row = this.#row(mutation.key);
    const { time } = mutation;
    if (mutation.kind === 'delete-row') {
      if (row.deletion === null || time > row.deletion) row.deletion = time;
      return;
    }
    const { expiry } = mutation;
    if (mutation.kind === 'insert') {
      const liveness = { time, expiry };
      if (row.liveness === null || supersedes(liveness, row.liveness)) row.liveness = liveness;
    }
    for (const [i, value] of mutation.cells.entries()) {
      if (value === undefined) continue;
      const cell = { value, time, expiry: value === null ? null : expiry };
      row.written[i]!.push(cell);
      const known = row.cells[i] ?? null;
      row.cells[i] = known === null ? cell : reconcile(this.#schema, i, known, cell);
    }
  }

  /** The row at `nowUs`, or null where a reader finds none. `also`: more deletions that are taken to be there. */
  read(key: string, nowUs: bigint, also: readonly WideMutation[] = []): VisibleRow | null {
    const row = this.#rows.get(key);
    if (row === undefined) return null;
    const covering = this.#covering(row, also);
    const alive = ({ time, expiry }: ModelLiveness): boolean =>
      (covering === null || time > covering) && (expiry === null || expiry > nowUs);
    const cells = row.cells.map((cell) => (cell?.value != null && alive(cell) ? cell : null));
    const exists = (row.liveness !== null && alive(row.liveness)) || cells.some((cell) => cell !== null);
    return exists ? { key: row.key, cells } : null;
  }

  /**
   * Whether a cell may show while the wide deletes `underWay` are: it was written, and either nothing covers it or one of
   * them does, which may have been found to make other deletes superfluous and has not removed it yet.
   */
  mayShow(key: string, column: number, { value, time, expiry }: ModelCell, underWay: readonly WideMutation[]): boolean {
    const row = this.#rows.get(key);
    if (row === undefined) return false;
    const covering = this.#covering(row, []);
    if (
      covering !== null &&
      time <= covering &&
      !underWay.some((wide) => time <= wide.time && this.#covers(wide, row))
    ) {
      return false;
    }
    return row.written[column]!.some((cell) => cell.value === value && cell.time === time && cell.expiry === expiry);
  }

  #covers(wide: WideMutation, row: ModelRow): boolean {
    if (wide.kind === 'delete-partition') return true;
    return contains(this.#schema, wide.start, wide.end, row.key.slice(this.#schema.partitionKey.length));
  }

  #covering(row: ModelRow, also: readonly WideMutation[]): bigint | null {
    const { partitionKey } = this.#schema;
    let newest = row.deletion;
    const consider = (wide: WideMutation): void => {
      if ((newest === null || wide.time > newest) && this.#covers(wide, row)) newest = wide.time;
    };
    for (const wide of this.#wide.get(keyText(row.key.slice(0, partitionKey.length))) ?? []) consider(wide);
    for (const wide of also) consider(wide);
    return newest;
  }

  #row(key: readonly string[]): ModelRow {
    const at = keyText(key);
    const known = this.#rows.get(at);
    if (known !== undefined) return known;
    const { regular } = this.#schema;
    const cells = regular.map(() => null);
    const fresh = { key, liveness: null, deletion: null, cells, written: regular.map(() => []) };
    this.#rows.set(at, fresh);
    return fresh;
  }
}
