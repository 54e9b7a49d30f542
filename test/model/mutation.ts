/** One statement that the source executed: what the histories are made of. */

/** A value, a tombstone (`SET c = null`), or a column that the statement did not name. */
export type Written = string | null | undefined;

export interface RangeBound {
  /** A prefix of the clustering key; none is unbounded. */
  readonly values: readonly string[];
  readonly inclusive: boolean;
}

export type Mutation =
  | {
      readonly kind: 'insert' | 'update';
      readonly key: readonly string[];
      /** By position in the schema's regular columns. */
      readonly cells: readonly Written[];
      /** µs; of the cells, and of the row marker that an INSERT makes. */
      readonly expiry: bigint | null;
      readonly time: bigint;
    }
  | { readonly kind: 'delete-row'; readonly key: readonly string[]; readonly time: bigint }
  | { readonly kind: 'delete-partition'; readonly partition: readonly string[]; readonly time: bigint }
  | {
      readonly kind: 'delete-range';
      readonly partition: readonly string[];
      /** In comparator order: of a DESC column the larger value comes first. */
      readonly start: RangeBound;
      readonly end: RangeBound;
      readonly time: bigint;
    };

export type RowMutation = Extract<Mutation, { readonly key: readonly string[] }>;
export type WideMutation = Extract<Mutation, { readonly partition: readonly string[] }>;

export function isWide(mutation: Mutation): mutation is WideMutation {
  return mutation.kind === 'delete-partition' || mutation.kind === 'delete-range';
}

/** What tells one statement from another in an account: not its cells. */
export function identityOf(mutation: Mutation): string {
  const kind = mutation.kind === 'insert' || mutation.kind === 'update' ? 'write' : mutation.kind;
  const where = isWide(mutation) ? mutation.partition : mutation.key;
  const bounds = mutation.kind === 'delete-range' ? [mutation.start, mutation.end] : [];
  return JSON.stringify([kind, where, bounds, String(mutation.time)]);
}

/** As CQL, for people. */
export function shownMutation(mutation: Mutation): string {
  const { kind, time } = mutation;
  switch (kind) {
    case 'insert':
    case 'update': {
      const cells = mutation.cells.map((cell) => (cell === undefined ? '-' : JSON.stringify(cell))).join(', ');
      const ttl = mutation.expiry === null ? '' : ` expires ${mutation.expiry}`;
      return `${kind} ${JSON.stringify(mutation.key)} (${cells}) @ ${time}${ttl}`;
    }
    case 'delete-row':
      return `delete row ${JSON.stringify(mutation.key)} @ ${time}`;
    case 'delete-partition':
      return `delete partition ${JSON.stringify(mutation.partition)} @ ${time}`;
    case 'delete-range': {
      const { start, end } = mutation;
      const from = `${start.inclusive ? '[' : '('}${start.values.join(',')}`;
      return `delete range ${JSON.stringify(mutation.partition)} ${from} … ${end.values.join(',')}${end.inclusive ? ']' : ')'} @ ${time}`;
    }
  }
}
