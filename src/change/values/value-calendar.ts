/**
 * Dates, times of day and timestamps as canonical text, without JavaScript's Date: Cassandra's `date` covers ±5.88
 * million years and its `timestamp` ±292 million, Date only ±275,760 years.
 *
 * Canonical: `YYYY-MM-DD` for the years 0000–9999, else a sign and at least six year digits (ECMAScript expanded years,
 * year 0 = 1 BC); `HH:MM:SS.nnnnnnnnn`; timestamps as Date.toISOString() prints them, or `@<ms>` where Date ends.
 * The parsers also read what Cassandra's `getString` prints (range bounds) and what PostgreSQL prints (rows read back).
 */

const MS_PER_DAY = 86_400_000;
const NS_PER_DAY = 86_400_000_000_000n;
const NS_PER_SECOND = 1_000_000_000n;
/** Where Date, and so the ISO form, ends: ±10^8 days. */
const MAX_ISO_MS = 8.64e15;

/** Days since 1970-01-01 of a proleptic Gregorian date (Howard Hinnant's days_from_civil). */
function daysFromCivil(year: number, month: number, day: number): number {
  const y = month <= 2 ? year - 1 : year;
  const era = Math.floor(y / 400);
  const yearOfEra = y - era * 400;
  const dayOfYear = Math.floor((153 * (month + (month > 2 ? -3 : 9)) + 2) / 5) + day - 1;
  const dayOfEra = yearOfEra * 365 + Math.floor(yearOfEra / 4) - Math.floor(yearOfEra / 100) + dayOfYear;
  return era * 146_097 + dayOfEra - 719_468;
}

function daysInMonth(year: number, month: number): number {
  if (month === 2) return year % 4 === 0 && (year % 100 !== 0 || year % 400 === 0) ? 29 : 28;
  return month === 4 || month === 6 || month === 9 || month === 11 ? 30 : 31;
}

function two(value: number): string {
  return value < 10 ? `0${value}` : String(value);
}

function yearText(year: number): string {
  if (year >= 0 && year <= 9999) return String(year).padStart(4, '0');
  return `${year < 0 ? '-' : '+'}${String(Math.abs(year)).padStart(6, '0')}`;
}

function civilText(days: number): string {
  const shifted = days + 719_468;
  const era = Math.floor(shifted / 146_097);
  const dayOfEra = shifted - era * 146_097;
  const yearOfEra = Math.floor(
    (dayOfEra - Math.floor(dayOfEra / 1460) + Math.floor(dayOfEra / 36_524) - Math.floor(dayOfEra / 146_096)) / 365,
  );
  const dayOfYear = dayOfEra - (365 * yearOfEra + Math.floor(yearOfEra / 4) - Math.floor(yearOfEra / 100));
  const shiftedMonth = Math.floor((5 * dayOfYear + 2) / 153);
  const day = dayOfYear - Math.floor((153 * shiftedMonth + 2) / 5) + 1;
  const month = shiftedMonth < 10 ? shiftedMonth + 3 : shiftedMonth - 9;
  const year = yearOfEra + era * 400 + (month <= 2 ? 1 : 0);
  return `${yearText(year)}-${two(month)}-${two(day)}`;
}

// Streams write runs of the same day; one remembered day makes timestamps twice as fast (measured in decode).
let rememberedDay = 0;
let rememberedText = '1970-01-01';

/** Canonical text of a count of days since the epoch (an int32 in Cassandra). */
export function dateText(days: number): string {
  if (days !== rememberedDay) {
    rememberedText = civilText(days);
    rememberedDay = days;
  }
  return rememberedText;
}

/** Days of a year, month and day given as text, or null where there is no such date. `bc`: PostgreSQL's era suffix. */
function civilDays(yearDigits: string, monthDigits: string, dayDigits: string, bc: boolean): number | null {
  const era = Number(yearDigits);
  const year = bc ? 1 - era : era;
  const month = Number(monthDigits);
  const day = Number(dayDigits);
  if (month < 1 || month > 12 || day < 1 || day > daysInMonth(year, month)) return null;
  return daysFromCivil(year, month, day);
}

const DATE = /^([+-]?\d{4,9})-(\d\d)-(\d\d)( BC)?$/;

