/**
 * How large an LZ4 frame can become, from its headers alone: lz4-napi takes no output limit, so a bomb must be refused
 * before it is unpacked. Format: https://github.com/lz4/lz4/blob/dev/doc/lz4_Frame_format.md
 */
import { CodecError } from './codec-error.ts';

const MAGIC = 0x184d2204;
const MIN_FRAME_BYTES = 7;
/** Bits of the FLG byte. */
const HAS_DICTIONARY_ID = 0x01;
const HAS_CONTENT_CHECKSUM = 0x04;
const HAS_CONTENT_SIZE = 0x08;
const HAS_BLOCK_CHECKSUM = 0x10;
const UNCOMPRESSED_BLOCK = 0x8000_0000;
/** A compressed LZ4 block grows at most 255-fold. */
const MAX_RATIO = 255;

function blockMaxBytes(descriptor: number): number {
  // BD bits 4–6: 4 = 64 KiB, 5 = 256 KiB, 6 = 1 MiB, 7 = 4 MiB.
  const size = (descriptor >> 4) & 0x07;
  if (size < 4) throw new CodecError('lz4: unknown block size');
  return 2 ** (8 + 2 * size);
}

/** An upper bound of the unpacked bytes of all frames in `input`. Throws where the framing is damaged. */
export function lz4UnpackedBound(input: Buffer): number {
  let bound = 0;
  let at = 0;
  while (at < input.length) {
    if (input.length - at < MIN_FRAME_BYTES || input.readUInt32LE(at) !== MAGIC)
      throw new CodecError('lz4: not a frame');
    const flags = input.readUInt8(at + 4);
    const maxBlock = blockMaxBytes(input.readUInt8(at + 5));
    at += 6 + ((flags & HAS_CONTENT_SIZE) === 0 ? 0 : 8) + ((flags & HAS_DICTIONARY_ID) === 0 ? 0 : 4) + 1;
    for (;;) {
      if (at + 4 > input.length) throw new CodecError('lz4: truncated frame');
      const word = input.readUInt32LE(at);
      at += 4;
      if (word === 0) break;
      const length = word % UNCOMPRESSED_BLOCK;
      bound += word >= UNCOMPRESSED_BLOCK ? length : Math.min(maxBlock, length * MAX_RATIO);
      at += length + ((flags & HAS_BLOCK_CHECKSUM) === 0 ? 0 : 4);
    }
    if ((flags & HAS_CONTENT_CHECKSUM) !== 0) at += 4;
  }
  return bound;
}
