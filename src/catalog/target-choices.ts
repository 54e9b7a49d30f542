import type { CqlType, ScalarName } from '../change/source-type.ts';
import { canonicalInet } from '../change/values/value-inet.ts';
import { strippedDecimal } from '../change/values/value-number.ts';
import {
  collectionAsJsonbMapping,
  jsonbText,
  realsBytes,
  textAsJsonbMapping,
  vectorAsRealsMapping,
} from './json-mappings.ts';
import { parseJson } from './json-text.ts';
import {
  boundedIntegerMapping,
  boundedNumericMapping,
  checkNumeric,
  doubleMapping,
  floatAsDoubleMapping,
  isIntegerTarget,
  narrowIntegerMapping,
  numericMapping,
  realMapping,
} from './number-mappings.ts';
import type { ColumnKind } from './table.ts';
import type { TargetType } from './target-type.ts';
import {
  booleanMapping,
  canonicalTextMapping,
  plainTextMapping,
  textAsBytesMapping,
  textAsJsonMapping,
} from './text-mappings.ts';
import * as tie from './tie-bytes.ts';
import {
  dateAsDaysMapping,
  dateMapping,
  timeAsNsMapping,
  timeMapping,
  timestampAsMsMapping,
  timestampMapping,
} from './time-mappings.ts';
import { identityMapping, type ValueMapping } from './value-mapping.ts';

/** Losses that a mapping may allow by name (`allowLoss`). */
export const LOSSES = ['sub-microsecond', 'json-formatting'] as const;
export type Loss = (typeof LOSSES)[number];

/** What a column is compiled from. */
export interface ColumnContext {
  readonly type: CqlType;
  readonly kind: ColumnKind;
  readonly target: TargetType;
  readonly allowLoss: readonly string[];
}

type Modifiers = 'none' | 'length' | 'precision-scale' | 'milliseconds' | 'microseconds';

/** One PostgreSQL type that a CQL type may be kept in, and what is true of that pair. */
export interface TargetChoice {
  readonly base: string;
  readonly array: boolean;
  /** What may stand in parentheses. Precisions that would round every value are no choice. */
  readonly modifiers: Modifiers;
  /** Equality in the target is that of serialised bytes, which is what tells partitions apart. */
  readonly partitionKey: boolean;
  /**
   * As a clustering column: null where PostgreSQL's equality is not the comparator's, so that rows would merge or
   * split; else whether the order is the same too, so that a range may be an SQL predicate.
   */
  readonly clustering: 'same-order' | 'other-order' | null;
  /** Without this in `allowLoss` the pair is refused. */
  readonly needs: Loss | null;
  readonly compile: (column: ColumnContext) => ValueMapping;
  /** Cassandra's bytes of a stored value, or null where the stored form has lost them. */
  readonly tieBytes: (column: ColumnContext) => tie.TieExpression | null;
  /** The same bytes of a canonical text, where `serialise` of src/change does not know them. */
  readonly serialise: ((text: string) => Uint8Array) | null;
  /** Of a pair that keeps the bytes: the values (as stored) that may have been others in the source. Null: none. */
  readonly losesBytes: ((stored: string) => boolean) | null;
  /** What `column::text` shows for a canonical text: the order where bytes are lost. Null: `toTarget`. */
  readonly shown: ((text: string, mapping: ValueMapping) => string) | null;
}

type ChoiceRest = Partial<Omit<TargetChoice, 'base' | 'compile'>>;

function choice(
  base: string,
  compile: TargetChoice['compile'],
  bytes: tie.TieExpression | null,
  rest: ChoiceRest = {},
) {
  return {
    base,
    array: false,
    modifiers: 'none',
    partitionKey: true,
    clustering: 'same-order',
    needs: null,
    serialise: null,
    losesBytes: null,
    shown: null,
    compile,
    tieBytes: () => bytes,
    ...rest,
  } satisfies TargetChoice;
}

const NO_KEY = { partitionKey: false, clustering: null } as const;

const lengthOf = (column: ColumnContext): number | null => column.target.modifiers[0] ?? null;

/** `text` and `varchar(n)` holding canonical text. */
function asText(bytes: tie.TieExpression | null, rest: ChoiceRest = {}): TargetChoice[] {
  const compile = (column: ColumnContext): ValueMapping => canonicalTextMapping(lengthOf(column));
  const order = { clustering: 'other-order', ...rest } as const;
  return [
    choice('text', compile, bytes, order),
    choice('character varying', compile, bytes, { modifiers: 'length', ...order }),
  ];
}

/** Integers in integer types and in numeric; from `checkedFrom` on the integer types are narrower than the values. */
function asIntegers(bases: readonly string[], checkedFrom: number, bytes: tie.TieExpression): TargetChoice[] {
  return bases.map((base, i) => {
    if (isIntegerTarget(base)) {
      return choice(base, () => (i >= checkedFrom ? narrowIntegerMapping(base) : identityMapping()), bytes);
    }
    return choice(base, (column) => integerAsNumeric(column, checkedFrom <= 1), bytes, {
      modifiers: 'precision-scale',
    });
  });
}

