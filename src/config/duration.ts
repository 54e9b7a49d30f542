/** Milliseconds. Durations are written with a unit (`60s`) and are plain milliseconds once parsed. */
export type Milliseconds = number;

const UNIT_MS: Readonly<Record<string, number>> = {
  ms: 1,
  s: 1000,
  m: 60_000,
  h: 3_600_000,
  d: 86_400_000,
};

/** Text of a duration: a number and one unit. A bare number is refused, because nobody agrees on its unit. */
export const DURATION_PATTERN = /^(\d+(?:\.\d+)?)(ms|s|m|h|d)$/;

/** Parses `500ms`, `60s`, `1.5h`, `7d`. The text must match {@link DURATION_PATTERN}. */
export function parseDuration(text: string): Milliseconds {
  const match = DURATION_PATTERN.exec(text);
  const unit = UNIT_MS[match?.[2] ?? ''];
  if (match === null || unit === undefined) return Number.NaN;
  return Math.round(Number(match[1]) * unit);
}
