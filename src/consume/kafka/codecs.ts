/**
 * Compression codecs for kafkajs, which brings only gzip and that without a limit: gzip, snappy, lz4 and zstd, each with
 * a limit on what one record batch may unpack to (a 30 kB batch of zstd can hold gigabytes). The registry is global in
 * kafkajs, so this is done once per process.
 */
import { promisify } from 'node:util';
import { gunzip, gzip, zstdCompress, zstdDecompress } from 'node:zlib';
import kafkajs from 'kafkajs';
import { compressFrame, decompressFrame } from 'lz4-napi';
import { messageOf } from '../../shared/errors.ts';
import { CodecError } from './codec-error.ts';
import { lz4UnpackedBound } from './lz4-bound.ts';
import { packSnappy, unpackSnappy } from './snappy-framing.ts';
import { unreadableRecords } from './unreadable-records.ts';

/** 32 MiB: thirty times what a broker takes by default, and small beside the memory that a service is given. */
const DEFAULT_MAX_UNPACKED_BYTES = 32 * 1024 * 1024;

interface Codec {
  readonly pack: (input: Buffer) => Promise<Buffer>;
  readonly unpack: (input: Buffer, maxBytes: number) => Promise<Buffer>;
}

/** Node's zlib and zstd both end with this code at `maxOutputLength`. */
function zlibError(codec: string, maxBytes: number): (error: unknown) => never {
  return (error) => {
    if ((error as NodeJS.ErrnoException).code === 'ERR_BUFFER_TOO_LARGE') throw CodecError.tooLarge(codec, maxBytes);
    throw error;
  };
}

const gzipAsync = promisify(gzip);
const gunzipAsync = promisify<Buffer, { maxOutputLength: number }, Buffer>(gunzip);
const zstdAsync = promisify(zstdCompress);
const unzstdAsync = promisify<Buffer, { maxOutputLength: number }, Buffer>(zstdDecompress);

/** The codecs by kafkajs's number. */
const codecs: Readonly<Record<number, Codec>> = {
  [kafkajs.CompressionTypes.GZIP]: {
    pack: (input) => gzipAsync(input),
    unpack: (input, maxBytes) => gunzipAsync(input, { maxOutputLength: maxBytes }).catch(zlibError('gzip', maxBytes)),
  },
  [kafkajs.CompressionTypes.Snappy]: { pack: packSnappy, unpack: unpackSnappy },
  [kafkajs.CompressionTypes.LZ4]: {
    pack: (input) => compressFrame(input),
    async unpack(input, maxBytes) {
      if (lz4UnpackedBound(input) > maxBytes) throw CodecError.tooLarge('lz4', maxBytes);
      return decompressFrame(input);
    },
  },
  [kafkajs.CompressionTypes.ZSTD]: {
    pack: (input) => zstdAsync(input),
    unpack: (input, maxBytes) => unzstdAsync(input, { maxOutputLength: maxBytes }).catch(zlibError('zstd', maxBytes)),
  },
};

/** Registers all codecs with kafkajs. `maxUnpackedBytes` bounds one record batch. */
export function registerCodecs(maxUnpackedBytes: number = DEFAULT_MAX_UNPACKED_BYTES): void {
  for (const [type, codec] of Object.entries(codecs)) {
    const registered = {
      // kafkajs passes its Encoder, whose `buffer` is what was encoded.
      compress: (encoder: { readonly buffer: Buffer }) => codec.pack(encoder.buffer),
      async decompress(buffer: Buffer): Promise<Buffer> {
        try {
          return await codec.unpack(buffer, maxUnpackedBytes);
        } catch (error) {
          const code = error instanceof CodecError ? error.code : 'DECOMPRESSION_FAILED';
          return unreadableRecords({ code, message: messageOf(error) });
        }
      },
    };
    (kafkajs.CompressionCodecs as Record<string, unknown>)[type] = () => registered;
  }
}
