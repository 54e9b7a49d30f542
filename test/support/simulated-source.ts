import type { Cell, ChangeEvent, RowKey } from '../../src/change/change-event.ts';
import type { RereadPolicy, SourceRow } from '../../src/change/hint.ts';
import { hinted } from '../../src/change/hint.ts';

/**
 * A source with Cassandra's rules for one table `(…key, a text, s set<text>, d duration)`, element by element, and the
 * events that its capture agent would emit: a set update carries a part, a duration is lossy, one batch of a row delete
 * and an insert comes as the delete alone. Written from Cassandra's rules; shares no merge with `src/change`.
 *
 * Write times are distinct, so that ties play no part here (the merge's ties have their own tests).
 */
export type Mutation =
  | {
      readonly kind: 'insert';
      readonly at: bigint;
      readonly key: RowKey;
      readonly a: string | null;
      readonly s: readonly string[];
    }
  | {
      readonly kind: 'update';
      readonly at: bigint;
      readonly key: RowKey;
      readonly a?: string | null;
      readonly add: readonly string[];
      readonly remove: readonly string[];
      readonly d?: string | null;
    }
  | { readonly kind: 'delete'; readonly at: bigint; readonly key: RowKey }
  /** BEGIN BATCH DELETE row (at); INSERT row (at + 1) APPLY: one `d` where the table has clustering columns. */
  | {
      readonly kind: 'replace';
      readonly at: bigint;
      readonly key: RowKey;
      readonly a: string | null;
      readonly s: readonly string[];
    }
  /** INSERT of the key only, USING TTL. */
  | { readonly kind: 'touch'; readonly at: bigint; readonly key: RowKey }
  | { readonly kind: 'delete-from'; readonly at: bigint; readonly partition: RowKey; readonly from: string };

interface Stored {
  deletedAt: bigint;
  marker: bigint | null;
  a: { at: bigint; value: string | null } | null;
  d: { at: bigint; value: string | null } | null;
  /** Tombstone over the whole collection. */
  emptiedAt: bigint;
  elements: Map<string, { at: bigint; live: boolean }>;
}

const LONG_AGO = -(2n ** 62n);

export class SimulatedSource {
  readonly #table: string;
  readonly #clustered: boolean;
  readonly #policy: RereadPolicy;
  readonly #rows = new Map<string, Stored>();
  readonly #ranges: { partition: string; from: string; at: bigint }[] = [];

  constructor(table: string, clustered: boolean, policy: RereadPolicy) {
    this.#table = table;
    this.#clustered = clustered;
    this.#policy = policy;
  }

