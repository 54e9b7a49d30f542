import { createHash } from 'node:crypto';

/**
 * SHA-256 that the index of dead letters keeps, as documented: key and value, each behind its length in 32 bits, with
 * 0xffffffff for the length of null.
 */
export function recordHash(key: Buffer | null, value: Buffer | null): string {
  const hash = createHash('sha256');
  for (const part of [key, value]) {
    const length = Buffer.alloc(4);
    length.writeUInt32BE(part?.length ?? 0xffff_ffff);
    hash.update(length).update(part ?? Buffer.alloc(0));
  }
  return hash.digest('hex');
}
