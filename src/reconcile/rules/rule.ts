/** A business rule: one aggregate asked of both sides, compared key by key. */
import type { BigNumber } from 'bignumber.js';

export const SEVERITIES = ['warning', 'critical'] as const;
export type Severity = (typeof SEVERITIES)[number];

/** How far numbers may be apart: by an amount, or by a share of the source's. */
export interface Tolerance {
  readonly kind: 'absolute' | 'relative';
  readonly limit: BigNumber;
}

export interface Rule {
  readonly name: string;
  readonly cql: string;
  readonly sql: string;
  /** Names of the columns that a row is told apart by, in both answers. */
  readonly key: readonly string[];
  readonly tolerance: Tolerance;
  readonly severity: Severity;
  /** Answers without a row may pass. */
  readonly mayBeEmpty: boolean;
  /** Each of the two queries may take this long. */
  readonly timeoutMs: number;
}

/**
 * What a value is compared as. Numbers of all types are one kind, so that an `int` can be compared with a `numeric`;
 * everything else only with its like.
 */
export type ValueKind = 'number' | 'text' | 'boolean' | 'date' | 'time' | 'timestamp' | 'uuid' | 'inet' | 'blob';

export interface RuleColumn {
  readonly name: string;
  /** Null for types that can't be compared. */
  readonly kind: ValueKind | null;
  /** The type as its side calls it. */
  readonly type: string;
}

/** Rows of an answer, a page at a time; values as canonical text. */
export interface RulePage {
  readonly columns: readonly RuleColumn[];
  readonly rows: readonly (readonly (string | null)[])[];
}

/** Asks one side. Every answer begins with a page, even one without rows, that names the columns. */
export type AskSide = (signal: AbortSignal) => AsyncIterable<RulePage>;

export const MISMATCH_KINDS = ['MISSING_IN_POSTGRES', 'MISSING_IN_CASSANDRA', 'VALUE_MISMATCH'] as const;
export type MismatchKind = (typeof MISMATCH_KINDS)[number];

/** A key of which the sides say different things. Values by column name; null: the side has no such key. */
export interface Mismatch {
  /** JSON text of the key's values, in the order of the rule's key. */
  readonly key: string;
  readonly kind: MismatchKind;
  /** Columns that differ; empty where the key is missing. */
  readonly columns: readonly string[];
  readonly source: Readonly<Record<string, string | null>> | null;
  readonly target: Readonly<Record<string, string | null>> | null;
}
