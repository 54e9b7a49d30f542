/**
 * The invariants of docs/INVARIANTS.md, asked of every commit: the target shows what the model shows of the statements
 * that count as applied at that moment (by position, dead letters and what came through the outside door), a position
 * moves by compare-and-set with exactly one ledger segment that accounts for every record, nothing is dead-lettered that
 * could apply, and what is has its bytes in the DLQ.
 */
import type { BoundTable } from '../../src/target/bound-table.ts';
import { CassandraModel, keyText, type ModelCell, type VisibleRow } from '../model/cassandra.ts';
import { identityOf, isWide, type Mutation, type WideMutation } from '../model/mutation.ts';
import type { ModelSchema } from '../model/schema.ts';
import type { LogRecord, SimulatedKafka } from './kafka.ts';
import type { OffsetRow, Relation, Storage, TargetRow, Transaction } from './postgres/relations.ts';

/** What was refuted, in words, with the row where it is about one. */
export interface Refutation {
  readonly invariant: string;
  readonly what: string;
  readonly key?: string;
}

export interface AuditContext {
  readonly schema: ModelSchema;
  readonly table: BoundTable;
  readonly kafka: SimulatedKafka;
  readonly storage: Storage;
  readonly nowUs: () => bigint;
  /** Bytes of a dead letter in the DLQ topic. */
  readonly letterAt: (partition: number, offset: bigint) => { key: Buffer | null; value: Buffer | null } | null;
  /** Whether the target's CHECK refuses the statement at this moment. */
  readonly isForbidden: (mutation: Mutation) => boolean;
  readonly refute: (refutation: Refutation) => void;
}

const NEVER = -(2n ** 63n);

function changesOf<Row>(tx: Transaction, relation: Relation<Row>): readonly [string, Row | null][] {
  return [...((tx.overlay.get(relation) ?? new Map()) as Map<string, Row | null>)];
}

function cellsOf(table: BoundTable, row: TargetRow): (ModelCell | null)[] {
  return table.regular.map(({ ordinal, mapping }, i): ModelCell | null => {
    const value = row.values[i] ?? null;
    if (value === null) return null;
    const [time, expiry] = [row.versions[ordinal - 1] ?? NEVER, row.expiries?.[ordinal - 1] ?? null];
    return { value: mapping.fromTarget(value), time, expiry };
  });
}

/** A target row without what has expired and waits for its sweep, or null where nothing else is alive. */
function aliveTarget(table: BoundTable, row: TargetRow | undefined, nowUs: bigint): VisibleRow | null {
  if (row === undefined) return null;
  const isAlive = (expiry: bigint | null): boolean => expiry === null || expiry > nowUs;
  const cells = cellsOf(table, row).map((cell) => (cell !== null && isAlive(cell.expiry) ? cell : null));
  const hasMarker = (row.versions[0] ?? NEVER) !== NEVER && isAlive(row.expiries?.[0] ?? null);
  return hasMarker || cells.some((cell) => cell !== null) ? { key: row.key, cells } : null;
}

function shownRow(row: VisibleRow | null): string {
  if (row === null) return 'no row';
  const cells = row.cells.map((cell) =>
    cell === null ? '-' : `${JSON.stringify(cell.value)}@${cell.time}${cell.expiry === null ? '' : `!${cell.expiry}`}`,
  );
  return `${JSON.stringify(row.key)} (${cells.join(', ')})`;
}

/** Whether everything that `part` shows is shown by `whole`, too. */
function isWithin(part: VisibleRow | null, whole: VisibleRow | null): boolean {
  if (part === null) return true;
  if (whole === null) return false;
  return part.cells.every((cell, i) => {
    const other = whole.cells[i] ?? null;
    if (cell === null) return true;
    return other?.value === cell.value && other.time === cell.time && other.expiry === cell.expiry;
  });
}

