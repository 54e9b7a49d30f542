/** A part of the source that a scan passed over, as a person can look for it. Pure. */
import type { Column, Table } from '../catalog/table.ts';
import { deserialise } from '../change/values/value-from-bytes.ts';
import type { LockstepError } from '../shared/errors.ts';
import type { Stretch } from './scan-queries.ts';

export interface UnreadPart {
  /** `partition (7), c behind 5 up to 9`, or `token 123`. */
  readonly where: string;
  readonly error: LockstepError;
}

export function unreadPart(table: Table, { tokens, slice }: Stretch, error: LockstepError): UnreadPart {
  if (slice === null) {
    const where = tokens === null ? 'one partition' : `token ${tokens.upTo}`;
    return { where, error };
  }
  const { of, fixed, behind, upTo } = slice;
  const own = typeof of === 'bigint' ? `token ${of}` : `partition (${shown(table.partitionKey, of).join(', ')})`;
  const equal = fixed.map((value, i) => `${table.clustering[i]?.name ?? ''} = ${shownOne(table.clustering[i], value)}`);
  const column = table.clustering[fixed.length];
  const bounds = [
    ...(behind === null ? [] : [`behind ${shownOne(column, behind)}`]),
    ...(upTo === null ? [] : [`up to ${shownOne(column, upTo)}`]),
  ];
  const rest = bounds.length === 0 ? [] : [`${column?.name ?? ''} ${bounds.join(' ')}`];
  return { where: [own, ...equal, ...rest].join(', '), error };
}

function shown(columns: readonly Column[], values: readonly Buffer[]): readonly string[] {
  return columns.map((column, i) => shownOne(column, values[i] ?? Buffer.alloc(0)));
}

function shownOne(column: Column | undefined, value: Buffer): string {
  const text = column === undefined ? null : deserialise(column.type, value);
  return text ?? `0x${value.toString('hex')}`;
}
