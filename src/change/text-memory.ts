/** Memory that canonical text is written into as UTF-8, one piece behind the other, instead of strings and small buffers. */

/** Bytes that the memory begins with; what needs more gets twice as many. */
const FIRST_BYTES = 64 * 1024;
const LENGTH_BYTES = 4;
/** A unit of JavaScript's text has three bytes of UTF-8 at most. */
const BYTES_PER_UNIT = 3;
const ZERO = 0x30;
const MINUS = 0x2d;
/** Digits of an integer that a double holds exactly, and a sign. */
const INTEGER_BYTES = 17;
const DIGITS_AT_ONCE = 1_000_000_000;

export class TextMemory {
  #bytes = Buffer.allocUnsafe(FIRST_BYTES);
  /** What was written ends here; to set it back takes back what was written behind. */
  end = 0;

  /** The memory itself: another one after more room was needed. */
  get bytes(): Buffer {
    return this.#bytes;
  }

  room(bytes: number): void {
    if (this.end + bytes <= this.#bytes.length) return;
    const larger = Buffer.allocUnsafe(Math.max(this.#bytes.length * 2, this.end + bytes));
    this.#bytes.copy(larger, 0, 0, this.end);
    this.#bytes = larger;
  }

  byte(value: number): void {
    this.room(1);
    this.#bytes[this.end++] = value;
  }

  uint32(value: number): void {
    this.room(LENGTH_BYTES);
    this.end = this.#bytes.writeUInt32BE(value, this.end);
  }

  text(value: string): void {
    this.room(value.length * BYTES_PER_UNIT);
    this.end += this.#bytes.write(value, this.end, 'utf8');
  }

  /** Bytes of another memory. Most are few: a loop is quicker than a call. */
  copy(from: Uint8Array, start: number, size: number): void {
    this.room(size);
    const bytes = this.#bytes;
    const to = this.end;
    if (size < 256) for (let i = 0; i < size; i++) bytes[to + i] = from[start + i] ?? 0;
    else bytes.set(from.subarray(start, start + size), to);
    this.end = to + size;
  }

  /** As `copy`, of bytes that are all ASCII. False where they are not: nothing is written then. */
  copyAscii(from: Uint8Array, start: number, size: number): boolean {
    this.room(size);
    const bytes = this.#bytes;
    const to = this.end;
    let seen = 0;
    for (let i = 0; i < size; i++) {
      const byte = from[start + i] ?? 0;
      seen |= byte;
      bytes[to + i] = byte;
    }
    if (seen >= 0x80) return false;
    this.end = to + size;
    return true;
  }

  /** The decimal digits of an integer of up to 53 bits. */
  integer(value: number): void {
    this.room(INTEGER_BYTES);
    if (value < 0) {
      this.#bytes[this.end++] = MINUS;
      value = -value;
    }
    if (value < DIGITS_AT_ONCE) {
      this.#digits(value, digitsOf(value));
      return;
    }
    const high = Math.floor(value / DIGITS_AT_ONCE);
    this.#digits(high, digitsOf(high));
    this.#digits(value - high * DIGITS_AT_ONCE, 9);
  }

  /** So many digits of an integer of up to 30 bits, zeros in front. */
  padded(value: number, digits: number): void {
    this.room(digits);
    this.#digits(value, digits);
  }

  #digits(value: number, digits: number): void {
    const bytes = this.#bytes;
    let rest = value | 0;
    for (let at = this.end + digits - 1; at >= this.end; at--) {
      const tenth = (rest / 10) | 0;
      bytes[at] = ZERO + rest - tenth * 10;
      rest = tenth;
    }
    this.end += digits;
  }

  /** What was written from a place on, not copied: valid until more is written. */
  from(start: number): Buffer {
    return this.#bytes.subarray(start, this.end);
  }

  /** The same as text of one character a byte: what maps are keyed by. */
  key(start: number, end: number): string {
    return this.#bytes.toString('latin1', start, end);
  }
}

function digitsOf(value: number): number {
  if (value < 10) return 1;
  if (value < 100) return 2;
  if (value < 1_000) return 3;
  if (value < 10_000) return 4;
  if (value < 100_000) return 5;
  if (value < 1_000_000) return 6;
  if (value < 10_000_000) return 7;
  if (value < 100_000_000) return 8;
  return 9;
}
