import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { parseCqlType } from '../parse-cql-type.ts';
import { TextMemory } from '../text-memory.ts';
import { deserialise } from './value-from-bytes.ts';
import { valueWriter } from './value-writer.ts';

/** Values of every type with their bytes, as the real classes serialise them. */
const KNOWN = JSON.parse(
  readFileSync(join(import.meta.dirname, '../../../test/fixtures/debezium-cassandra/cassandra-values.json'), 'utf8'),
) as readonly { readonly type: string; readonly values: readonly { readonly bytes: string }[] }[];

const FRAME = Buffer.from('in front');

/** What the writer leaves of a value that stands somewhere in other bytes; null where it says that there is none. */
function written(type: string, bytes: Buffer): string | null {
  const memory = new TextMemory();
  memory.text('before');
  const at = memory.end;
  const from = Buffer.concat([FRAME, bytes, FRAME]);
  const isValue = valueWriter(parseCqlType(type))(from, FRAME.length, bytes.length, memory);
  expect(memory.bytes.toString('utf8', 0, at)).toBe('before');
  return isValue ? memory.bytes.toString('utf8', at, memory.end) : null;
}

function read(type: string, bytes: Buffer): string | null {
  return deserialise(parseCqlType(type), bytes);
}

const int64 = (value: bigint): Buffer => {
  const bytes = Buffer.alloc(8);
  bytes.writeBigInt64BE(value);
  return bytes;
};

const SIZES: Readonly<Record<string, number>> = {
  tinyint: 1,
  smallint: 2,
  int: 4,
  bigint: 8,
  boolean: 1,
  timestamp: 8,
  date: 4,
  time: 8,
  float: 4,
  double: 8,
  uuid: 16,
  timeuuid: 16,
};
const TYPES = [...Object.keys(SIZES), 'text', 'ascii', 'blob', 'varint', 'decimal', 'inet', 'duration'];

describe('text written out of bytes is the text that is read out of them', () => {
  it('for values of every type, as the real classes serialise them', () => {
    for (const { type, values } of KNOWN) {
      for (const { bytes } of values) {
        const value = Buffer.from(bytes, 'hex');
        expect([type, bytes, written(type, value)]).toEqual([type, bytes, read(type, value)]);
      }
    }
  });

  it.each(TYPES)('%s: for any bytes, values or not', (type) => {
    const size = SIZES[type];
    const any = fc.uint8Array({ maxLength: 24 });
    const bytes =
      size === undefined
        ? any
        : fc.oneof({ weight: 5, arbitrary: fc.uint8Array({ minLength: size, maxLength: size }) }, any);
    fc.assert(
      fc.property(bytes, (value) => {
        const buffer = Buffer.from(value);
        expect(written(type, buffer)).toBe(read(type, buffer));
      }),
      { numRuns: 500 },
    );
  });

  it('at the edges of what is written without BigInt', () => {
    const edges = [2n ** 52n, 2n ** 53n, 10n ** 9n, 10n ** 15n, 86_400_000n, 253_402_300_799_999n, 62_167_219_200_000n];
    const near = fc
      .tuple(fc.constantFrom(...edges, 0n, 2n ** 62n), fc.bigInt(-3n, 3n), fc.constantFrom(1n, -1n))
      .map(([edge, off, sign]) => sign * edge + off);
    fc.assert(
      fc.property(near, (value) => {
        for (const type of ['bigint', 'timestamp', 'time'])
          expect(written(type, int64(value))).toBe(read(type, int64(value)));
      }),
      { numRuns: 500 },
    );
  });

  it('of decimals of any scale', () => {
    const decimal = fc.tuple(fc.integer({ min: -3, max: 25 }), fc.uint8Array({ minLength: 1, maxLength: 9 }));
    fc.assert(
      fc.property(decimal, ([scale, unscaled]) => {
        const bytes = Buffer.alloc(4 + unscaled.length);
        bytes.writeInt32BE(scale);
        bytes.set(unscaled, 4);
        expect(written('decimal', bytes)).toBe(read('decimal', bytes));
      }),
      { numRuns: 2000 },
    );
  });

  it('of texts of any length and script', () => {
    const text = fc.oneof(fc.string({ unit: 'binary', maxLength: 400 }), fc.constant('a'.repeat(200_000)));
    fc.assert(
      fc.property(text, (value) => {
        const bytes = Buffer.from(value, 'utf8');
        expect(written('text', bytes)).toBe(bytes.toString('utf8'));
      }),
    );
  });
});
