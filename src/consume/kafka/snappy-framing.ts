/**
 * Kafka's snappy is not bare snappy: Java clients write snappy-java's ("xerial") stream, a header and length-prefixed
 * blocks; some other producers write one bare block. Both are read, the Java form is written.
 */
import { compress, uncompress } from 'snappy';
import { CodecError } from './codec-error.ts';

const MAGIC = Buffer.from([0x82, 0x53, 0x4e, 0x41, 0x50, 0x50, 0x59, 0x00]);
const HEADER_BYTES = 16;
const BLOCK_BYTES = 32 * 1024;

/** The length that a bare block says it unpacks to: a varint at its front. Read before anything is allocated. */
function unpackedLength(block: Buffer): number {
  let length = 0;
  for (let i = 0; i < 5; i += 1) {
    const byte = block[i];
    if (byte === undefined) break;
    length += (byte & 0x7f) * 2 ** (7 * i);
    if (byte < 0x80) return length;
  }
  throw new CodecError('snappy: damaged block header');
}

function blocksOf(input: Buffer): Buffer[] {
  if (!input.subarray(0, MAGIC.length).equals(MAGIC)) return [input];
  const blocks: Buffer[] = [];
  let at = HEADER_BYTES;
  while (at < input.length) {
    if (at + 4 > input.length) throw new CodecError('snappy: truncated block length');
    const length = input.readInt32BE(at);
    at += 4;
    if (length < 0 || at + length > input.length) throw new CodecError('snappy: truncated block');
    blocks.push(input.subarray(at, at + length));
    at += length;
  }
  return blocks;
}

/** Unpacks both forms; refuses before unpacking when the blocks say that they exceed `maxBytes`. */
export async function unpackSnappy(input: Buffer, maxBytes: number): Promise<Buffer> {
  const blocks = blocksOf(input);
  const total = blocks.reduce((sum, block) => sum + unpackedLength(block), 0);
  if (total > maxBytes) throw CodecError.tooLarge('snappy', maxBytes);
  // Buffer.from copies nothing of a Buffer's memory that is one already; snappy answers Buffers unless asked for text.
  const parts = await Promise.all(blocks.map(async (block) => (await uncompress(block, { asBuffer: true })) as Buffer));
  return parts.length === 1 && parts[0] !== undefined ? parts[0] : Buffer.concat(parts);
}

/** Packs as Java clients do. */
export async function packSnappy(input: Buffer): Promise<Buffer> {
  const header = Buffer.alloc(HEADER_BYTES);
  MAGIC.copy(header);
  header.writeInt32BE(1, 8);
  header.writeInt32BE(1, 12);
  const parts: Buffer[] = [header];
  for (let at = 0; at < input.length; at += BLOCK_BYTES) {
    const block = await compress(input.subarray(at, at + BLOCK_BYTES));
    const length = Buffer.alloc(4);
    length.writeInt32BE(block.length);
    parts.push(length, block);
  }
  return Buffer.concat(parts);
}
