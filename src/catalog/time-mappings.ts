import {
  dateText,
  parseDate,
  parseTime,
  parseTimestamp,
  timestampText,
  timeText,
} from '../change/values/value-calendar.ts';
import { assert } from '../shared/assert.ts';
import { convertingMapping, type ValueMapping } from './value-mapping.ts';
import { valueProblem } from './value-problems.ts';

/** PostgreSQL's dates: Julian days 0 … 2147483493. */
const MIN_DATE_DAYS = -2_440_588;
const MAX_DATE_DAYS = 2_145_042_905;
/** PostgreSQL's timestamps: from Julian day 0 to the end of the year 294276, in ms since 1970. */
const MIN_TIMESTAMP_MS = -210_866_803_200_000n;
const MAX_TIMESTAMP_MS = 9_224_318_015_999_999n;

const PLAIN_DATE_LENGTH = 'YYYY-MM-DD'.length;
const PLAIN_TIMESTAMP_LENGTH = 'YYYY-MM-DDTHH:MM:SS.mmmZ'.length;
const MS_PER_DAY = 86_400_000n;

function daysOf(text: string): number {
  const days = parseDate(text);
  assert(days !== null, `not a canonical date: ${text.slice(0, 40)}`);
  return days;
}

function msOf(text: string): bigint {
  const ms = parseTimestamp(text);
  assert(ms !== null, `not a canonical timestamp: ${text.slice(0, 40)}`);
  return ms;
}

/** Canonical date → PostgreSQL's spelling: no plus sign, years before 1 counted down and marked BC. */
function postgresDate(text: string): { readonly date: string; readonly era: string } {
  const monthAt = text.length - '-MM-DD'.length;
  const year = Number(text.slice(0, monthAt));
  const shown = String(year > 0 ? year : 1 - year).padStart(4, '0');
  return { date: shown + text.slice(monthAt), era: year > 0 ? '' : ' BC' };
}

/** `date`. Four-digit years but 0000 pass as they are. */
export function dateMapping(): ValueMapping {
  return convertingMapping({
    check(text) {
      if (text.length === PLAIN_DATE_LENGTH) return null;
      const days = daysOf(text);
      return days >= MIN_DATE_DAYS && days <= MAX_DATE_DAYS ? null : valueProblem('DATE_RANGE', text);
    },
    toTarget(text) {
      if (text.length === PLAIN_DATE_LENGTH && !text.startsWith('0000')) return text;
      const written = postgresDate(text);
      return written.date + written.era;
    },
    fromTarget(text) {
      if (text.length === PLAIN_DATE_LENGTH) return text;
      const days = parseDate(text);
      return days === null ? text : dateText(days);
    },
  });
}

/** `integer`: days since 1970-01-01, which holds every date that Cassandra has. */
export function dateAsDaysMapping(): ValueMapping {
  return convertingMapping({
    toTarget: (text) => String(daysOf(text)),
    fromTarget: (text) => dateText(Number(text)),
  });
}

function timestampToTarget(text: string): string {
  if (text.length === PLAIN_TIMESTAMP_LENGTH && !text.startsWith('0000')) return text;
  const ms = msOf(text);
  const days = ms >= 0n ? ms / MS_PER_DAY : -((MS_PER_DAY - 1n - ms) / MS_PER_DAY);
  const written = postgresDate(dateText(Number(days)));
  const clock = timestampText(ms - days * MS_PER_DAY).slice('1970-01-01T'.length);
  return `${written.date} ${clock}${written.era}`;
}

/** What PostgreSQL prints of years 1 to 9999 in UTC, to the millisecond. */
const PLAIN_STORED_TIMESTAMP = /^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d(?:\.\d{1,3})?(?:\+00)?$/;
const DATE_LENGTH = 'YYYY-MM-DD'.length;
const SECONDS_LENGTH = 'YYYY-MM-DD HH:MM:SS'.length;

/** Most timestamps need no calendar: a comparison reads one of every row. */
function plainTimestamp(text: string): string {
  const zone = text.indexOf('+', SECONDS_LENGTH);
  const fraction = text.slice(SECONDS_LENGTH + 1, zone < 0 ? text.length : zone).padEnd(3, '0');
  return `${text.slice(0, DATE_LENGTH)}T${text.slice(DATE_LENGTH + 1, SECONDS_LENGTH)}.${fraction}Z`;
}

/**
 * `timestamp with time zone`, and without one: then the text shows UTC. A stored value finer than a millisecond, or
 * infinite, was not written by the source; it comes back as it stands and so equals nothing.
 */
export function timestampMapping(): ValueMapping {
  return convertingMapping({
    check(text) {
      if (text.length === PLAIN_TIMESTAMP_LENGTH) return null;
      const ms = msOf(text);
      return ms >= MIN_TIMESTAMP_MS && ms <= MAX_TIMESTAMP_MS ? null : valueProblem('TIMESTAMP_RANGE', text);
    },
    toTarget: timestampToTarget,
    fromTarget(text) {
      if (PLAIN_STORED_TIMESTAMP.test(text)) return plainTimestamp(text);
      const ms = parseTimestamp(text);
      return ms === null ? text : timestampText(ms);
    },
  });
}

/** `bigint`: milliseconds since the epoch, which holds every timestamp that Cassandra has. */
export function timestampAsMsMapping(): ValueMapping {
  return convertingMapping({
    toTarget: (text) => String(msOf(text)),
    fromTarget: (text) => timestampText(BigInt(text)),
  });
}

const MICROSECOND_LENGTH = 'HH:MM:SS.uuuuuu'.length;

function canonicalTime(text: string): string {
  const ns = parseTime(text);
  return (ns === null ? null : timeText(ns)) ?? text;
}

/** `time`: microseconds. What is finer is refused, or cut off where the mapping allows `sub-microsecond`. */
export function timeMapping(allowSubMicrosecond: boolean): ValueMapping {
  const cut = (text: string): string => text.slice(0, MICROSECOND_LENGTH);
  return convertingMapping({
    check: allowSubMicrosecond ? null : (text) => (text.endsWith('000') ? null : valueProblem('TIME_PRECISION', text)),
    toTarget: cut,
    fromTarget: canonicalTime,
    asStored: (text) => `${cut(text)}000`,
  });
}

/** `bigint`: nanoseconds since midnight. */
export function timeAsNsMapping(): ValueMapping {
  return convertingMapping({
    toTarget(text) {
      const ns = parseTime(text);
      assert(ns !== null, `not a canonical time of day: ${text.slice(0, 40)}`);
      return String(ns);
    },
    fromTarget: (text) => timeText(BigInt(text)) ?? text,
  });
}