/** An integer needs no rewriting in plain numeric; only a varint can be too long for it. */
function integerAsNumeric(column: ColumnContext, unlimited: boolean): ValueMapping {
  const [precision, scale] = column.target.modifiers;
  if (precision !== undefined && scale !== undefined) return boundedIntegerMapping(precision, scale);
  return identityMapping(unlimited ? checkNumeric : null);
}

function compileNumeric({ target }: ColumnContext): ValueMapping {
  const [precision, scale] = target.modifiers;
  return precision === undefined || scale === undefined ? numericMapping() : boundedNumericMapping(precision, scale);
}

/**
 * 1.0 and 1.00 are one clustering value, so a clustering column shows them by one text: that of the fewest digits, as
 * row keys do (`canonicalClustering`).
 */
function normalised(mapping: ValueMapping): ValueMapping {
  const strip = (text: string): string => strippedDecimal(text) ?? text;
  return {
    identity: false,
    check: mapping.check,
    toTarget: (text) => mapping.toTarget(strip(text)),
    fromTarget: (text) => strip(mapping.fromTarget(text)),
    asStored: (text) => strip(mapping.asStored(strip(text))),
  };
}

const compileDecimal = (column: ColumnContext): ValueMapping =>
  column.kind === 'clustering' ? normalised(compileNumeric(column)) : compileNumeric(column);

const decimalAsText = asText(tie.DECIMAL_TEXT_BYTES).map((entry): TargetChoice => ({
  ...entry,
  compile: (column) => (column.kind === 'clustering' ? normalised(entry.compile(column)) : entry.compile(column)),
}));

/** `::text` of an inet shows the prefix length, PostgreSQL's output does not. */
const inetMapping = identityMapping(null, (text) => canonicalInet(text.replace(/\/(?:32|128)$/, '')) ?? text);

const losesNanoseconds = (column: ColumnContext): boolean => column.allowLoss.includes('sub-microsecond');

/** `time::text` without trailing zeros. */
const shownTime = (text: string): string => text.slice(0, 'HH:MM:SS.uuuuuu'.length).replace(/\.?0+$/, '');

const TEXT_CHOICES: readonly TargetChoice[] = [
  choice('text', () => plainTextMapping(null), tie.TEXT_BYTES),
  choice('character varying', (column) => plainTextMapping(lengthOf(column)), tie.TEXT_BYTES, { modifiers: 'length' }),
  choice('citext', () => plainTextMapping(null), tie.TEXT_BYTES, NO_KEY),
  choice('bytea', textAsBytesMapping, tie.RAW_BYTES),
  choice('json', textAsJsonMapping, tie.TEXT_BYTES, NO_KEY),
  choice('jsonb', textAsJsonbMapping, null, {
    ...NO_KEY,
    needs: 'json-formatting',
    shown: (text) => jsonbText(parseJson(text)),
  }),
];

/** A timestamp in each of its targets. */
const TIMESTAMP_CHOICES: readonly TargetChoice[] = [
  choice('timestamp with time zone', timestampMapping, tie.TIMESTAMP_BYTES, { modifiers: 'milliseconds' }),
  choice('timestamp without time zone', timestampMapping, tie.TIMESTAMP_BYTES, { modifiers: 'milliseconds' }),
  choice('bigint', timestampAsMsMapping, tie.BIGINT_BYTES),
  ...asText(null),
];

const BIGINT_CHOICES: readonly TargetChoice[] = [
  ...asIntegers(['bigint', 'numeric', 'integer', 'smallint'], 2, tie.BIGINT_BYTES),
  ...asText(tie.BIGINT_BYTES),
];

const UUID_CHOICES: readonly TargetChoice[] = [
  choice('uuid', () => identityMapping(), tie.UUID_BYTES, { clustering: 'other-order' }),
  ...asText(tie.UUID_BYTES),
];

/** A NaN's payload and sign are gone. */
const isNaNText = (text: string): boolean => text === 'NaN';

/** `5E+3` became `5000`, and `0E+3` became `0`. */
const mayHaveHadExponent = (text: string): boolean => text.endsWith('0') && !text.includes('.');

