/**
 * What a value *is*, apart from how a database prints it. Both sides are brought to this form by their own readers
 * (cassandra-value.ts, postgres-value.ts); equal values then have equal text, different values different text.
 *
 * Nothing here comes from the service's rooms: a mistake there must not be able to hide itself here.
 */

/** A text that the proof can't read: the verdict about its value is neither "equal" nor "different". */
export class Unreadable extends Error {}

/** Any integer. */
export function plainInteger(text: string): string {
  if (!/^-?\d+$/.test(text)) throw new Unreadable(`${text} is no integer`);
  return BigInt(text).toString();
}

/**
 * A decimal as unscaled digits and scale, because 1.0 and 1.00 are two values. PostgreSQL has no negative scale: `1E+3`
 * is written out there, so it is here.
 */
export function plainDecimal(text: string): string {
  const match = /^(-?)(\d+)(?:\.(\d+))?(?:[eE]([+-]?\d+))?$/.exec(text);
  if (match === null) throw new Unreadable(`${text} is no decimal`);
  const [, sign = '', whole = '', fraction = '', exponent = '0'] = match;
  let unscaled = BigInt(whole + fraction);
  let scale = fraction.length - Number(exponent);
  if (scale < 0) {
    unscaled *= 10n ** BigInt(-scale);
    scale = 0;
  }
  return `${sign === '-' && unscaled !== 0n ? '-' : ''}${unscaled}/10^${scale}`;
}

function numberOf(text: string): number {
  switch (text) {
    case 'NaN':
      return NaN;
    case 'Infinity':
      return Infinity;
    case '-Infinity':
      return -Infinity;
    default:
      if (!/^-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?$/.test(text)) throw new Unreadable(`${text} is no floating-point number`);
      return Number(text);
  }
}

/** A double by its bits; -0 is not 0. Every NaN is one. */
export function plainDouble(text: string): string {
  const value = numberOf(text);
  if (Number.isNaN(value)) return 'NaN';
  const bits = Buffer.alloc(8);
  bits.writeDoubleBE(value);
  return bits.toString('hex');
}

/** A 32-bit float by its bits. */
export function plainFloat(text: string): string {
  const value = numberOf(text);
  if (Number.isNaN(value)) return 'NaN';
  const bits = Buffer.alloc(4);
  bits.writeFloatBE(value);
  return bits.toString('hex');
}

/** Milliseconds since the epoch. The years 1 to 9999 in UTC, which is what the demo writes. */
export function plainTimestamp(text: string): string {
  const match = /^(\d{4}-\d\d-\d\d)[ T](\d\d:\d\d:\d\d)(?:\.(\d{1,6}))?(?:Z|\+00(?::?00)?)$/.exec(text);
  const [, day = '', clock = '', fraction = ''] = match ?? [];
  const digits = fraction.padEnd(6, '0');
  const ms = match === null || !digits.endsWith('000') ? NaN : Date.parse(`${day}T${clock}.${digits.slice(0, 3)}Z`);
  if (Number.isNaN(ms)) throw new Unreadable(`${text} is no timestamp of the years 1 to 9999`);
  return String(ms);
}

/** A day of the years 1 to 9999. */
export function plainDate(text: string): string {
  if (!/^\d{4}-\d\d-\d\d$/.test(text) || text.startsWith('0000'))
    throw new Unreadable(`${text} is no date of the years 1 to 9999`);
  return text;
}

/** Nanoseconds of the day. */
export function plainTime(text: string): string {
  const match = /^(\d\d):(\d\d):(\d\d)(?:\.(\d{1,9}))?$/.exec(text);
  if (match === null) throw new Unreadable(`${text} is no time of day`);
  const [, hours, minutes, seconds, fraction = ''] = match;
  const whole = BigInt(Number(hours) * 3600 + Number(minutes) * 60 + Number(seconds));
  return String(whole * 1_000_000_000n + BigInt(fraction.padEnd(9, '0')));
}

export function plainUuid(text: string): string {
  const lower = text.toLowerCase();
  if (!/^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/.test(lower))
    throw new Unreadable(`${text} is no uuid`);
  return lower;
}

/** Bytes after a prefix (`0x` or `\x`) in hexadecimal. */
export function plainBytes(text: string, prefix: string): string {
  const digits = text.slice(prefix.length).toLowerCase();
  if (!text.startsWith(prefix) || digits.length % 2 !== 0 || !/^[0-9a-f]*$/.test(digits)) {
    throw new Unreadable(`${text.slice(0, 40)} is no ${prefix} text`);
  }
  return digits;
}

/** An address by its bytes: both sides abbreviate IPv6 differently. */
export function plainInet(text: string): string {
  if (text.includes(':')) return `6:${ipv6Groups(text).join(':')}`;
  const octets = text.split('.');
  const valid = octets.length === 4 && octets.every((octet) => /^\d{1,3}$/.test(octet) && Number(octet) < 256);
  if (!valid) throw new Unreadable(`${text} is no address`);
  return `4:${octets.map(Number).join('.')}`;
}

function ipv6Groups(text: string): string[] {
  const [head = '', tail, more] = text.toLowerCase().split('::');
  const groupsOf = (part: string): string[] => (part === '' ? [] : part.split(':'));
  const before = groupsOf(head);
  const after = tail === undefined ? [] : groupsOf(tail);
  const missing = 8 - before.length - after.length;
  const groups = tail === undefined ? before : [...before, ...Array.from({ length: missing }, () => '0'), ...after];
  const valid = more === undefined && groups.length === 8 && groups.every((group) => /^[0-9a-f]{1,4}$/.test(group));
  if (!valid) throw new Unreadable(`${text} is no address`);
  return groups.map((group) => group.padStart(4, '0'));
}

export function plainBoolean(text: string): string {
  if (text !== 'true' && text !== 'false') throw new Unreadable(`${text} is no boolean`);
  return text;
}

/** Parts of a collection in an order of their own: lists, tuples and UDTs. */
export function plainSequence(parts: readonly (string | null)[]): string {
  return JSON.stringify(parts);
}

/** Parts whose order means nothing: sets, and maps as pairs. */
export function plainUnordered(parts: readonly string[]): string {
  return JSON.stringify([...parts].sort());
}
