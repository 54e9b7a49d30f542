import { parseCqlType, type UdtLookup } from '../change/parse-cql-type.ts';
import type { CqlType, UdtType } from '../change/source-type.ts';
import { LockstepError } from '../shared/errors.ts';

/** A user-defined type as it is declared: field names with the text of their types, in order. */
export interface UserTypeDefinition {
  readonly name: string;
  readonly fields: readonly { readonly name: string; readonly typeText: string }[];
}

/**
 * Resolves user-defined types of one keyspace by name, each once. A type may use types that stand later in the list; one
 * that contains itself is refused (Cassandra would not have it, a declaration might).
 */
export function userTypeLookup(definitions: readonly UserTypeDefinition[]): UdtLookup {
  const byName = new Map(definitions.map((definition) => [definition.name, definition]));
  const resolved = new Map<string, UdtType['fields']>();
  const open = new Set<string>();
  const lookup: UdtLookup = (name) => {
    const known = resolved.get(name);
    const definition = byName.get(name);
    if (known !== undefined || definition === undefined) return known;
    if (open.has(name)) {
      throw new LockstepError(`the type ${JSON.stringify(name)} contains itself`, {
        code: 'CQL_TYPE_UNKNOWN',
        kind: 'config',
        remedy: 'correct the declaration of the type',
      });
    }
    open.add(name);
    const fields = definition.fields.map((field) => ({ name: field.name, type: parseCqlType(field.typeText, lookup) }));
    open.delete(name);
    resolved.set(name, fields);
    return fields;
  };
  return lookup;
}

/** A type that no parser knows is kept by its text; `bindTable` refuses it, unless its column is excluded. */
export function parseOrCustom(typeText: string, lookup: UdtLookup): CqlType {
  try {
    return parseCqlType(typeText, lookup);
  } catch (error) {
    if (error instanceof LockstepError && error.kind === 'config') return { kind: 'custom', name: typeText };
    throw error;
  }
}