const SCALARS: Readonly<Record<ScalarName, readonly TargetChoice[]>> = {
  ascii: TEXT_CHOICES,
  text: TEXT_CHOICES,
  bigint: BIGINT_CHOICES,
  counter: BIGINT_CHOICES.map((entry) => ({ ...entry, ...NO_KEY, tieBytes: () => null })),
  int: [...asIntegers(['integer', 'bigint', 'numeric', 'smallint'], 3, tie.INT_BYTES), ...asText(tie.INT_BYTES)],
  smallint: [
    ...asIntegers(['smallint', 'integer', 'bigint', 'numeric'], 4, tie.SMALLINT_BYTES),
    ...asText(tie.SMALLINT_BYTES),
  ],
  tinyint: [
    ...asIntegers(['smallint', 'integer', 'bigint', 'numeric'], 4, tie.TINYINT_BYTES),
    ...asText(tie.TINYINT_BYTES),
  ],
  varint: [
    ...asIntegers(['numeric', 'bigint', 'integer', 'smallint'], 1, tie.VARINT_BYTES),
    ...asText(tie.VARINT_BYTES),
  ],
  decimal: [
    choice('numeric', compileDecimal, null, {
      modifiers: 'precision-scale',
      // As partition keys 1.0 and 1.00 are two, for PostgreSQL's numeric one.
      partitionKey: false,
      // numeric(p,s) gives every value the same scale: the source's is lost.
      tieBytes: (column) => (column.target.modifiers.length === 0 ? tie.DECIMAL_BYTES : null),
      shown: (text, mapping) => mapping.asStored(text),
      losesBytes: mayHaveHadExponent,
    }),
    ...decimalAsText,
  ],
  // PostgreSQL takes −0 and 0 for equal, Cassandra never does.
  float: [
    choice('real', realMapping, tie.FLOAT_BYTES, { ...NO_KEY, losesBytes: isNaNText }),
    choice('double precision', floatAsDoubleMapping, tie.FLOAT_BYTES, { ...NO_KEY, losesBytes: isNaNText }),
    ...asText(tie.FLOAT_BYTES, { losesBytes: isNaNText }),
  ],
  double: [
    choice('double precision', doubleMapping, tie.DOUBLE_BYTES, { ...NO_KEY, losesBytes: isNaNText }),
    ...asText(tie.DOUBLE_BYTES, { losesBytes: isNaNText }),
  ],
  boolean: [
    choice('boolean', booleanMapping, tie.BOOLEAN_BYTES),
    ...asText(tie.BOOLEAN_BYTES, { clustering: 'same-order' }),
  ],
  date: [
    choice('date', dateMapping, tie.DATE_BYTES),
    choice('integer', dateAsDaysMapping, tie.DAYS_BYTES),
    ...asText(null),
  ],
  time: [
    choice('time without time zone', (column) => timeMapping(losesNanoseconds(column)), null, {
      modifiers: 'microseconds',
      tieBytes: (column) => (losesNanoseconds(column) ? null : tie.TIME_BYTES),
      shown: shownTime,
    }),
    choice('bigint', timeAsNsMapping, tie.BIGINT_BYTES),
    // Fixed width: text order is time order.
    ...asText(tie.TIME_TEXT_BYTES, { clustering: 'same-order' }),
  ],
  timestamp: TIMESTAMP_CHOICES,
  uuid: UUID_CHOICES,
  timeuuid: UUID_CHOICES,
  inet: [choice('inet', () => inetMapping, tie.INET_BYTES, { clustering: 'other-order' }), ...asText(tie.INET_BYTES)],
  blob: [
    choice('bytea', () => identityMapping(), tie.RAW_BYTES),
    ...asText(tie.HEX_TEXT_BYTES, { clustering: 'same-order' }),
  ],
  // interval keeps microseconds only and takes 30 days for a month when it compares; text keeps what was there.
  duration: asText(null, NO_KEY),
};

/**
 * jsonb as a key would take [1.0] and [1.00] for equal and order by its own rules, so keys are canonical text, which is
 * the same exactly where the value is.
 */
const COLLECTION_CHOICES: readonly TargetChoice[] = [
  choice('jsonb', (column) => collectionAsJsonbMapping(column.type), null, {
    ...NO_KEY,
    shown: (text) => jsonbText(parseJson(text)),
  }),
  choice('json', () => identityMapping(), null, NO_KEY),
  ...asText(null),
];

const VECTOR_CHOICES: readonly TargetChoice[] = [
  ...COLLECTION_CHOICES,
  choice('real', (column) => vectorAsRealsMapping(column.type), tie.REALS_BYTES, {
    ...NO_KEY,
    array: true,
    serialise: realsBytes,
    losesBytes: (text) => text.includes('NaN'),
  }),
];

/** The targets that a CQL type may have, the usual one first. None: the type can't be mapped. */
export function choicesOf(type: CqlType): readonly TargetChoice[] {
  switch (type.kind) {
    case 'scalar':
      return SCALARS[type.name];
    case 'list':
    case 'set':
    case 'map':
    case 'tuple':
    case 'udt':
      return COLLECTION_CHOICES;
    case 'vector': {
      const { element } = type;
      return element.kind === 'scalar' && element.name === 'float' ? VECTOR_CHOICES : COLLECTION_CHOICES;
    }
    case 'custom':
      return [];
  }
}
