/**
 * For applications: the entries of the changelog table that belong to their changes, as statements for the same logged
 * batch (docs/changelog-table.md). Needs no connection and no driver; key values are given as the driver takes them.
 */
import type { Bound } from '../change/change-event.ts';
import type { ChangelogChange } from '../change/changelog-entry.ts';
import { parseCqlType } from '../change/parse-cql-type.ts';
import type { CqlType } from '../change/source-type.ts';
import { canonicalClustering, canonicalText } from '../change/values/value-canonical.ts';
import { LockstepError } from '../shared/errors.ts';
import { changelogStatement } from './changelog-table.ts';

/** Key columns of a table: CQL type by name, in the order of the primary key. */
export interface LoggedTable {
  readonly partitionKey: Readonly<Record<string, string>>;
  readonly clusteringKey?: Readonly<Record<string, string>>;
}

/** One side of a range delete, in the order of the clustering: in a DESC column the larger value is the start. */
export interface LoggedBound {
  /** Values of the first clustering columns; none = unbounded. */
  readonly values: readonly unknown[];
  readonly inclusive: boolean;
}

/** What a statement changes. `key` has the values of the whole primary key, or of the partition key for the last two. */
export type LoggedChange =
  | {
      readonly table: string;
      readonly kind: 'write' | 'row-delete' | 'partition-delete';
      readonly key: readonly unknown[];
    }
  | {
      readonly table: string;
      readonly kind: 'range-delete';
      readonly key: readonly unknown[];
      readonly start: LoggedBound;
      readonly end: LoggedBound;
    };

/** A statement of the application with what it changes. */
export interface LoggedStatement {
  readonly query: string;
  readonly params: readonly unknown[];
  readonly change: LoggedChange;
  /** µs since the epoch; only where the statement says `USING TIMESTAMP` itself. */
  readonly writeTimeUs?: bigint;
}

/** Arguments of the driver's `client.batch`. */
export interface LoggedBatch {
  /** Of the statements, in their order: what `lockstep ledger find` knows them by. */
  readonly changeIds: readonly string[];
  readonly queries: { query: string; params: unknown[] }[];
  readonly options: { readonly prepare: true; readonly logged: true; readonly timestamp: number };
}

/** The entry of one change, for the driver. */
export interface LoggedEntry {
  readonly query: string;
  readonly params: readonly unknown[];
  readonly changeId: string;
}

interface KeyColumn {
  readonly name: string;
  readonly type: CqlType;
}

interface KeyColumns {
  readonly partition: readonly KeyColumn[];
  readonly clustering: readonly KeyColumn[];
}

export interface ChangelogOptions {
  /** Keyspace of the tables and of their changelog. */
  readonly keyspace: string;
  readonly tables: Readonly<Record<string, LoggedTable>>;
  /** Default: the clock of this machine. */
  readonly nowMs?: () => number;
}

function columnsOf(types: Readonly<Record<string, string>> = {}): readonly KeyColumn[] {
  return Object.entries(types).map(([name, type]) => ({ name, type: parseCqlType(type) }));
}

/** What the driver takes for a value, as text that `canonicalText` reads. */
function textOf(value: unknown): string {
  if (value instanceof Date) return `@${value.getTime()}`;
  if (Buffer.isBuffer(value)) return `\\x${value.toString('hex')}`;
  return String(value);
}

function refusal(message: string): LockstepError {
  return new LockstepError(message, {
    code: 'CHANGELOG_CHANGE',
    kind: 'usage',
    remedy: 'give the values of the key as they are written, in the order of the primary key',
  });
}

/** Makes the entries of one keyspace's changelog. One per process: its write times rise over everything it logs. */
export class Changelog {
  readonly #keyspace: string;
  readonly #tables: ReadonlyMap<string, KeyColumns>;
  readonly #nowMs: () => number;
  #lastUs = 0;

