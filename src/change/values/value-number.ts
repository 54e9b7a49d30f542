/**
 * Numbers as canonical text. Decimals keep their scale (1.0 and 1.00 are two values in Cassandra), floats are printed
 * by their shortest digits, so that equal values have equal text whoever printed them (Java, PostgreSQL, JavaScript).
 */

/** A decimal as sign, digits without leading zeros (zero is `0`) and scale, as java.math.BigDecimal holds it. */
export interface Decimal {
  readonly negative: boolean;
  readonly digits: string;
  readonly scale: number;
}

/**
 * Digits that a positive scale may expand to. `1E-2147483647` is ten bytes and two gigabytes of zeros; PostgreSQL's
 * numeric ends at 16383 fraction digits.
 */
const MAX_SCALE = 20_000;

const DECIMAL = /^([+-]?)(\d*)(?:\.(\d*))?(?:[eE]([+-]?\d{1,10}))?$/;
/** What BigDecimal.toPlainString prints, and so what arrives: canonical as it stands. */
const PLAIN_DECIMAL = /^(?:0|-?[1-9]\d*|(?:0|-?[1-9]\d*)\.\d+)$/;

/** The decimal that a text states, in any notation of Java or PostgreSQL, or null. */
export function parseDecimal(text: string): Decimal | null {
  const match = DECIMAL.exec(text);
  if (match === null) return null;
  const fraction = match[3] ?? '';
  const all = (match[2] ?? '') + fraction;
  if (all === '') return null;
  const scale = fraction.length - Number(match[4] ?? '0');
  if (scale > 2_147_483_647 || scale < -2_147_483_648) return null;
  const digits = all.replace(/^0+(?=\d)/, '');
  // BigDecimal has no negative zero.
  return { negative: match[1] === '-' && digits !== '0', digits, scale };
}

/** Canonical text: exactly `scale` fraction digits, or `<unscaled>E+<n>` where the scale is negative. */
export function decimalText({ negative, digits, scale }: Decimal): string | null {
  const sign = negative ? '-' : '';
  if (scale < 0) return `${sign}${digits}E+${-scale}`;
  if (scale === 0) return sign + digits;
  if (scale > MAX_SCALE && scale > digits.length) return null;
  const padded = digits.padStart(scale + 1, '0');
  return `${sign}${padded.slice(0, padded.length - scale)}.${padded.slice(padded.length - scale)}`;
}

/** Canonical text of a decimal in any notation, or null where it is none or would expand beyond reason. */
export function canonicalDecimal(text: string): string | null {
  if (PLAIN_DECIMAL.test(text)) return text;
  const decimal = parseDecimal(text);
  return decimal === null ? null : decimalText(decimal);
}

/** The same number with the fewest digits: what a comparator that ignores the scale takes for equal has equal text. */
export function strippedDecimal(text: string): string | null {
  const decimal = parseDecimal(text);
  if (decimal === null) return null;
  if (decimal.digits === '0') return '0';
  const digits = decimal.digits.replace(/0+$/, '');
  return decimalText({ ...decimal, digits, scale: decimal.scale - (decimal.digits.length - digits.length) });
}

const CANONICAL_INTEGER = /^(?:0|-?[1-9]\d*)$/;
const INTEGER = /^[+-]?\d+$/;

/** Canonical text of an integer of any size, or null. */
export function canonicalInteger(text: string): string | null {
  if (CANONICAL_INTEGER.test(text)) return text;
  if (!INTEGER.test(text)) return null;
  const digits = text.replace(/^[+-]?0*(?=\d)/, '');
  return text.startsWith('-') && digits !== '0' ? `-${digits}` : digits;
}

/** Canonical text of a double. */
export function doubleText(value: number): string {
  return Object.is(value, -0) ? '-0' : String(value);
}

/** Normal floats survive six digits, so fewer need no trying; below this the spacing is wider and they do. */
const SMALLEST_NORMAL_FLOAT = 1.1754943508222875e-38;

/** Canonical text of a value that a 32-bit float holds: the fewest digits that lead back to it. */
export function floatText(value: number): string {
  if (Number.isInteger(value) && Math.abs(value) < 16_777_216) return doubleText(value);
  if (!Number.isFinite(value)) return String(value);
  for (let precision = Math.abs(value) < SMALLEST_NORMAL_FLOAT ? 1 : 6; precision < 9; precision++) {
    const shorter = Number(value.toPrecision(precision));
    if (Math.fround(shorter) === value) return String(shorter);
  }
  return String(Number(value.toPrecision(9)));
}

const FLOAT = /^[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?$/;

/** The double that a text states, or null where it is none or lies outside the range (`1e400`, `1e-400`). */
export function parseDouble(text: string): number | null {
  if (text === 'NaN') return NaN;
  if (text === 'Infinity') return Infinity;
  if (text === '-Infinity') return -Infinity;
  if (!FLOAT.test(text)) return null;
  const value = Number(text);
  if (!Number.isFinite(value)) return null;
  return value === 0 && /^[^eE]*[1-9]/.test(text) ? null : value;
}

/** The 32-bit float that a text states, or null where there is none or the range ends before it. */
export function parseFloat32(text: string): number | null {
  const value = parseDouble(text);
  if (value === null) return null;
  const rounded = Math.fround(value);
  if (!Number.isFinite(rounded)) return Number.isFinite(value) ? null : rounded;
  return rounded === 0 && value !== 0 ? null : rounded;
}
