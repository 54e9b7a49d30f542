import { createRequire } from 'node:module';
import type cassandra from 'cassandra-driver';
import { LockstepError } from '../shared/errors.ts';

/**
 * Rows as the bytes that came over the wire ⚠: the driver's decoding is not exact (decimal `1E+3` as `1.`, empty int as
 * null, far timestamps as Invalid Date), and it has no switch to leave it out. So its parser is taught that an answer
 * whose first column has this name is not to be decoded; every other answer is read as always. The driver's version is
 * pinned, and an answer that was decoded after all is refused.
 */
export const RAW_ALIAS = 'lockstep_raw';

/** What the driver's parser has, as far as it is used here. */
interface Parser {
  encoder: { readonly decode: (bytes: Buffer | null) => unknown };
  parseRows: (this: Parser, frame: Frame, reader: unknown) => unknown;
}

interface Frame {
  readonly meta?: { readonly columns?: readonly { readonly name: string }[] };
}

const UNDECODED: Parser['encoder'] = { decode: (bytes) => bytes };

function teach(parser: Parser): void {
  const parseRows = parser.parseRows;
  parser.parseRows = function (frame, reader) {
    if (frame.meta?.columns?.[0]?.name !== RAW_ALIAS) return parseRows.call(this, frame, reader);
    const { encoder } = this;
    this.encoder = UNDECODED;
    try {
      return parseRows.call(this, frame, reader);
    } finally {
      this.encoder = encoder;
    }
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
  return rows.map((row) => {
    const values = row.values() as unknown[];
    if (values.every((value) => value === null || Buffer.isBuffer(value))) return values;
    throw new LockstepError('the driver decoded rows that were asked for as bytes', {
      code: 'BUG_RAW_ROWS',
      kind: 'bug',
      remedy: 'report it with the version of cassandra-driver',
    });
  });
}
