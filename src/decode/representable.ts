import { rereadPolicy } from '../catalog/reread-policy.ts';
import { keyColumns, type Column, type Table } from '../catalog/table.ts';
import { valueMapping } from '../catalog/type-mapping.ts';
import type { ChangeEvent } from '../change/change-event.ts';
import { hinted } from '../change/hint.ts';
import type { Decoded, Decoder, Refusal, SourceRecord } from './record.ts';

interface Checked {
  readonly name: string;
  readonly check: NonNullable<ReturnType<typeof valueMapping>['check']>;
}

/** Columns whose target can't hold every value of the source type, by position; the others cost nothing. */
function checkedColumns(columns: readonly Column[]): readonly (readonly [number, Checked])[] {
  return columns.flatMap((column, i): [number, Checked][] => {
    const { check } = valueMapping(column);
    return check === null ? [] : [[i, { name: column.name, check }]];
  });
}

/**
 * "Exact or refused" (DESIGN §4): refuses a change with a value that its target column can't hold exactly. Decided per
 * change, before folding, so that one such value costs one record and not the batch that it is folded into.
 *
 * Where the table has a source, the change is taken apart first: values that only a read can tell are not judged here.
 */
export function representableOnly(table: Table, decoder: Decoder): Decoder {
  const policy = rereadPolicy(table);
  const keys = checkedColumns(keyColumns(table));
  const clustering = checkedColumns(table.clustering);
  const cells = checkedColumns(table.regular);

  const problemIn = (
    columns: readonly (readonly [number, Checked])[],
    valueAt: (position: number) => string | null | undefined,
    path: string,
  ): Refusal | null => {
    for (const [position, { name, check }] of columns) {
      const value = valueAt(position);
      if (value == null) continue;
      const problem = check(value);
      if (problem !== null) return { code: problem.code, message: problem.message, path: `${path}.${name}` };
    }
    return null;
  };

  const problemOf = (change: ChangeEvent): Refusal | null => {
    switch (change.kind) {
      case 'write':
        return (
          problemIn(keys, (i) => change.key.values[i], 'after') ??
          problemIn(cells, (i) => change.cells[i]?.value, 'after')
        );
      case 'row-delete':
        return problemIn(keys, (i) => change.key.values[i], 'after');
      case 'partition-delete':
        return problemIn(keys, (i) => change.partition.values[i], 'after');
      case 'range-delete':
        return (
          problemIn(keys, (i) => change.partition.values[i], 'after') ??
          problemIn(clustering, (i) => change.start.values[i], '_range_start') ??
          problemIn(clustering, (i) => change.end.values[i], '_range_end')
        );
    }
  };

  return {
    decode(record: SourceRecord): Decoded {
      const decoded = decoder.decode(record);
      if (decoded.kind !== 'change') return decoded;
      const change = policy === null ? decoded.change : hinted(decoded.change, policy);
      // What is ambiguous and can't be read again is set aside as a whole, with its own reason.
      if (change.ambiguity !== null && change.hint === undefined) return decoded;
      const refusal = problemOf(change);
      if (refusal !== null) return { kind: 'refused', refusal, change, contents: decoded.contents };
      return change === decoded.change ? decoded : { ...decoded, change };
    },
  };
}
