/** Rows and observations as JSON: what findings show, what an undo compares with, what the audit log keeps. Pure. */
import type { Cell, Cells, Marker } from '../change/change-event.ts';
import { NEVER } from '../change/write-time.ts';
import type { RowState } from '../change/row-state.ts';
import type { BoundTable } from './bound-table.ts';
import type { Observation } from './row-observation.ts';

interface CellDocument {
  readonly value: string | null;
  /** Left out where no change wrote what stands there. */
  readonly write_time?: string;
  readonly expiry?: string;
  readonly read?: string;
}

/** A row as JSON: canonical text by column name; times in µs as text, because they pass 2^53. */
export interface ImageDocument {
  readonly columns: Readonly<Record<string, CellDocument>>;
  readonly marker?: { readonly write_time: string; readonly expiry?: string };
}

/** What an undo compares with: a row, its absence, and what is in force over it. */
export interface ObservationDocument {
  readonly row: ImageDocument | null;
  readonly memory: ImageDocument | null;
  readonly covered_at: string | null;
}

function cellDocument(cell: Cell | null, value: string | null): CellDocument {
  return {
    value,
    ...(cell === null ? {} : { write_time: String(cell.writeTime) }),
    ...(cell?.expiry == null ? {} : { expiry: String(cell.expiry) }),
    ...(cell?.sequence === undefined ? {} : { read: String(cell.sequence) }),
  };
}

/** The cells of a row, and beside them what stands in columns that no change wrote. */
export function imageDocument(
  table: BoundTable,
  row: { readonly cells: Cells; readonly marker?: Marker | null },
  values: readonly (string | null)[] = row.cells.map((cell) => cell?.value ?? null),
): ImageDocument {
  const columns = table.regular.flatMap(({ column }, i): [string, CellDocument][] => {
    const cell = row.cells[i] ?? null;
    const value = values[i] ?? null;
    return cell === null && value === null ? [] : [[column.name, cellDocument(cell, value)]];
  });
  const { marker } = row;
  return {
    columns: Object.fromEntries(columns),
    ...(marker == null
      ? {}
      : {
          marker: {
            write_time: String(marker.writeTime),
            ...(marker.expiry === null ? {} : { expiry: String(marker.expiry) }),
          },
        }),
  };
}

export function observationDocument(table: BoundTable, { row, memory, coveredAt }: Observation): ObservationDocument {
  return {
    row: row === null ? null : imageDocument(table, row.state, row.values),
    memory: memory === null ? null : imageDocument(table, memory),
    covered_at: coveredAt === NEVER ? null : String(coveredAt),
  };
}

function stateFromDocument(table: BoundTable, { columns, marker }: ImageDocument): RowState {
  return {
    deletedAt: NEVER,
    marker:
      marker === undefined
        ? null
        : { writeTime: BigInt(marker.write_time), expiry: marker.expiry === undefined ? null : BigInt(marker.expiry) },
    cells: table.regular.map(({ column }): Cell | null => {
      const cell = columns[column.name];
      if (cell?.write_time === undefined) return null;
      return {
        writeTime: BigInt(cell.write_time),
        value: cell.value,
        expiry: cell.expiry === undefined ? null : BigInt(cell.expiry),
        ...(cell.read === undefined ? {} : { sequence: BigInt(cell.read) }),
      };
    }),
  };
}

/** Inverse of `observationDocument`. */
export function observationFrom(
  table: BoundTable,
  key: Observation['key'],
  document: ObservationDocument,
): Observation {
  const { row, memory } = document;
  return {
    key,
    row:
      row === null
        ? null
        : {
            state: stateFromDocument(table, row),
            values: table.regular.map(({ column }) => row.columns[column.name]?.value ?? null),
          },
    memory: memory === null ? null : stateFromDocument(table, memory),
    coveredAt: document.covered_at === null ? NEVER : BigInt(document.covered_at),
  };
}
