/** What a Debezium Cassandra event says about *which* change it is: as much of the envelope as accounting needs. */

/** One change, told apart from every other by plain text; null where the record is no event. */
export function changeIdentity(topic: string, key: Buffer | null, value: Buffer | null): string | null {
  if (key === null || value === null) return null;
  try {
    const envelope = JSON.parse(value.toString('utf8')) as Envelope;
    const kind = KINDS[envelope.op];
    const time = kind === 'delete' ? deleteTime(envelope) : envelope.source.ts_us;
    if (kind === undefined || !Number.isSafeInteger(time)) return null;
    const bounds =
      kind === 'range'
        ? JSON.stringify([boundOf(envelope.after, '_range_start'), boundOf(envelope.after, '_range_end')])
        : '';
    return [topic, kind, time, key.toString('utf8'), bounds].join('\n');
  } catch {
    return null;
  }
}

interface Cell {
  readonly value: unknown;
  readonly deletion_ts: number | null;
}

interface Bound {
  readonly method: string;
  readonly values: readonly { readonly name: string; readonly value: string }[];
}

interface Envelope {
  readonly op: string;
  readonly source: { readonly ts_us: number };
  readonly after: Readonly<Record<string, Cell | Bound | null>>;
}

/** An insert and an update of one row at one time are one change: both write it. */
const KINDS: Readonly<Record<string, 'write' | 'delete' | 'range'>> = {
  i: 'write',
  u: 'write',
  d: 'delete',
  r: 'range',
};

/** A delete's own time stands in its cells; `source.ts_us` is the newest of the whole mutation. */
function deleteTime({ after, source }: Envelope): number {
  for (const cell of Object.values(after)) {
    if (cell !== null && 'deletion_ts' in cell && cell.deletion_ts !== null) return cell.deletion_ts;
  }
  return source.ts_us;
}

/** A bound with its values in one order: they arrive in that of a hash table. */
function boundOf(after: Envelope['after'], side: string): unknown {
  const { method, values } = after[side] as Bound;
  return [method, values.map(({ name, value }) => [name, value]).sort()];
}
