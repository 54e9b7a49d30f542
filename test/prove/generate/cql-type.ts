/** Random column types, and values of them. */
import * as plain from '../../../src/demo/proof/plain-value.ts';
import { shuffled, type Random } from '../../../src/demo/workload/random.ts';
import { randomScalar, SCALAR_NAMES, type CqlValue, type ScalarName } from './cql-value.ts';

/** A type as the generator knows it. `frozen` is of no meaning for tuples, which always are. */
export type GeneratedType =
  | { readonly kind: 'scalar'; readonly name: ScalarName }
  | { readonly kind: 'list' | 'set'; readonly element: GeneratedType; readonly frozen: boolean }
  | { readonly kind: 'map'; readonly key: GeneratedType; readonly value: GeneratedType; readonly frozen: boolean }
  | { readonly kind: 'tuple'; readonly elements: readonly GeneratedType[] }
  | {
      readonly kind: 'udt';
      readonly name: string;
      readonly fields: readonly { readonly name: string; readonly type: GeneratedType }[];
      readonly frozen: boolean;
    };

const scalar = (name: ScalarName): GeneratedType => ({ kind: 'scalar', name });

/** The user-defined type that every generated keyspace has. */
export const PLACE: GeneratedType & { kind: 'udt' } = {
  kind: 'udt',
  name: 'place',
  frozen: true,
  fields: [
    { name: 'street', type: scalar('text') },
    { name: 'number', type: scalar('int') },
    { name: 'area', type: scalar('decimal') },
  ],
};

/** The type as CQL writes it. */
export function typeText(type: GeneratedType): string {
  switch (type.kind) {
    case 'scalar':
      return type.name;
    case 'list':
    case 'set':
      return frozenText(`${type.kind}<${typeText(type.element)}>`, type.frozen);
    case 'map':
      return frozenText(`map<${typeText(type.key)}, ${typeText(type.value)}>`, type.frozen);
    case 'tuple':
      return `tuple<${type.elements.map(typeText).join(', ')}>`;
    case 'udt':
      return frozenText(type.name, type.frozen);
  }
}

const frozenText = (text: string, frozen: boolean): string => (frozen ? `frozen<${text}>` : text);

/** Whether a column of the type is made of several cells, each with a write time of its own. */
export function isMultiCell(type: GeneratedType): boolean {
  return type.kind !== 'scalar' && type.kind !== 'tuple' && !type.frozen;
}

/** Values inside collections: jsonb has no −0 (docs/type-mapping.md), and `SELECT JSON` no NaN. */
const INSIDE_NAMES = SCALAR_NAMES.filter((name) => name !== 'float' && name !== 'double');
/** Elements of sets and keys of maps: types of which equal values have one text. */
const INSIDE_KEYS = INSIDE_NAMES.filter((name) => name !== 'decimal');

/** A collection, tuple or UDT; frozen as told. */
export function randomComposite(random: Random, frozen: boolean): GeneratedType {
  const inside = (): GeneratedType => scalar(random.pick(INSIDE_NAMES));
  const key = (): GeneratedType => scalar(random.pick(INSIDE_KEYS));
  switch (random.pick(frozen ? (['list', 'set', 'map', 'tuple', 'udt'] as const) : (['list', 'set', 'map'] as const))) {
    case 'list':
      return { kind: 'list', element: inside(), frozen };
    case 'set':
      return { kind: 'set', element: key(), frozen };
    case 'map':
      return { kind: 'map', key: key(), value: inside(), frozen };
    case 'tuple':
      return { kind: 'tuple', elements: [inside(), inside()] };
    case 'udt':
      return PLACE;
  }
}

/** Types that a key column may have. */
export function randomKeyType(random: Random, partition: boolean): GeneratedType {
  if (random.chance(0.05)) return { kind: 'tuple', elements: [scalar('int'), scalar('text')] };
  if (random.chance(0.05)) return { kind: 'list', element: scalar('int'), frozen: true };
  // A partition of an empty single-column key is refused by Cassandra; its other values are few.
  return scalar(random.pick(partition ? SCALAR_NAMES.filter((name) => name !== 'boolean') : SCALAR_NAMES));
}

const MAX_ELEMENTS = 3;

/** A random value; parts of tuples and UDTs may be null. */
export function randomValue(type: GeneratedType, random: Random): CqlValue {
  const some = <T>(make: () => T): T[] => Array.from({ length: random.below(MAX_ELEMENTS + 1) }, make);
  const orNull = (part: GeneratedType): CqlValue | null => (random.chance(0.2) ? null : randomValue(part, random));
  switch (type.kind) {
    case 'scalar':
      return randomScalar(type.name, random);
    case 'list': {
      const items = some(() => randomValue(type.element, random));
      return {
        literal: `[${items.map(({ literal }) => literal).join(', ')}]`,
        plain: plain.plainSequence(items.map((item) => item.plain)),
      };
    }
    case 'set': {
      const items = [
        ...new Map(some(() => randomValue(type.element, random)).map((item) => [item.plain, item])).values(),
      ];
      return {
        literal: `{${items.map(({ literal }) => literal).join(', ')}}`,
        plain: plain.plainUnordered(items.map((item) => item.plain)),
      };
    }
    case 'map': {
      const entries = [
        ...new Map(
          some(() => [randomValue(type.key, random), randomValue(type.value, random)] as const).map((entry) => [
            entry[0].plain,
            entry,
          ]),
        ).values(),
      ];
      return {
        literal: `{${entries.map(([key, value]) => `${key.literal}: ${value.literal}`).join(', ')}}`,
        plain: plain.plainUnordered(entries.map(([key, value]) => plain.plainSequence([key.plain, value.plain]))),
      };
    }
    case 'tuple': {
      const parts = type.elements.map(orNull);
      return {
        literal: `(${parts.map((part) => part?.literal ?? 'null').join(', ')})`,
        plain: plain.plainSequence(parts.map((part) => part?.plain ?? null)),
      };
    }
    case 'udt': {
      const parts = type.fields.map((field) => [field.name, orNull(field.type)] as const);
      return {
        literal: `{${parts.map(([name, part]) => `${name}: ${part?.literal ?? 'null'}`).join(', ')}}`,
        plain: plain.plainSequence(parts.map(([, part]) => part?.plain ?? null)),
      };
    }
  }
}

/** A key value: never null inside, never empty where Cassandra refuses that. */
export function randomKeyValue(type: GeneratedType, random: Random, mayBeEmpty: boolean): CqlValue {
  for (;;) {
    const value = randomValue(type, random);
    if ((mayBeEmpty || value.plain !== '') && !value.literal.includes('null')) return value;
  }
}

/** Several different ones, few enough that statements meet on them. */
export function keyPool(type: GeneratedType, random: Random, size: number, mayBeEmpty: boolean): CqlValue[] {
  const pool = new Map<string, CqlValue>();
  // A boolean has two values and a tinyint few fixed ones: what can't be found soon is not there.
  for (let tries = 0; pool.size < size && tries < size * 20; tries += 1) {
    const value = randomKeyValue(type, random, mayBeEmpty);
    pool.set(value.plain, value);
  }
  return shuffled(random, [...pool.values()]);
}
