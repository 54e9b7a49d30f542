/** The tables of the simulated database: committed rows, what a transaction sees of them, and a log to go back by. */

export class Relation<Row> {
  readonly name: string;
  readonly rows = new Map<string, Row>();

  constructor(name: string) {
    this.name = name;
  }
}

/** A row of the target. `key` and `values` as text in PostgreSQL's output form. */
export interface TargetRow {
  readonly key: readonly string[];
  readonly values: readonly (string | null)[];
  readonly versions: readonly bigint[];
  readonly expiries: readonly (bigint | null)[] | null;
  /** Hex of `_cdc_order`. */
  readonly order: string | null;
}

export interface OffsetRow {
  readonly topic: string;
  readonly incarnation: number;
  readonly partition: number;
  readonly next: bigint;
  readonly last: { readonly offset: bigint; readonly timestampMs: number; readonly hash: Buffer } | null;
  readonly owner: string | null;
  readonly epoch: bigint;
  readonly state: string;
  readonly growing: boolean;
  /** Seconds since the epoch, as `extract(epoch …)` has it; null where the topic never grew. */
  readonly grownUntil: number | null;
}

export interface GraveRow {
  readonly deletedAt: bigint;
  readonly versions: string | null;
  readonly expiries: string | null;
}

export interface RangeRow {
  readonly partition: string;
  readonly bounds: string;
  readonly writeTime: bigint;
}

export interface QueueRow {
  readonly topic: string;
  readonly partition: number;
  readonly dueUs: bigint;
  readonly rowKey: string;
  /** Seconds since the epoch. */
  readonly queuedAt: number;
}

/** A read that is owed to the source; `trigger` as JSON text, an array of documents. */
export interface RereadRow {
  readonly partition: number;
  readonly kind: string;
  readonly dueUs: bigint;
  readonly rowKey: string;
  readonly trigger: string;
  /** Seconds since the epoch. */
  readonly queuedAt: number;
}

export interface GrowthRow {
  /** Seconds since the epoch. */
  readonly grownAt: number;
  readonly ends: string | null;
}

export interface LedgerRow {
  readonly partition: number;
  readonly from: bigint;
  readonly next: bigint;
  readonly records: number;
  readonly duplicates: number;
  readonly skipped: number;
  /** Hex of the packed change IDs. */
  readonly ids: string;
  readonly outside: boolean;
}

export interface LetterRow {
  readonly partition: number;
  readonly offset: bigint;
  readonly code: string;
  readonly status: string;
  readonly sha256: Buffer;
}

/** A record that came through the outside door: written beside its rows, as a redrive writes its letters' status. */
export interface OutsideRow {
  readonly partition: number;
  readonly offset: bigint;
}

export class Relations {
  readonly target = new Relation<TargetRow>('target');
  readonly offsets = new Relation<OffsetRow>('offsets');
  readonly graves = new Relation<GraveRow>('graves');
  readonly ranges = new Relation<RangeRow>('ranges');
  readonly queue = new Relation<QueueRow>('queue');
  readonly rereads = new Relation<RereadRow>('rereads');
  readonly ledger = new Relation<LedgerRow>('ledger');
  readonly letters = new Relation<LetterRow>('letters');
  readonly growth = new Relation<GrowthRow>('growth');
  readonly outside = new Relation<OutsideRow>('outside');
}

interface Undo {
  readonly relation: Relation<unknown>;
  readonly key: string;
  readonly before: unknown;
}

/** The relations with the memory of every commit, newest last. */
export class Storage extends Relations {
  readonly #commits: Undo[][] = [];
  #ledgerRows = 0;

  /** A sequence, which no rollback turns back. */
  nextLedgerKey(): string {
    this.#ledgerRows += 1;
    return String(this.#ledgerRows);
  }

  get commits(): number {
    return this.#commits.length;
  }

  install(overlay: ReadonlyMap<Relation<unknown>, ReadonlyMap<string, unknown>>): void {
    const undo: Undo[] = [];
    for (const [relation, rows] of overlay) {
      for (const [key, row] of rows) {
        undo.push({ relation, key, before: relation.rows.get(key) });
        if (row === null) relation.rows.delete(key);
        else relation.rows.set(key, row);
      }
    }
    if (undo.length > 0) this.#commits.push(undo);
  }

  /** Loses the newest commits: a failover to a standby that had not got them, a restore from a backup. */
  lose(count: number): void {
    for (let left = Math.min(count, this.#commits.length); left > 0; left -= 1) {
      for (const { relation, key, before } of this.#commits.pop()!.reverse()) {
        if (before === undefined) relation.rows.delete(key);
        else relation.rows.set(key, before);
      }
    }
  }
}

/** What one transaction sees and has written: READ COMMITTED, so every read is of the newest committed rows. */
export class Transaction {
  readonly storage: Storage;
  readonly overlay = new Map<Relation<unknown>, Map<string, unknown>>();
  readonly locks = new Set<string>();
  aborted = false;
  lockTimeoutMs: number | null = null;

  constructor(storage: Storage) {
    this.storage = storage;
  }

  get<Row>(relation: Relation<Row>, key: string): Row | null {
    const mine = this.overlay.get(relation)?.get(key);
    if (mine !== undefined) return mine as Row | null;
    return relation.rows.get(key) ?? null;
  }

  put<Row>(relation: Relation<Row>, key: string, row: Row | null): void {
    let rows = this.overlay.get(relation);
    if (rows === undefined) {
      rows = new Map();
      this.overlay.set(relation, rows);
    }
    rows.set(key, row);
  }

  /** Visible rows with their keys, in an order of no meaning. */
  scan<Row>(relation: Relation<Row>): [string, Row][] {
    const mine = this.overlay.get(relation) as ReadonlyMap<string, Row | null> | undefined;
    if (mine === undefined) return [...relation.rows];
    const rows: [string, Row][] = [];
    for (const [key, row] of relation.rows) if (!mine.has(key)) rows.push([key, row]);
    for (const [key, row] of mine) if (row !== null) rows.push([key, row]);
    return rows;
  }
}