  /** @throws LockstepError where a type is none of CQL. */
  constructor({ keyspace, tables, nowMs = Date.now }: ChangelogOptions) {
    this.#keyspace = keyspace;
    this.#nowMs = nowMs;
    this.#tables = new Map(
      Object.entries(tables).map(([name, { partitionKey, clusteringKey }]) => [
        name,
        { partition: columnsOf(partitionKey), clustering: columnsOf(clusteringKey) },
      ]),
    );
  }

  /** A write time that no other one of this object equals: two writes of one row in one microsecond are one change. */
  nextWriteTimeUs(): number {
    this.#lastUs = Math.max(this.#nowMs() * 1000, this.#lastUs + 1);
    return this.#lastUs;
  }

  /**
   * The statements with their entries, as one logged batch at one write time.
   *
   * @throws LockstepError `CHANGELOG_CHANGE` where a key does not fit its table: then nothing was logged, and nothing may
   * be written.
   */
  batch(statements: readonly LoggedStatement[]): LoggedBatch {
    const timestamp = this.nextWriteTimeUs();
    const entries = statements.map(({ change, writeTimeUs }) => this.entry(change, writeTimeUs ?? BigInt(timestamp)));
    return {
      changeIds: entries.map(({ changeId }) => changeId),
      queries: [
        ...statements.map(({ query, params }) => ({ query, params: [...params] })),
        ...entries.map(({ query, params }) => ({ query, params: [...params] })),
      ],
      options: { prepare: true, logged: true, timestamp },
    };
  }

  /** The entry of one change alone. It must be written in the logged batch of the change, at its write time. */
  entry(change: LoggedChange, writeTimeUs: bigint): LoggedEntry {
    const { query, params } = changelogStatement(this.#keyspace, this.#identityOf(change, writeTimeUs));
    return { query, params, changeId: params[3].toString('hex') };
  }

  #identityOf(change: LoggedChange, writeTime: bigint): ChangelogChange {
    const columns = this.#tables.get(change.table);
    if (columns === undefined) throw refusal(`the changelog has no table ${change.table}`);
    const { partition, clustering } = columns;
    const base = { table: `${this.#keyspace}.${change.table}`, writeTime, bounds: null };
    const isOfRow = change.kind === 'write' || change.kind === 'row-delete';
    const wanted = isOfRow ? [...partition, ...clustering] : partition;
    if (change.key.length !== wanted.length) {
      const names = wanted.map(({ name }) => name).join(', ');
      throw refusal(`a ${change.kind} of ${change.table} has the key (${names}), not ${change.key.length} values`);
    }
    const key = [
      ...texts(change.table, partition, change.key.slice(0, partition.length)),
      ...clusteringTexts(change.table, clustering, change.key.slice(partition.length)),
    ];
    if (change.kind === 'range-delete') {
      const bound = ({ values, inclusive }: LoggedBound): Bound => ({
        values: clusteringTexts(change.table, clustering, values),
        inclusive,
      });
      return { ...base, kind: change.kind, key, bounds: { start: bound(change.start), end: bound(change.end) } };
    }
    // Without clustering columns a partition is a row, and the capture calls its delete one of a row.
    const kind = change.kind === 'partition-delete' && clustering.length === 0 ? 'row-delete' : change.kind;
    return { ...base, kind, key };
  }
}

function texts(table: string, columns: readonly KeyColumn[], values: readonly unknown[]): readonly string[] {
  return values.map((value, i) => {
    const column = columns[i];
    const text = column === undefined || value == null ? null : canonicalText(column.type, textOf(value));
    if (text === null) throw refusal(`${table}.${column?.name ?? `column ${i}`} can not be ${String(value)}`);
    return text;
  });
}

/** Clustering values that are one row are one text. */
function clusteringTexts(table: string, columns: readonly KeyColumn[], values: readonly unknown[]): readonly string[] {
  return texts(table, columns, values).map((text, i) => {
    const column = columns[i];
    return column === undefined ? text : canonicalClustering(column.type, text);
  });
}
