/** Values of rules: their canonical text, and whether two of them differ. Pure; numbers are decimals, never doubles. */
import { BigNumber } from 'bignumber.js';
import { canonicalText } from '../../change/values/value-canonical.ts';
import { parseDecimal } from '../../change/values/value-number.ts';
import { LockstepError } from '../../shared/errors.ts';
import type { Tolerance, ValueKind } from './rule.ts';

/** Digits and scale of a number that is compared: a decimal of a few bytes can state gigabytes of zeros. */
const MAX_DIGITS = 20_000;

/** A BigNumber of our own, so that nobody's settings play a part; sums, differences and products of it are exact. */
const Decimal = BigNumber.clone({ EXPONENTIAL_AT: 1e9, RANGE: 1e9 });

/** @throws {LockstepError} `usage` for text that is no number, or one beyond reason. */
function decimalOf(text: string, what: string): BigNumber {
  if (/^(NaN|-?Infinity)$/.test(text)) return new Decimal(text);
  const stated = parseDecimal(text);
  if (stated !== null && Math.max(Math.abs(stated.scale), stated.digits.length) <= MAX_DIGITS) return new Decimal(text);
  throw new LockstepError(`${what} is no number that can be compared: ${text.slice(0, 60)}`, {
    code: 'RULE_VALUE',
    kind: 'usage',
    remedy: `cast it in the rule's query; numbers have up to ${MAX_DIGITS} digits, and a scale up to that`,
  });
}

/** The same value has the same text, whichever side it is from: `1.50` and `1.5` are one number. */
export function normalised(kind: ValueKind, text: string | null, what: string): string | null {
  if (text === null) return null;
  if (kind === 'number') {
    const value = decimalOf(text, what);
    return value.isZero() ? '0' : value.toFixed();
  }
  const canonical = canonicalText({ kind: 'scalar', name: kind }, text);
  // What no source could hold (a timestamp in µs) stays as it is, and differs.
  return canonical ?? text;
}

/** Whether two normalised values differ by more than the rule lets them. A null is like nothing but a null. */
export function differs(kind: ValueKind, source: string | null, target: string | null, tolerance: Tolerance): boolean {
  if (source === target) return false;
  if (source === null || target === null || kind !== 'number') return true;
  const [left, right] = [new Decimal(source), new Decimal(target)];
  if (!left.isFinite() || !right.isFinite()) return true;
  const limit = tolerance.kind === 'absolute' ? tolerance.limit : tolerance.limit.times(left.abs());
  return left.minus(right).abs().gt(limit);
}

/** A tolerance from its text. */
export function toleranceOf(kind: Tolerance['kind'], limit: string): Tolerance {
  return { kind, limit: new Decimal(limit) };
}