export class Audit {
  readonly #context: AuditContext;
  #applied: CassandraModel;
  /** Wide deletes that were emitted, by partition: their tombstones may be in force before their position is passed. */
  readonly #wide = new Map<string, WideMutation[]>();
  readonly #before = new Map<string, OffsetRow | undefined>();
  commits = 0;

  constructor(context: AuditContext) {
    this.#context = context;
    this.#applied = new CassandraModel(context.schema);
  }

  emitted(mutation: Mutation): void {
    if (!isWide(mutation)) return;
    const at = keyText(mutation.partition);
    this.#wide.set(at, [...(this.#wide.get(at) ?? []), mutation]);
  }

  beforeCommit(tx: Transaction): void {
    this.#before.clear();
    for (const [key] of changesOf(tx, tx.storage.offsets)) this.#before.set(key, tx.storage.offsets.rows.get(key));
  }

  afterCommit(tx: Transaction): void {
    this.commits += 1;
    const touched = new Set(changesOf(tx, tx.storage.target).map(([key]) => key));
    for (const [key, row] of changesOf(tx, tx.storage.offsets)) {
      const before = this.#before.get(key);
      if (row !== null && before !== undefined && row.next !== before.next) this.#moved(tx, before, row, touched);
    }
    for (const [, row] of changesOf(tx, tx.storage.outside)) {
      if (row !== null) this.#apply(this.#recordAt(row.partition, row.offset), touched);
    }
    this.#checkRows(touched);
  }

  /** The database lost commits: what counts as applied is read from what it still has. */
  rebuild(): void {
    const { storage, kafka } = this.#context;
    this.#applied = new CassandraModel(this.#context.schema);
    const touched = new Set<string>(storage.target.rows.keys());
    for (const { partition, next } of storage.offsets.rows.values()) {
      for (const entry of kafka.logs[partition]!.records) {
        if (entry.record.offset < next && !this.#isPending(partition, entry.record.offset)) this.#apply(entry, touched);
      }
    }
    for (const { partition, offset } of storage.outside.rows.values()) {
      this.#apply(this.#recordAt(partition, offset), touched);
    }
    this.#checkRows(touched);
  }

  /** Every row that either side knows, as it stands in the target: what has expired must be swept. */
  checkAll(model: CassandraModel): void {
    const { storage, nowUs, table, refute } = this.#context;
    for (const key of new Set([...storage.target.rows.keys(), ...model.keys])) {
      const expected = model.read(key, nowUs());
      const row = storage.target.rows.get(key);
      const found = row === undefined ? null : { key: row.key, cells: cellsOf(table, row) };
      if (isWithin(expected, found) && isWithin(found, expected)) continue;
      refute({ invariant: '1 convergence', what: `source ${shownRow(expected)}, target ${shownRow(found)}`, key });
    }
  }

  #recordAt(partition: number, offset: bigint): LogRecord {
    return this.#context.kafka.logs[partition]!.records.find(({ record }) => record.offset === offset)!;
  }

