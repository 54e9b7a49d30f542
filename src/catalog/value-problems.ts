/**
 * Why a value can't be held exactly by its target column: the codes that a refused change is dead-lettered with, each
 * with its remedy. The table in docs/type-mapping.md says the same.
 */
export const VALUE_PROBLEMS = {
  TEXT_NUL: {
    meaning: 'the text contains U+0000, which PostgreSQL cannot store in text, varchar or jsonb',
    remedy:
      'remove the character at the source, or set the column type to bytea (text columns: their UTF-8 bytes) or json (collections)',
  },
  TEXT_SURROGATE: {
    meaning: 'the text contains half of a surrogate pair, which is no valid UTF-8',
    remedy: 'correct the text at the source',
  },
  TEXT_TOO_LONG: {
    meaning: 'the text has more characters than the target column allows',
    remedy: 'set the column type to text, or to a longer varchar',
  },
  TEXT_NOT_JSON: {
    meaning: 'the text is not valid JSON, but its target column is json or jsonb',
    remedy: 'set the column type to text, or correct the text at the source',
  },
  INTEGER_RANGE: {
    meaning: 'the integer lies outside the range of the target type',
    remedy: 'set the column type to a wider one: bigint or numeric',
  },
  NUMERIC_RANGE: {
    meaning: 'the number has more than 131072 digits before or 16383 digits after the decimal point',
    remedy: 'set the column type to text, or correct the number at the source',
  },
  NUMERIC_PRECISION: {
    meaning: 'the number has more digits before the decimal point than numeric(p,s) of the target column holds',
    remedy: 'set the column type to numeric without a precision, or to a larger one',
  },
  NUMERIC_SCALE: {
    meaning: 'the number has more digits after the decimal point than the target column holds; it would be rounded',
    remedy: 'set the column type to numeric without a scale, or to a larger one',
  },
  DATE_RANGE: {
    meaning: 'the date lies outside PostgreSQL’s range, 4714-11-24 BC to 5874897-12-31',
    remedy: 'set the column type to integer (days since 1970-01-01) or text, or correct the date at the source',
  },
  TIMESTAMP_RANGE: {
    meaning: 'the timestamp lies outside PostgreSQL’s range, 4714-11-24 BC to 294276-12-31',
    remedy: 'set the column type to bigint (milliseconds since 1970) or text, or correct the timestamp at the source',
  },
  TIME_PRECISION: {
    meaning: 'the time of day is finer than a microsecond, PostgreSQL’s resolution',
    remedy: 'set the column type to bigint (nanoseconds) or text, or allow the loss with allowLoss: [sub-microsecond]',
  },
} as const;

export type ValueProblemCode = keyof typeof VALUE_PROBLEMS;

/** One value that its target column can't hold exactly. */
export interface ValueProblem {
  readonly code: ValueProblemCode;
  /** What is wrong and what to do, with the value where it is short. */
  readonly message: string;
}

/** Values are quoted up to here; a decimal bomb must not end up in a log line. */
const SHOWN_CHARACTERS = 60;

function shown(text: string): string {
  const start = text.slice(0, SHOWN_CHARACTERS);
  return JSON.stringify(start) + (text.length > SHOWN_CHARACTERS ? `… (${text.length} characters)` : '');
}

/** The problem of one value: meaning, value, remedy. */
export function valueProblem(code: ValueProblemCode, text: string): ValueProblem {
  const { meaning, remedy } = VALUE_PROBLEMS[code];
  return { code, message: `${meaning}: ${shown(text)}; ${remedy}` };
}
