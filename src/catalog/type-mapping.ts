import type { ValueOrder } from '../change/row-state.ts';
import type { CqlType } from '../change/source-type.ts';
import type { UndecidedTie } from '../change/tie.ts';
import { compareSerialised } from '../change/values/value-order.ts';
import { assert } from '../shared/assert.ts';
import { compareUtf8 } from './json-text.ts';
import { quoteIdentifier } from './identifier.ts';
import type { Column, ColumnKind } from './table.ts';
import { choicesOf, LOSSES, type ColumnContext, type TargetChoice } from './target-choices.ts';
import { parseTargetType, type TargetType } from './target-type.ts';
import type { ValueMapping } from './value-mapping.ts';

export type { ValueMapping } from './value-mapping.ts';

/** Largest precision of a declared numeric(p,s), and of a varchar. */
const MAX_NUMERIC_PRECISION = 1000;
const MAX_VARCHAR_LENGTH = 10_485_760;

/** Why a column can't be kept in a type. */
export interface TypeProblem {
  readonly code: string;
  readonly message: string;
  readonly remedy: string;
}

export type ResolvedType =
  | { readonly kind: 'resolved'; readonly target: TargetType }
  | { readonly kind: 'refused'; readonly problem: TypeProblem };

/** True where the pair keeps the source's equality in that part of the key (columns outside the key have none). */
function keepsEquality(choice: TargetChoice, kind: ColumnKind): boolean {
  if (kind === 'partition') return choice.partitionKey;
  return kind !== 'clustering' || choice.clustering !== null;
}

/** A decimal anywhere inside: as clustering values [1.0] and [1.00] are one, as canonical text two. */
function holdsDecimal(type: CqlType): boolean {
  switch (type.kind) {
    case 'scalar':
      return type.name === 'decimal';
    case 'custom':
      return false;
    case 'list':
    case 'set':
    case 'vector':
      return holdsDecimal(type.element);
    case 'map':
      return holdsDecimal(type.key) || holdsDecimal(type.value);
    case 'tuple':
      return type.elements.some(holdsDecimal);
    case 'udt':
      return type.fields.some((field) => holdsDecimal(field.type));
  }
}

/** The targets that a column of this type and place may have, the usual one first. */
export function allowedTargets(type: CqlType, kind: ColumnKind): readonly TargetChoice[] {
  if (kind === 'clustering' && type.kind !== 'scalar' && holdsDecimal(type)) return [];
  return choicesOf(type).filter((choice) => keepsEquality(choice, kind));
}

/** How a choice is written in the configuration: `numeric(p,s)` as `numeric`. */
function choiceName(choice: TargetChoice): string {
  const length = choice.modifiers === 'length' ? '(n)' : choice.modifiers === 'precision-scale' ? '[(p,s)]' : '';
  const loss = choice.needs === null ? '' : ` with allowLoss: [${choice.needs}]`;
  return choice.base + length + (choice.array ? '[]' : '') + loss;
}

function refused(code: string, message: string, remedy: string): ResolvedType {
  return { kind: 'refused', problem: { code, message, remedy } };
}

function modifierProblem({ modifiers }: TargetChoice, target: TargetType): string | null {
  const [first, second] = target.modifiers;
  if (first === undefined) return null;
  switch (modifiers) {
    case 'none':
      return `${target.base} takes nothing in parentheses`;
    case 'length':
      return target.modifiers.length === 1 && first >= 1 && first <= MAX_VARCHAR_LENGTH
        ? null
        : `a length is one number from 1 to ${MAX_VARCHAR_LENGTH}`;
    case 'precision-scale':
      return target.modifiers.length === 2 &&
        second !== undefined &&
        first <= MAX_NUMERIC_PRECISION &&
        second >= 0 &&
        second <= first &&
        first >= 1
        ? null
        : `numeric takes a precision from 1 to ${MAX_NUMERIC_PRECISION} and a scale from 0 to the precision`;
    case 'milliseconds':
      return first >= 3 && first <= 6 ? null : 'fewer than 3 fraction digits would round every millisecond';
    case 'microseconds':
      return first === 6 ? null : 'fewer than 6 fraction digits would round';
  }
}

/**
 * The target type of a column: the one written in its mapping, or the usual one. Refuses a type that can't hold the
 * values exactly, or that doesn't keep the source's equality in a key.
 */
