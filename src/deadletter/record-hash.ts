import { createHash } from 'node:crypto';

/** Marks a null key or value; no length can be it. */
const NULL_LENGTH = 0xffffffff;

/**
 * SHA-256 over a record's key and value, each behind its 32-bit length, so that no two records share the bytes that are
 * hashed (`ab`+`c` is not `a`+`bc`, null is not empty). Recognises a record again: a topic that was deleted and created
 * anew, a copy in the DLQ (DESIGN §6, §8).
 */
export function hashOfRecord(key: Buffer | null, value: Buffer | null): Buffer {
  const hash = createHash('sha256');
  for (const part of [key, value]) {
    const length = Buffer.allocUnsafe(4);
    length.writeUInt32BE(part === null ? NULL_LENGTH : part.length);
    hash.update(length);
    if (part !== null) hash.update(part);
  }
  return hash.digest();
}
