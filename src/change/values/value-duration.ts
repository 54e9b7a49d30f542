/**
 * Durations as Cassandra prints them (`org.apache.cassandra.cql3.Duration.toString`): `1y2mo3d4h5ns`, a sign before the
 * whole. Months, days and nanoseconds stay apart, because none of them can be converted into another.
 */

const NS_PER_US = 1_000n;
const NS_PER_MS = 1_000_000n;
const NS_PER_SECOND = 1_000_000_000n;
const NS_PER_MINUTE = 60n * NS_PER_SECOND;
const NS_PER_HOUR = 60n * NS_PER_MINUTE;

const abs = (value: bigint): bigint => (value < 0n ? -value : value);

/** Units from the largest; each takes what fits whole. */
function inUnits(value: bigint, units: readonly (readonly [string, bigint])[]): string {
  let rest = value;
  let text = '';
  for (const [unit, size] of units) {
    const count = rest / size;
    if (count === 0n) continue;
    text += `${count}${unit}`;
    rest -= count * size;
  }
  return text;
}

function durationText(months: bigint, days: bigint, nanoseconds: bigint): string {
  const sign = months < 0n || days < 0n || nanoseconds < 0n ? '-' : '';
  return (
    sign +
    inUnits(abs(months), [
      ['y', 12n],
      ['mo', 1n],
    ]) +
    inUnits(abs(days), [['d', 1n]]) +
    inUnits(abs(nanoseconds), [
      ['h', NS_PER_HOUR],
      ['m', NS_PER_MINUTE],
      ['s', NS_PER_SECOND],
      ['ms', NS_PER_MS],
      ['us', NS_PER_US],
      ['ns', 1n],
    ])
  );
}

/** One variable-length integer (`VIntCoding`): the leading ones of the first byte count the bytes that follow; zigzag. */
function vint(bytes: Buffer, at: number): { readonly value: bigint; readonly next: number } | null {
  const first = bytes[at];
  if (first === undefined) return null;
  const extra = Math.clz32(~(first << 24) >>> 0);
  const length = Math.min(extra, 8);
  if (at + length >= bytes.length) return null;
  let value = BigInt(length === 8 ? 0 : first & (0xff >> (length + 1)));
  for (let i = 1; i <= length; i += 1) value = (value << 8n) | BigInt(bytes[at + i] ?? 0);
  return { value: value & 1n ? -(value >> 1n) - 1n : value >> 1n, next: at + length + 1 };
}

/** Text of a serialised duration: three variable-length integers. Null where the bytes are none. */
export function durationFromBytes(bytes: Buffer): string | null {
  const months = vint(bytes, 0);
  const days = months === null ? null : vint(bytes, months.next);
  const nanoseconds = days === null ? null : vint(bytes, days.next);
  if (months === null || days === null || nanoseconds?.next !== bytes.length) return null;
  return durationText(months.value, days.value, nanoseconds.value);
}
