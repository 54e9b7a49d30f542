import { doubleText, floatText } from '../change/values/value-number.ts';
import { convertingMapping, identityMapping, same, type ValueMapping } from './value-mapping.ts';
import { valueProblem, type ValueProblem } from './value-problems.ts';

/** PostgreSQL's numeric: base-10000 digits with a 16-bit weight, and a 14-bit display scale. */
const MAX_DIGITS_BEFORE = 131_072;
const MAX_DIGITS_AFTER = 16_383;

const INTEGER_BITS = { smallint: 16n, integer: 32n, bigint: 64n } as const;
export type IntegerTarget = keyof typeof INTEGER_BITS;

export function isIntegerTarget(base: string): base is IntegerTarget {
  return Object.hasOwn(INTEGER_BITS, base);
}

/** Integers into an integer type that may be narrower than theirs. */
export function narrowIntegerMapping(target: IntegerTarget): ValueMapping {
  const limit = 2n ** (INTEGER_BITS[target] - 1n);
  const safeLength = limit.toString().length - 1;
  return identityMapping((text) => {
    if (text.length <= safeLength) return null;
    // A decimal bomb must not become a BigInt: a minus sign and 19 digits are the most that can fit.
    if (text.length > 20) return valueProblem('INTEGER_RANGE', text);
    const value = BigInt(text);
    return value >= -limit && value < limit ? null : valueProblem('INTEGER_RANGE', text);
  });
}

/** Canonical decimal text taken apart. `5E+3` is digits `5`, scale −3. */
interface DecimalParts {
  readonly negative: boolean;
  /** Digits before the point (without leading zeros). For a negative scale: the unscaled digits. */
  readonly before: string;
  readonly after: string;
  /** Zeros to be put behind `before`: the negated negative scale. */
  readonly zeros: number;
}

function decimalParts(text: string): DecimalParts {
  const negative = text.startsWith('-');
  const unsigned = negative ? text.slice(1) : text;
  const exponent = unsigned.indexOf('E+');
  if (exponent >= 0) {
    return { negative, before: unsigned.slice(0, exponent), after: '', zeros: Number(unsigned.slice(exponent + 2)) };
  }
  const point = unsigned.indexOf('.');
  const before = point < 0 ? unsigned : unsigned.slice(0, point);
  return {
    negative,
    before: before === '0' ? '' : before,
    after: point < 0 ? '' : unsigned.slice(point + 1),
    zeros: 0,
  };
}

const isZero = (digits: string): boolean => /^0*$/.test(digits);

/** Whether plain `numeric` holds the number exactly. Nothing is expanded: `1E+2000000000` costs nothing here. */
export function checkNumeric(text: string): ValueProblem | null {
  // So few characters without an exponent can't reach either limit.
  if (text.length <= MAX_DIGITS_AFTER && !text.includes('E')) return null;
  const { before, after, zeros } = decimalParts(text);
  if (after.length > MAX_DIGITS_AFTER) return valueProblem('NUMERIC_RANGE', text);
  if (isZero(before)) return null;
  return before.length + zeros > MAX_DIGITS_BEFORE ? valueProblem('NUMERIC_RANGE', text) : null;
}

/**
 * A negative scale has no place in `numeric`: `5E+3` is written out, and `0E+3` is 0. What `numeric` can't hold stays as it
 * is ⚠: a comparison asks for the stored form of every value, and `1E+2147483647` has more zeros than a string can have.
 */
export function writtenOut(text: string): string {
  const exponent = text.indexOf('E+');
  if (exponent < 0) return text;
  const unscaled = text.slice(0, exponent);
  if (unscaled === '0') return '0';
  const zeros = Number(text.slice(exponent + 2));
  return zeros > MAX_DIGITS_BEFORE ? text : unscaled + '0'.repeat(zeros);
}

/** Decimals in `numeric` without precision: the scale stays, unless it is negative. */
export function numericMapping(): ValueMapping {
  return convertingMapping({
    check: checkNumeric,
    toTarget: writtenOut,
    fromTarget: same,
    asStored: writtenOut,
  });
}

/** Exact or refused: PostgreSQL would round to the column's scale without a word. */
export function boundedNumericMapping(precision: number, scale: number): ValueMapping {
  const withScale = (text: string): string => {
    const plain = writtenOut(text);
    const point = plain.indexOf('.');
    const whole = point < 0 ? plain : plain.slice(0, point);
    const fraction = (point < 0 ? '' : plain.slice(point + 1)).padEnd(scale, '0').slice(0, scale);
    return scale === 0 ? whole : `${whole}.${fraction}`;
  };
  return {
    identity: false,
    check(text) {
      const { before, after, zeros } = decimalParts(text);
      if (after.length > scale && !isZero(after.slice(scale))) return valueProblem('NUMERIC_SCALE', text);
      if (isZero(before)) return null;
      return before.length + zeros > precision - scale ? valueProblem('NUMERIC_PRECISION', text) : null;
    },
    toTarget: writtenOut,
    fromTarget: same,
    asStored: withScale,
  };
}

/** Integers in numeric(p,s): the zeros that PostgreSQL puts behind the point are none of theirs. */
export function boundedIntegerMapping(precision: number, scale: number): ValueMapping {
  const { check } = boundedNumericMapping(precision, scale);
  return identityMapping(check, (text) => text.replace(/\.0*$/, ''));
}

/**
 * `real`. Both sides print the fewest digits that lead back to the value, but not in the same form: PostgreSQL's
 * `1e+20` is canonically `100000000000000000000`.
 */
export function realMapping(): ValueMapping {
  return identityMapping(null, (text) => floatText(Math.fround(Number(text))));
}

export function doubleMapping(): ValueMapping {
  return identityMapping(null, (text) => doubleText(Number(text)));
}

/** A 32-bit float in `double precision`: its exact value, not the double nearest to its short text. */
export function floatAsDoubleMapping(): ValueMapping {
  return convertingMapping({
    toTarget: (text) => doubleText(Math.fround(Number(text))),
    fromTarget: (text) => floatText(Math.fround(Number(text))),
  });
}
