/** One record of a source topic as the audit reads it: which change it is, and what it says of each column. */
import { isLosslessNumber, parse } from 'lossless-json';
import { Unreadable } from '../../../src/demo/proof/plain-value.ts';
import type { ProofColumn } from '../../../src/demo/proof/source-rows.ts';
import { componentOf, fromWire } from './wire-value.ts';

/** A cell that the change touched. */
export interface CapturedCell {
  /** Plain form; null for a tombstone; undefined where it could not be read. */
  readonly value: string | null | undefined;
  /** µs; null where the value lasts. */
  readonly expiryUs: bigint | null;
}

export interface CapturedEvent {
  readonly kind: 'insert' | 'update' | 'row-delete' | 'partition-delete' | 'range-delete';
  /** Plain forms as one text, as in a statement's effects. */
  readonly partition: string;
  readonly row: string | null;
  readonly timeUs: bigint;
  readonly cells: ReadonlyMap<string, CapturedCell>;
  /** Where it lies, for people. */
  readonly place: string;
  readonly partitionNumber: number;
  readonly offset: bigint;
  /** The node's commit log that it was read from. */
  readonly file: string;
  /** The record's value as it is. */
  readonly text: string;
}

type Json = Readonly<Record<string, unknown>>;

const isObject = (node: unknown): node is Json =>
  typeof node === 'object' && node !== null && !Array.isArray(node) && !isLosslessNumber(node);

const integer = (node: unknown): bigint | null => (isLosslessNumber(node) ? BigInt(node.value) : null);

/** Reads a record; null where it is no event. */
export function readEvent(
  columns: readonly ProofColumn[],
  record: {
    readonly topic: string;
    readonly partition: number;
    readonly offset: bigint;
    readonly value: Buffer | null;
  },
): CapturedEvent | null {
  const text = record.value?.toString('utf8') ?? '';
  let envelope: unknown;
  try {
    envelope = parse(text);
  } catch {
    return null;
  }
  if (!isObject(envelope) || !isObject(envelope['source']) || !isObject(envelope['after'])) return null;
  const { op, source, after } = envelope as { op: string; source: Json; after: Json };
  const sourceTime = integer(source['ts_us']);
  if (sourceTime === null) return null;

  const partitionColumns = columns.filter(({ kind }) => kind === 'partition_key');
  const clustering = columns.filter(({ kind }) => kind === 'clustering');
  const keyValue = (column: ProofColumn, index: number): string | null => {
    const cell = after[column.name];
    if (!isObject(cell) || cell['value'] === null) return null;
    const value = fromWire(column.type, cell['value']);
    const isBlob = column.type.kind === 'scalar' && column.type.name === 'blob';
    return isBlob && column.kind === 'partition_key' && partitionColumns.length > 1 && value !== null
      ? componentOf(value, index, partitionColumns.length)
      : value;
  };
  const partition = partitionColumns.map(keyValue);
  const clusteringValues = clustering.map(keyValue);
  const whole = clusteringValues.every((value) => value !== null);

  const cells = new Map<string, CapturedCell>();
  let deletedAt: bigint | null = null;
  for (const { name, kind, type } of columns) {
    const cell = after[name];
    if (!isObject(cell)) continue;
    const until = integer(cell['deletion_ts']);
    if (op === 'd') {
      deletedAt ??= until;
      continue;
    }
    if (kind === 'regular') cells.set(name, { value: readable(() => fromWire(type, cell['value'])), expiryUs: until });
  }
  const kinds: Readonly<Record<string, CapturedEvent['kind']>> = {
    i: 'insert',
    u: 'update',
    d: whole && clustering.length > 0 ? 'row-delete' : 'partition-delete',
    r: 'range-delete',
  };
  const kind = kinds[op];
  if (kind === undefined) return null;
  return {
    kind,
    partition: JSON.stringify(partition),
    row: whole ? JSON.stringify([...partition, ...clusteringValues]) : null,
    timeUs: op === 'd' ? (deletedAt ?? sourceTime) : sourceTime,
    cells,
    place: `${record.topic}/${record.partition}@${record.offset}`,
    partitionNumber: record.partition,
    offset: record.offset,
    file: String(source['file']),
    text,
  };
}

function readable(read: () => string | null): string | null | undefined {
  try {
    return read();
  } catch (error) {
    if (error instanceof Unreadable) return undefined;
    throw error;
  }
}

/** Which change an event is: equal for every delivery of it, different for every other change. */
export function changeOf(event: CapturedEvent): string {
  const kind = event.kind === 'insert' || event.kind === 'update' ? 'write' : event.kind;
  const bounds = kind === 'range-delete' ? rangeText(event.text) : '';
  return [kind, event.timeUs, event.row ?? event.partition, bounds].join('\n');
}

/** The bounds of a range delete, their values in one order: they come in that of a hash table. */
function rangeText(text: string): string {
  const { after } = parse(text) as {
    after: Record<string, { method: string; values: { name: string; value: string }[] }>;
  };
  return JSON.stringify(
    ['_range_start', '_range_end'].map((side) => {
      const bound = after[side];
      return [bound?.method, (bound?.values ?? []).map(({ name, value }) => [name, value]).toSorted()];
    }),
  );
}