  #isPending(partition: number, offset: bigint): boolean {
    const letter = this.#context.storage.letters.rows.get(`${partition}:${offset}`);
    return letter !== undefined && letter.status !== 'redriven';
  }

  #apply({ mutation, fate }: LogRecord, touched: Set<string>): void {
    if (mutation === null || fate !== 'applies') return;
    this.#applied.apply(mutation);
    if (!isWide(mutation)) {
      touched.add(keyText(mutation.key));
      return;
    }
    const { length } = this.#context.schema.partitionKey;
    for (const key of this.#applied.keys) {
      if (keyText((JSON.parse(key) as string[]).slice(0, length)) === keyText(mutation.partition)) touched.add(key);
    }
  }

  /** Invariants 2, 3 and 5: the position and everything that accounts for the records that it passes. */
  #moved(tx: Transaction, before: OffsetRow, after: OffsetRow, touched: Set<string>): void {
    const { kafka, refute } = this.#context;
    const { partition } = after;
    const where = `partition ${partition} [${before.next}, ${after.next})`;
    if (after.next < before.next) refute({ invariant: '3 position', what: `${where} went back` });
    const passed = kafka.logs[partition]!.records.filter(
      ({ record }) => record.offset >= before.next && record.offset < after.next,
    );
    const segments = changesOf(tx, tx.storage.ledger).flatMap(([, row]) => (row === null || row.outside ? [] : [row]));
    const [segment] = segments;
    if (segments.length !== 1 || segment?.from !== before.next || segment.next !== after.next) {
      const shown = segments.map(({ from, next }) => `[${from}, ${next})`).join(' ');
      refute({ invariant: '3 position', what: `${where} moved with ledger segments ${shown}` });
      return;
    }
    const letters = new Set(changesOf(tx, tx.storage.letters).flatMap(([, row]) => (row === null ? [] : [row.offset])));
    for (const { record, mutation, fate } of passed) {
      const isLetter = letters.has(record.offset);
      const place = `${partition}:${record.offset}`;
      if (fate === 'never' && !isLetter) refute({ invariant: '3 position', what: `${place} was passed over` });
      if (!isLetter) continue;
      if (fate === 'nothing' || (fate === 'applies' && (mutation === null || !this.#context.isForbidden(mutation)))) {
        refute({ invariant: '5 dead letters', what: `${place} could apply and was given up on` });
      }
      const kept = this.#context.letterAt(partition, record.offset);
      const isWhole = kept !== null && isSame(kept.key, record.key) && isSame(kept.value, record.value);
      if (!isWhole) refute({ invariant: '5 dead letters', what: `${place} is not in the DLQ to the byte` });
    }
    const skipped = passed.filter(({ fate }) => fate === 'nothing').length;
    const identities = new Set(passed.flatMap(({ mutation }) => (mutation === null ? [] : [identityOf(mutation)])));
    const accounted = `${segment.records} records, ${segment.ids.length / 32} IDs, ${segment.skipped} skipped`;
    const expected = `${passed.length} records, ${identities.size} IDs, ${skipped} skipped`;
    if (accounted !== expected) {
      refute({ invariant: '3 position', what: `${where}: the ledger has ${accounted}, the log ${expected}` });
    }
    for (const entry of passed) if (!this.#isPending(partition, entry.record.offset)) this.#apply(entry, touched);
  }

  /** Invariants 1, 4 and 6: no more than what is applied shows, and no less than what no wide delete under way covers. */
  #checkRows(keys: ReadonlySet<string>): void {
    const { storage, nowUs, table, schema, refute } = this.#context;
    // A read brings what no record has told of yet: such a table is compared at the end.
    if (schema.isAsked) return;
    for (const key of keys) {
      const partition = keyText((JSON.parse(key) as string[]).slice(0, schema.partitionKey.length));
      const found = aliveTarget(table, storage.target.rows.get(key), nowUs());
      const most = this.#applied.read(key, nowUs());
      const wide = this.#wide.get(partition) ?? [];
      const least = this.#applied.read(key, nowUs(), wide);
      // While a wide delete is under way, newer cells may be covered by it and older ones not removed yet.
      const isUnderWay = !isWithin(most, least);
      const isAllowed = isUnderWay
        ? (found?.cells.every((cell, i) => cell === null || this.#applied.mayShow(key, i, cell, wide)) ?? true)
        : isWithin(found, most);
      if (!isAllowed) {
        const what = `target ${shownRow(found)}, of what is applied only ${shownRow(most)} is there`;
        refute({ invariant: '4 no resurrection', what, key });
      }
      if (!isWithin(least, found)) {
        const what = `target ${shownRow(found)}, but ${shownRow(least)} is applied`;
        refute({ invariant: '1 convergence', what, key });
      }
    }
  }
}

function isSame(left: Buffer | null, right: Buffer | null): boolean {
  return left === null || right === null ? left === right : left.equals(right);
}
