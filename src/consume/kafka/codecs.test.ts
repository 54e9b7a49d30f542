import { deflateRawSync, gzipSync, zstdCompressSync } from 'node:zlib';
import fc from 'fast-check';
import kafkajs from 'kafkajs';
import { compressFrame } from 'lz4-napi';
import { compressSync } from 'snappy';
import { beforeAll, describe, expect, it } from 'vitest';
import { registerCodecs } from './codecs.ts';
import { lz4UnpackedBound } from './lz4-bound.ts';
import { packSnappy, unpackSnappy } from './snappy-framing.ts';
import { unreadableOf, unreadableRecords } from './unreadable-records.ts';

const LIMIT = 100_000;
const TYPES = { gzip: 1, snappy: 2, lz4: 3, zstd: 4 } as const;

interface Registered {
  compress(encoder: { buffer: Buffer }): Promise<Buffer>;
  decompress(buffer: Buffer): Promise<Buffer>;
}

function codec(name: keyof typeof TYPES): Registered {
  const make = (kafkajs.CompressionCodecs as unknown as Record<number, () => Registered>)[TYPES[name]];
  return make!();
}

/** What kafkajs's decoder takes as the first record: it knows only `slice`. */
function firstRecord(answer: { slice: (from: number) => Uint8Array }): string {
  return Buffer.from(answer.slice(5)).toString();
}

beforeAll(() => registerCodecs(LIMIT));

for (const name of ['gzip', 'snappy', 'lz4', 'zstd'] as const) {
  describe(name, () => {
    it('unpacks what it packed, of any size up to the limit', async () => {
      await fc.assert(
        fc.asyncProperty(fc.uint8Array({ maxLength: 2_000 }), fc.integer({ min: 0, max: 50 }), async (bytes, times) => {
          const input = Buffer.concat(Array.from({ length: times }, () => Buffer.from(bytes)));
          const packed = await codec(name).compress({ buffer: input });
          expect((await codec(name).decompress(packed)).equals(input)).toBe(true);
        }),
        { numRuns: 50 },
      );
    });

    it('refuses a bomb, and carries the reason to the record that kafkajs would read', async () => {
      const packed = await codec(name).compress({ buffer: Buffer.alloc(50 * LIMIT) });
      expect(packed.length).toBeLessThan(5 * LIMIT);
      const answer = await codec(name).decompress(packed);
      expect(answer.length).toBe(0);
      expect(firstRecord(answer)).toContain('DECOMPRESSION_LIMIT');
    });

    it('answers damaged bytes with a reason, not with an exception', async () => {
      const answer = await codec(name).decompress(Buffer.from('this is no packed record batch'));
      expect(firstRecord(answer)).toContain('DECOMPRESSION_FAILED');
    });
  });
}

it('snappy: reads a bare block as well as the framed form of Java clients', async () => {
  const input = Buffer.from('x'.repeat(70_000));
  expect((await unpackSnappy(compressSync(input), LIMIT)).equals(input)).toBe(true);
  const framed = await packSnappy(input);
  expect(framed.subarray(0, 8)).toEqual(Buffer.from([0x82, 0x53, 0x4e, 0x41, 0x50, 0x50, 0x59, 0]));
  expect((await unpackSnappy(framed, LIMIT)).equals(input)).toBe(true);
});

it('lz4: the bound is never below what a frame really unpacks to', async () => {
  await fc.assert(
    fc.asyncProperty(fc.uint8Array({ maxLength: 3_000 }), fc.integer({ min: 0, max: 60 }), async (bytes, times) => {
      const input = Buffer.concat(Array.from({ length: times }, () => Buffer.from(bytes)));
      expect(lz4UnpackedBound(await compressFrame(input))).toBeGreaterThanOrEqual(input.length);
    }),
    { numRuns: 50 },
  );
});

it('gzip and zstd answer the members that they know only', async () => {
  for (const [name, packed] of [
    ['gzip', deflateRawSync(Buffer.from('raw'))],
    ['gzip', zstdCompressSync(Buffer.from('zstd'))],
    ['zstd', gzipSync(Buffer.from('gzip'))],
  ] as const) {
    expect((await codec(name).decompress(packed)).length).toBe(0);
  }
});

it('no record of a topic can pretend to be unreadable', () => {
  expect(unreadableOf(Buffer.alloc(24), Buffer.from('{"code":"X","message":""}'))).toBeNull();
  expect(unreadableOf(null, null)).toBeNull();
  expect(unreadableRecords({ code: 'X', message: 'y' }).length).toBe(0);
});
