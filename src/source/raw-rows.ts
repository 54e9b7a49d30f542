import { createRequire } from 'node:module';
import type cassandra from 'cassandra-driver';
import { LockstepError } from '../shared/errors.ts';

/**
 * Rows as the bytes that came over the wire ⚠: the driver's decoding is not exact (decimal `1E+3` as `1.`, empty int as
 * null, far timestamps as Invalid Date), and it has no switch to leave it out. So its parser is taught that an answer
 * whose first column has this name is not to be decoded: a row of it is an array of bytes, which is also several times
 * cheaper than an object with a property for each column. Every other answer is read as always. The driver's version is
 * pinned, and an answer that was decoded after all is refused.
 */
export const RAW_ALIAS = 'lockstep_raw';

/** What the driver's parser has, as far as it is used here. */
interface Parser {
  parseRows: (this: Parser, frame: Frame, reader: Reader) => unknown;
  push(item: unknown): unknown;
  handleParsingError(error: unknown, frame: Frame, reader: Reader, offset?: number, rowIndex?: number): unknown;
}

interface Reader {
  readonly offset: number;
  readInt(): number;
  readBytes(): Buffer | null;
}

interface Frame {
  readonly meta?: { readonly columns?: readonly { readonly name: string }[] };
  readonly header: unknown;
  readonly flagsInfo: unknown;
  readonly parsingError?: unknown;
  readonly byRow?: boolean;
  rowLength?: number;
  rowIndex?: number;
}

/** As the driver's own `parseRows`, without values and objects; a row may go on in the next chunk from the network. */
function parseRaw(parser: Parser, frame: Frame, reader: Reader): unknown {
  if (frame.parsingError !== undefined && frame.parsingError !== null) return undefined;
  const { header, meta, flagsInfo: flags } = frame;
  if (frame.rowLength === undefined) {
    try {
      frame.rowLength = reader.readInt();
    } catch (error) {
      return parser.handleParsingError(error, frame, reader);
    }
  }
  if (frame.rowLength === 0) return parser.push({ header, result: { rows: [], meta, flags } });
  const width = meta?.columns?.length ?? 0;
  for (let i = frame.rowIndex ?? 0; i < frame.rowLength; i++) {
    const { offset } = reader;
    const row = new Array<Buffer | null>(width);
    try {
      for (let j = 0; j < width; j++) row[j] = reader.readBytes();
    } catch (error) {
      return parser.handleParsingError(error, frame, reader, offset, i);
    }
    parser.push({ header, row, meta, byRow: frame.byRow, length: frame.rowLength, flags });
  }
  return undefined;
}

function teach(parser: Parser): void {
  const parseRows = parser.parseRows;
  parser.parseRows = function (frame, reader) {
    const isRaw = frame.meta?.columns?.[0]?.name === RAW_ALIAS && frame.byRow !== true;
    return isRaw ? parseRaw(this, frame, reader) : parseRows.call(this, frame, reader);
  };
}

const { Parser: driverParser } = createRequire(import.meta.url)('cassandra-driver/lib/streams.js') as {
  readonly Parser: { readonly prototype: Parser };
};
teach(driverParser.prototype);

export type RawRow = readonly (Buffer | null)[];

/**
 * The rows of one prepared query whose first column is called RAW_ALIAS, each as the bytes of its columns in their order.
 * Parameters go as bytes too: the driver sends a Buffer as it is.
 *
 * @throws what the driver throws, and LockstepError `bug` where the driver decoded the answer.
 */
export async function rawRows(
  client: cassandra.Client,
  query: string,
  parameters: readonly Buffer[],
  options: cassandra.QueryOptions = {},
): Promise<readonly RawRow[]> {
  const answer = await client.execute(query, [...parameters], { ...options, prepare: true });
  return assertRaw(answer.rows);
}

/** The rows of an answer as bytes. @throws {LockstepError} `bug` where the driver decoded it. */
export function assertRaw(rows: readonly cassandra.types.Row[]): readonly RawRow[] {
  if (rows.every((row) => Array.isArray(row))) return rows;
  throw new LockstepError('the driver decoded rows that were asked for as bytes', {
    code: 'BUG_RAW_ROWS',
    kind: 'bug',
    remedy: 'report it with the version of cassandra-driver',
  });
}
