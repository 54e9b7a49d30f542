import { createRequire } from 'node:module';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { murmur3Token, serialisePartitionKey } from './token.ts';

interface Tokenizer {
  hash(key: Buffer): { toString(): string };
}

// The driver's own implementation, which it does not export with types.
const tokenizers = createRequire(import.meta.url)('cassandra-driver/lib/tokenizer.js') as {
  Murmur3Tokenizer: new () => Tokenizer;
};
const driver = new tokenizers.Murmur3Tokenizer();

describe('murmur3Token', () => {
  it('agrees with the DataStax driver on any key', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 70 }), (key) => {
        expect(String(murmur3Token(key))).toBe(driver.hash(Buffer.from(key)).toString());
      }),
      { numRuns: 2000 },
    );
  });

  it('gives what Cassandra itself gave for known keys', () => {
    // SELECT token(k) for the int key 1 on Cassandra 5.0.8.
    expect(murmur3Token(Buffer.from([0, 0, 0, 1]))).toBe(-4069959284402364209n);
  });
});

describe('serialisePartitionKey', () => {
  it('frames the components of a composite key', () => {
    expect(Buffer.from(serialisePartitionKey([Buffer.from([1, 2]), Buffer.from('x')])).toString('base64')).toBe(
      'AAIBAgAAAXgA',
    );
  });
});
