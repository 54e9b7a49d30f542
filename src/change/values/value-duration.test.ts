import cassandra from 'cassandra-driver';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { durationFromBytes } from './value-duration.ts';

const { Duration } = cassandra.types;

describe('durations out of bytes', () => {
  it.each([
    ['1mo3d4ns', 1, 3, 4],
    ['1y2mo', 14, 0, 0],
    ['-1mo2d3h', -1, -2, -10_800_000_000_000],
    ['1m1s1ms1us1ns', 0, 0, 61_001_001_001],
  ])('%s', (text, months, days, nanoseconds) => {
    const duration = new Duration(months, days, nanoseconds);
    expect(durationFromBytes(duration.toBuffer())).toBe(text);
  });

  // Whole years only: the driver rounds them (15 months and up to a year more are printed one year too many).
  it('agree with the driver, which writes and prints them too', () => {
    const part = fc.record({
      months: fc.nat(100_000_000).map((years) => years * 12),
      days: fc.nat(2 ** 31 - 1),
      nanoseconds: fc.nat(Number.MAX_SAFE_INTEGER),
      sign: fc.constantFrom(1, -1),
    });
    fc.assert(
      fc.property(part, ({ months, days, nanoseconds, sign }) => {
        const duration = new Duration(sign * months, sign * days, sign * nanoseconds);
        expect(durationFromBytes(duration.toBuffer())).toBe(duration.toString());
      }),
    );
  });

  it('are refused where bytes are missing or left over', () => {
    const bytes = new Duration(1, 2, 3).toBuffer();
    expect(durationFromBytes(bytes.subarray(0, 2))).toBeNull();
    expect(durationFromBytes(Buffer.concat([bytes, Buffer.from([0])]))).toBeNull();
  });
});
