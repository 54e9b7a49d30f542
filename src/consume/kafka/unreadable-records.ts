/**
 * Carries "this record batch can't be unpacked" through kafkajs to the one partition that it concerns.
 *
 * kafkajs gives a codec no coordinates, and an exception of a codec fails the whole fetch: one decompression bomb would
 * stop every partition of a broker, for ever. So a failed codec answers with this instead of a buffer: it looks like as
 * many records as kafkajs cares to read, each with a key that no producer can know and the reason as its value. The
 * adapter recognises the first of them, delivers what was before it, and stops that partition there.
 */
import { randomBytes } from 'node:crypto';
import type { Unreadable } from './kafka-port.ts';

const MARK_BYTES = 24;
/** Drawn at the start of every process, so that no record of a topic can pretend to be one. */
const MARK = randomBytes(MARK_BYTES);
/** Varints are padded to this width, so that every record has the same length and can be found by division. */
const PADDED_BYTES = 5;

function paddedVarint(value: number): Buffer {
  let rest = value * 2; // zig-zag of a value that is not negative
  const bytes = Buffer.alloc(PADDED_BYTES);
  for (let i = 0; i < PADDED_BYTES; i += 1) {
    bytes[i] = (rest % 128) | (i < PADDED_BYTES - 1 ? 0x80 : 0);
    rest = Math.floor(rest / 128);
  }
  return bytes;
}

function recordBody(offsetDelta: number, value: Buffer): Buffer {
  const zero = Buffer.from([0]);
  return Buffer.concat([
    zero, // attributes
    zero, // timestamp delta
    paddedVarint(offsetDelta),
    paddedVarint(MARK_BYTES),
    MARK,
    paddedVarint(value.length),
    value,
    zero, // headers
  ]);
}

/** What a codec returns in place of a buffer that it could not make. */
export function unreadableRecords(problem: Unreadable): Buffer {
  const value = Buffer.from(JSON.stringify(problem));
  const bodyBytes = recordBody(0, value).length;
  const prefix = paddedVarint(bodyBytes);
  const recordBytes = PADDED_BYTES + bodyBytes;
  // kafkajs's Decoder reads varints by index and everything else out of what `slice` gives.
  const endless = new Proxy(Buffer.alloc(0), {
    get(target, property) {
      if (property === 'slice') return (from: number) => recordBody(Math.floor(from / recordBytes), value);
      if (typeof property === 'string' && /^\d+$/.test(property)) return prefix[Number(property) % recordBytes];
      return Reflect.get(target, property) as unknown;
    },
  });
  return endless;
}

/** The problem that a record carries, or null for a record that was really in the log. */
export function unreadableOf(key: Buffer | null, value: Buffer | null): Unreadable | null {
  if (key?.length !== MARK_BYTES || value === null || !key.equals(MARK)) return null;
  return JSON.parse(value.toString()) as Unreadable;
}