/** Days since the epoch of a date, or null. Reads canonical text, Cassandra's `+10000-01-01`, PostgreSQL's `… BC`. */
export function parseDate(text: string): number | null {
  const match = DATE.exec(text);
  if (match === null) return null;
  const days = civilDays(match[1] ?? '', match[2] ?? '', match[3] ?? '', match[4] !== undefined);
  return days === null || days < -2_147_483_648 || days > 2_147_483_647 ? null : days;
}

/** Canonical text of nanoseconds of a day, or null outside 0..86399999999999. */
export function timeText(ns: bigint): string | null {
  if (ns < 0n || ns >= NS_PER_DAY) return null;
  const seconds = Number(ns / NS_PER_SECOND);
  const fraction = String(ns % NS_PER_SECOND).padStart(9, '0');
  return `${two(Math.floor(seconds / 3600))}:${two(Math.floor(seconds / 60) % 60)}:${two(seconds % 60)}.${fraction}`;
}

const TIME = /^(\d\d):(\d\d):(\d\d)(?:\.(\d{1,9}))?$/;

/** Nanoseconds of the day, or null. Reads canonical text and PostgreSQL's shorter forms. */
export function parseTime(text: string): bigint | null {
  const match = TIME.exec(text);
  if (match === null) return null;
  const [hours, minutes, seconds] = [Number(match[1]), Number(match[2]), Number(match[3])];
  if (hours > 23 || minutes > 59 || seconds > 59) return null;
  return BigInt(hours * 3600 + minutes * 60 + seconds) * NS_PER_SECOND + BigInt((match[4] ?? '').padEnd(9, '0'));
}

/** Canonical text of milliseconds since the epoch (an int64 in Cassandra). */
export function timestampText(ms: number | bigint): string {
  if (typeof ms === 'bigint') {
    if (ms > BigInt(MAX_ISO_MS) || ms < -BigInt(MAX_ISO_MS)) return `@${ms}`;
    return timestampText(Number(ms));
  }
  if (ms > MAX_ISO_MS || ms < -MAX_ISO_MS) return `@${ms}`;
  const days = Math.floor(ms / MS_PER_DAY);
  const rest = ms - days * MS_PER_DAY;
  const millis = rest % 1000;
  const seconds = (rest - millis) / 1000;
  const clock = `${two(Math.floor(seconds / 3600))}:${two(Math.floor(seconds / 60) % 60)}:${two(seconds % 60)}`;
  return `${dateText(days)}T${clock}.${millis < 10 ? '00' : millis < 100 ? '0' : ''}${millis}Z`;
}

const TIMESTAMP =
  /^([+-]?\d{4,9})-(\d\d)-(\d\d)[T ](\d\d):(\d\d):(\d\d)(?:\.(\d{1,9}))?(Z|[+-]\d\d(?::?\d\d(?::?\d\d)?)?)?( BC)?$/;

function offsetMs(zone: string | undefined): number {
  if (zone === undefined || zone === 'Z') return 0;
  const digits = zone.slice(1).replaceAll(':', '').padEnd(6, '0');
  const seconds = Number(digits.slice(0, 2)) * 3600 + Number(digits.slice(2, 4)) * 60 + Number(digits.slice(4, 6));
  return (zone.startsWith('-') ? -seconds : seconds) * 1000;
}

/**
 * Milliseconds since the epoch, or null where the text is none or is finer than a millisecond. Reads canonical text,
 * Cassandra's ISO text at any year, and PostgreSQL's `2026-11-01 00:00:00.456+00` and `… BC`.
 *
 * Cassandra prints the year *of the era* without the era (-0003 and +0004 alike as `0004`), so a bound before the year
 * 1 can't be told from one after it and is read as AD.
 */
export function parseTimestamp(text: string): bigint | null {
  if (text.startsWith('@')) return /^@-?\d{1,19}$/.test(text) ? BigInt(text.slice(1)) : null;
  const match = TIMESTAMP.exec(text);
  if (match === null) return null;
  const days = civilDays(match[1] ?? '', match[2] ?? '', match[3] ?? '', match[9] !== undefined);
  const [hours, minutes, seconds] = [Number(match[4]), Number(match[5]), Number(match[6])];
  if (days === null || hours > 23 || minutes > 59 || seconds > 59) return null;
  const fraction = (match[7] ?? '').padEnd(9, '0');
  if (!fraction.endsWith('000000')) return null;
  const clock = (hours * 3600 + minutes * 60 + seconds) * 1000 + Number(fraction.slice(0, 3)) - offsetMs(match[8]);
  return BigInt(days) * BigInt(MS_PER_DAY) + BigInt(clock);
}
