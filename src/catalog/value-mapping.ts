import type { ValueProblem } from './value-problems.ts';

/**
 * How the values of one column travel: canonical text of the source type ↔ text of the target type.
 *
 * Laws (test/postgres/catalog-round-trip.test.ts), for every canonical text `x` with `check(x) === null`:
 * PostgreSQL accepts `toTarget(x)` as input of the target type, and `fromTarget(stored text) === asStored(x)`.
 * None of the functions throws on canonical text.
 */
export interface ValueMapping {
  /** `toTarget` returns its argument: the hot path may skip the call. */
  readonly identity: boolean;
  /** Whether the target can hold the value exactly (or with a loss that is allowed by name). Null: nothing can fail. */
  readonly check: ((text: string) => ValueProblem | null) | null;
  /** Input text of the target type. Only for values that `check` lets pass. */
  toTarget(text: string): string;
  /**
   * Canonical text of what the column shows: PostgreSQL's output text, or that of `column::text`, under
   * `TARGET_SESSION_SETTINGS`. Values that no source could have written (a stranger's infinity) come back unchanged.
   */
  fromTarget(text: string): string;
  /** Canonical text as the target will give it back: differs from the source's where `5E+3` became `5000`. */
  asStored(text: string): string;
}

/** What sessions that read values must have set; otherwise dates, bytes and floats come in another form. */
export const TARGET_SESSION_SETTINGS = {
  DateStyle: 'ISO, YMD',
  TimeZone: 'UTC',
  IntervalStyle: 'iso_8601',
  bytea_output: 'hex',
  extra_float_digits: '1',
} as const;

/** Text that stays as it is: whoever finds it in a mapping may skip the call. */
export const same = (text: string): string => text;

/** A mapping that writes canonical text as it is. */
export function identityMapping(
  check: ValueMapping['check'] = null,
  from: (text: string) => string = same,
  asStored: (text: string) => string = same,
): ValueMapping {
  return { identity: true, check, toTarget: same, fromTarget: from, asStored };
}

export function convertingMapping(parts: {
  readonly check?: ValueMapping['check'];
  readonly toTarget: (text: string) => string;
  readonly fromTarget: (text: string) => string;
  readonly asStored?: (text: string) => string;
}): ValueMapping {
  return {
    identity: false,
    check: parts.check ?? null,
    toTarget: parts.toTarget,
    fromTarget: parts.fromTarget,
    asStored: parts.asStored ?? same,
  };
}
