/**
 * Cassandra's Murmur3Partitioner: the first 64 bits of MurmurHash3 x64/128 (seed 0) over the serialised partition key,
 * with Cassandra's own deviation from the reference: bytes of the tail are sign-extended (`MurmurHash.getBlock` reads
 * them unsigned in the body, `(long) key.get(...)` signed in the tail). Long.MIN_VALUE maps to Long.MAX_VALUE.
 */
const MASK = 0xffffffffffffffffn;
const C1 = 0x87c37b91114253d5n;
const C2 = 0x4cf5ad432745937fn;

function rotl(value: bigint, bits: bigint): bigint {
  return ((value << bits) | (value >> (64n - bits))) & MASK;
}

function fmix(value: bigint): bigint {
  let k = value;
  k ^= k >> 33n;
  k = (k * 0xff51afd7ed558ccdn) & MASK;
  k ^= k >> 33n;
  k = (k * 0xc4ceb9fe1a85ec53n) & MASK;
  k ^= k >> 33n;
  return k;
}

/** Token of a serialised partition key, as Cassandra's `token()` shows it. */
export function murmur3Token(key: Uint8Array): bigint {
  const view = new DataView(key.buffer, key.byteOffset, key.byteLength);
  const length = key.byteLength;
  const blocks = length >> 4;
  let h1 = 0n;
  let h2 = 0n;
  for (let i = 0; i < blocks; i++) {
    let k1 = view.getBigUint64(i * 16, true);
    let k2 = view.getBigUint64(i * 16 + 8, true);
    k1 = (k1 * C1) & MASK;
    k1 = rotl(k1, 31n);
    k1 = (k1 * C2) & MASK;
    h1 ^= k1;
    h1 = rotl(h1, 27n);
    h1 = (h1 + h2) & MASK;
    h1 = (h1 * 5n + 0x52dce729n) & MASK;
    k2 = (k2 * C2) & MASK;
    k2 = rotl(k2, 33n);
    k2 = (k2 * C1) & MASK;
    h2 ^= k2;
    h2 = rotl(h2, 31n);
    h2 = (h2 + h1) & MASK;
    h2 = (h2 * 5n + 0x38495ab5n) & MASK;
  }
  const tail = blocks * 16;
  const rest = length - tail;
  let k1 = 0n;
  let k2 = 0n;
  for (let i = rest - 1; i >= 8; i--) k2 ^= (BigInt(view.getInt8(tail + i)) << BigInt((i - 8) * 8)) & MASK;
  if (rest > 8) {
    k2 = (k2 * C2) & MASK;
    k2 = rotl(k2, 33n);
    k2 = (k2 * C1) & MASK;
    h2 ^= k2;
  }
  for (let i = Math.min(rest, 8) - 1; i >= 0; i--) k1 ^= (BigInt(view.getInt8(tail + i)) << BigInt(i * 8)) & MASK;
  if (rest > 0) {
    k1 = (k1 * C1) & MASK;
    k1 = rotl(k1, 31n);
    k1 = (k1 * C2) & MASK;
    h1 ^= k1;
  }
  h1 ^= BigInt(length);
  h2 ^= BigInt(length);
  h1 = (h1 + h2) & MASK;
  h2 = (h2 + h1) & MASK;
  h1 = fmix(h1);
  h2 = fmix(h2);
  h1 = (h1 + h2) & MASK;
  const token = BigInt.asIntN(64, h1);
  return token === -(2n ** 63n) ? 2n ** 63n - 1n : token;
}

/** A partition key as Cassandra serialises it: one component as it is, several each with a 2-byte length and a 0 byte. */
export function serialisePartitionKey(components: readonly Uint8Array[]): Uint8Array {
  const [only] = components;
  if (components.length === 1 && only !== undefined) return only;
  const total = components.reduce((sum, component) => sum + component.byteLength + 3, 0);
  const bytes = new Uint8Array(total);
  let at = 0;
  for (const component of components) {
    bytes[at] = component.byteLength >> 8;
    bytes[at + 1] = component.byteLength & 0xff;
    bytes.set(component, at + 2);
    at += component.byteLength + 3;
  }
  return bytes;
}
