import { createRequire } from 'node:module';
import type cassandra from 'cassandra-driver';
import { pack, PackedRows, unpack } from '../change/packed-rows.ts';
import { LockstepError } from '../shared/errors.ts';

/**
 * Rows as the bytes that came over the wire ⚠: the driver's decoding is not exact (decimal `1E+3` as `1.`, empty int as
 * null, far timestamps as Invalid Date), and it has no switch to leave it out. So its parser is taught that the rows of an
 * answer whose first column has this name stay as they are, whole: an object for each row and cell was a third of what a
 * comparison cost. Every other answer is read as always. The driver's version is pinned, and an answer that was decoded
 * after all is refused.
 */
export const RAW_ALIAS = 'lockstep_raw';

/** What the driver's parser has, as far as it is used here. */
interface Parser {
  parseRows: (this: Parser, frame: Frame, reader: Reader) => unknown;
  push(item: unknown): unknown;
  handleParsingError(error: unknown, frame: Frame, reader: null): unknown;
}

interface Reader {
  readonly buf: Buffer;
  readonly offset: number;
}

interface Frame {
  readonly meta?: { readonly columns?: readonly { readonly name: string }[] };
  readonly header: unknown;
  readonly flagsInfo: unknown;
  /** Rows are handed on before all have come; nobody asks for that here. */
  readonly byRow?: boolean;
}

const COUNT_BYTES = 4;

/** An answer is parsed when all of it has come; its rows begin with their number. */
function parseRaw(parser: Parser, frame: Frame, { buf, offset }: Reader): unknown {
  const { header, meta, flagsInfo: flags } = frame;
  let rows: PackedRows;
  try {
    rows = unpack(buf, offset + COUNT_BYTES, buf.readInt32BE(offset), meta?.columns?.length ?? 0);
  } catch (error) {
    return parser.handleParsingError(error, frame, null);
  }
  return parser.push({ header, result: { rows, meta, flags } });
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

/**
 * The rows of one prepared query whose first column is called RAW_ALIAS, as the bytes of their columns in order.
 * Parameters go as bytes too: the driver sends a Buffer as it is.
 *
 * @throws what the driver throws, and LockstepError `bug` where the driver decoded the answer.
 */
export async function rawRows(
  client: cassandra.Client,
  query: string,
  parameters: readonly Buffer[],
  options: cassandra.QueryOptions = {},
): Promise<PackedRows> {
  return packedOf(await client.execute(query, [...parameters], { ...options, prepare: true }));
}

/** The rows of an answer as bytes. @throws {LockstepError} `bug` where the driver decoded it. */
export function packedOf(answer: cassandra.types.ResultSet): PackedRows {
  const rows: unknown = answer.rows;
  if (rows instanceof PackedRows) return rows;
  if (Array.isArray(rows) && rows.length === 0) return pack([]);
  throw new LockstepError('the driver decoded rows that were asked for as bytes', {
    code: 'BUG_RAW_ROWS',
    kind: 'bug',
    remedy: 'report it with the version of cassandra-driver',
  });
}