  /** Applies a mutation and returns the events that it is captured as. */
  apply(mutation: Mutation): readonly ChangeEvent[] {
    switch (mutation.kind) {
      case 'insert':
        this.#insert(mutation.key, mutation.at, mutation.a, mutation.s);
        return [this.#insertEvent(mutation.key, mutation.at, mutation.a, mutation.s)];
      case 'touch':
        this.#marker(mutation.key, mutation.at);
        return [this.#write(mutation.key, mutation.at, true, [null, null, null], 'marker-expiry-unknown')];
      case 'delete':
        this.#delete(mutation.key, mutation.at);
        return [this.#deleteEvent(mutation.key, mutation.at)];
      case 'replace': {
        const { key, at, a, s } = mutation;
        this.#delete(key, at);
        this.#insert(key, at + 1n, a, s);
        const deletion = this.#deleteEvent(key, at);
        return this.#clustered ? [deletion] : [deletion, this.#insertEvent(key, at + 1n, a, s)];
      }
      case 'update':
        return [this.#update(mutation)];
      case 'delete-from': {
        const { partition, from, at } = mutation;
        this.#ranges.push({ partition: partition.text, from, at });
        const event: ChangeEvent = {
          kind: 'range-delete',
          table: this.#table,
          writeTime: at,
          ambiguity: null,
          partition,
          start: { values: [from], inclusive: true },
          end: { values: [], inclusive: true },
        };
        return [hinted(event, this.#policy)];
      }
    }
  }

  /** What SELECT with WRITETIME says of a row. */
  read(key: RowKey): SourceRow {
    const row = this.#rows.get(key.text);
    if (row === undefined) return null;
    const floor = this.#floor(key, row);
    const live = (cell: Stored['a']): Cell | null =>
      cell?.value == null || cell.at <= floor ? null : { writeTime: cell.at, value: cell.value, expiry: null };
    const elements = [...row.elements].filter(
      ([, element]) => element.live && element.at > floor && element.at > row.emptiedAt,
    );
    const newest = elements.reduce((max, [, { at }]) => (at > max ? at : max), LONG_AGO);
    const set: Cell | null =
      elements.length === 0
        ? null
        : { writeTime: newest, value: JSON.stringify(elements.map(([name]) => name).sort()), expiry: null };
    const cells = [live(row.a), set, live(row.d)];
    const marker = row.marker !== null && row.marker > floor;
    return marker || cells.some((cell) => cell !== null) ? { cells } : null;
  }

  /** Every row that is there, with its values. */
  rows(): Map<string, readonly (string | null)[]> {
    const rows = new Map<string, readonly (string | null)[]>();
    for (const text of this.#rows.keys()) {
      const row = this.read({ text, values: JSON.parse(text) as string[] });
      if (row !== null)
        rows.set(
          text,
          row.cells.map((cell) => cell?.value ?? null),
        );
    }
    return rows;
  }

  #floor(key: RowKey, row: Stored): bigint {
    let floor = row.deletedAt;
    const [partition = '', clustering = ''] = key.values;
    for (const range of this.#ranges) {
      if (
        range.partition === JSON.stringify([partition]) &&
        Number(clustering) >= Number(range.from) &&
        range.at > floor
      )
        floor = range.at;
    }
    return floor;
  }

  #row(key: RowKey): Stored {
    let row = this.#rows.get(key.text);
    if (row === undefined) {
      row = { deletedAt: LONG_AGO, marker: null, a: null, d: null, emptiedAt: LONG_AGO, elements: new Map() };
      this.#rows.set(key.text, row);
    }
    return row;
  }

  #marker(key: RowKey, at: bigint): void {
    const row = this.#row(key);
    if (row.marker === null || row.marker < at) row.marker = at;
  }

  #delete(key: RowKey, at: bigint): void {
    const row = this.#row(key);
    if (row.deletedAt < at) row.deletedAt = at;
  }

  #cell(key: RowKey, column: 'a' | 'd', at: bigint, value: string | null): void {
    const row = this.#row(key);
    const known = row[column];
    if (known === null || known.at < at) row[column] = { at, value };
  }

  #element(key: RowKey, name: string, at: bigint, live: boolean): void {
    const { elements } = this.#row(key);
    const known = elements.get(name);
    if (known === undefined || known.at < at) elements.set(name, { at, live });
  }

  #insert(key: RowKey, at: bigint, a: string | null, s: readonly string[]): void {
    const row = this.#row(key);
    this.#marker(key, at);
    this.#cell(key, 'a', at, a);
    // Writing a whole collection is a tombstone just below its time, then the elements.
    if (row.emptiedAt < at - 1n) row.emptiedAt = at - 1n;
    for (const name of s) this.#element(key, name, at, true);
  }

  #update({ key, at, a, add, remove, d }: Extract<Mutation, { kind: 'update' }>): ChangeEvent {
    if (a !== undefined) this.#cell(key, 'a', at, a);
    if (d !== undefined) this.#cell(key, 'd', at, d);
    for (const name of add) this.#element(key, name, at, true);
    for (const name of remove) this.#element(key, name, at, false);
    const touched = [...add, ...remove];
    const cells: (string | null | undefined)[] = [
      a,
      touched.length === 0 ? undefined : JSON.stringify(touched),
      // The agent's duration is nanoseconds, lossy.
      d === undefined || d === null ? d : '0',
    ];
    const ambiguity = touched.length > 0 ? 'multi-cell-update' : d === undefined || d === null ? null : 'duration';
    return this.#write(
      key,
      at,
      false,
      cells.map((value) => (value === undefined ? null : { writeTime: at, value, expiry: null })),
      ambiguity,
    );
  }

  #insertEvent(key: RowKey, at: bigint, a: string | null, s: readonly string[]): ChangeEvent {
    const cells: Cell[] = [
      { writeTime: at, value: a, expiry: null },
      { writeTime: at, value: s.length === 0 ? null : JSON.stringify(s), expiry: null },
    ];
    return this.#write(key, at, true, [...cells, null], null);
  }

  #deleteEvent(key: RowKey, at: bigint): ChangeEvent {
    return hinted({ kind: 'row-delete', table: this.#table, writeTime: at, ambiguity: null, key }, this.#policy);
  }

  #write(
    key: RowKey,
    at: bigint,
    insert: boolean,
    cells: readonly (Cell | null)[],
    ambiguity: ChangeEvent['ambiguity'],
  ): ChangeEvent {
    return hinted(
      {
        kind: 'write',
        table: this.#table,
        writeTime: at,
        ambiguity,
        key,
        marker: insert ? { writeTime: at, expiry: null } : null,
        cells,
      },
      this.#policy,
    );
  }
}