export function resolveTargetType(column: {
  readonly type: CqlType;
  readonly typeText: string;
  readonly kind: ColumnKind;
  readonly written: string | null;
  readonly allowLoss: readonly string[];
}): ResolvedType {
  const { type, typeText, kind, written, allowLoss } = column;
  const allowed = allowedTargets(type, kind);
  const [usual] = allowed;
  if (usual === undefined) {
    const key = kind === 'partition' || kind === 'clustering';
    return refused(
      key && choicesOf(type).length > 0 ? 'KEY_TYPE' : 'TYPE_UNSUPPORTED',
      `type ${typeText} ${key ? 'of a key column ' : ''}has no exact form in PostgreSQL`,
      key ? 'leave the table out: a key column cannot be excluded' : 'exclude the column: exclude: true',
    );
  }
  const target = parseTargetType(written ?? usual.base);
  const names = allowed.map(choiceName).join(', ');
  const matches = (choice: TargetChoice): boolean => choice.base === target?.base && choice.array === target.array;
  const chosen = allowed.find(matches);
  if (target === null || chosen === undefined) {
    const isKeyProblem = target !== null && choicesOf(type).some(matches);
    return refused(
      isKeyProblem ? 'KEY_TYPE' : 'TYPE_MAPPING',
      isKeyProblem
        ? `${kind} key column of type ${typeText} cannot be ${target.text}: its equality is not that of the source, so rows would merge or split`
        : `a column of type ${typeText} cannot be kept in ${JSON.stringify(written)}`,
      `use one of: ${names}`,
    );
  }
  const wrong = modifierProblem(chosen, target);
  if (wrong !== null)
    return refused('TYPE_MAPPING', `${target.text} for ${typeText}: ${wrong}`, `use one of: ${names}`);
  if (chosen.needs !== null && !allowLoss.includes(chosen.needs)) {
    return refused(
      'TYPE_LOSS',
      `${typeText} in ${target.text} loses the ${chosen.needs.replace('-', ' ')} of values`,
      `allow it by name, allowLoss: [${chosen.needs}], or use one of: ${names}`,
    );
  }
  if (allowLoss.length > 0 && (kind === 'partition' || kind === 'clustering')) {
    return refused('KEY_LOSS', 'a key column may lose nothing: different rows would become one', 'remove allowLoss');
  }
  const unknown = allowLoss.find((loss) => !(LOSSES as readonly string[]).includes(loss));
  if (unknown !== undefined) {
    return refused('TYPE_LOSS', `unknown loss ${JSON.stringify(unknown)}`, `known are: ${LOSSES.join(', ')}`);
  }
  return { kind: 'resolved', target };
}

interface CompiledColumn {
  readonly choice: TargetChoice;
  readonly context: ColumnContext;
}

/** The choice behind a bound column. `bindTable` let only possible pairs pass. */
function compiled(column: Column): CompiledColumn {
  const target = parseTargetType(column.targetType);
  const choice = choicesOf(column.type).find((one) => one.base === target?.base && one.array === target.array);
  assert(target !== null && choice !== undefined, `column ${column.name} is bound to ${column.targetType}`);
  return { choice, context: { type: column.type, kind: column.kind, target, allowLoss: column.allowLoss } };
}

/** How a column's values travel. Compile once per table; the functions are for the hot path. */
export function valueMapping(column: Column): ValueMapping {
  const { choice, context } = compiled(column);
  return choice.compile(context);
}

/**
 * SQL that gives Cassandra's serialised bytes (bytea) of a stored value; at equal write times the larger win. Null where
 * the stored form has lost them (collections, numeric(p,s), a time cut to microseconds, dates as text): there
 * `tieOrder` and `column::text COLLATE "C"` agree on an order, and only a re-read tells what the source has.
 *
 * A decimal of negative scale was stored written out (`5E+3` as 5000) and is ordered as that by both.
 *
 * @param controlSchema where `_cdc_varint_bytes` lives; left out, the search path decides.
 */
export function tieBytesSql(column: Column, expression: string, controlSchema?: string): string | null {
  const { choice, context } = compiled(column);
  const schema = controlSchema === undefined ? '' : `${quoteIdentifier(controlSchema)}.`;
  return choice.tieBytes(context)?.(expression, schema) ?? null;
}

/** The order that `tieBytesSql` gives to stored values, over canonical texts: what a fold must use so that SQL agrees. */
export function tieOrder(column: Column): ValueOrder {
  const { choice, context } = compiled(column);
  const mapping = choice.compile(context);
  const { serialise } = choice;
  if (serialise !== null) return (left, right) => Buffer.compare(serialise(left), serialise(right));
  if (choice.tieBytes(context) !== null) {
    return (left, right) => compareSerialised(column.type, mapping.asStored(left), mapping.asStored(right));
  }
  const shown = (text: string): string => choice.shown?.(text, mapping) ?? mapping.toTarget(text);
  return (left, right) => (left === right ? 0 : compareUtf8(shown(left), shown(right)));
}

/**
 * Which conflicts at equal write times nobody can decide any more from what the target keeps; null where its bytes always
 * tell. What shows the same is no conflict.
 */
export function undecidedTie(column: Column): UndecidedTie | null {
  const { choice, context } = compiled(column);
  const mapping = choice.compile(context);
  const knowsBytes = choice.serialise !== null || choice.tieBytes(context) !== null;
  const { losesBytes } = choice;
  if (knowsBytes && losesBytes === null) return null;
  return (left, right) => {
    const [one, two] = [mapping.asStored(left), mapping.asStored(right)];
    return one !== two && (!knowsBytes || losesBytes?.(one) === true || losesBytes?.(two) === true);
  };
}

/**
 * Whether PostgreSQL orders this clustering column's stored values as the source's comparator does (text under
 * COLLATE "C"), so that a range may be an SQL predicate. DESC is not considered. Otherwise the table needs `_cdc_order`.
 */
export function sameOrder(column: Column): boolean {
  return compiled(column).choice.clustering === 'same-order';
}
