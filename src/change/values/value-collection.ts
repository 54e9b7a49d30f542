import type { CqlType } from '../source-type.ts';
import { sortedParts } from './value-clustering.ts';
import type { Elements } from './value-elements.ts';

/**
 * Writes collections as canonical JSON text from the canonical texts of their parts. Sets and map entries stand in the
 * source's order of their elements, whatever order they came in: the connector passes both through Java hash tables.
 */

/** How a value stands inside a collection: numbers and booleans bare, everything else quoted. */
function nested(type: CqlType, text: string | null): string {
  if (text === null) return 'null';
  if (type.kind !== 'scalar') return text;
  switch (type.name) {
    case 'tinyint':
    case 'smallint':
    case 'int':
    case 'bigint':
    case 'counter':
    case 'varint':
    case 'decimal':
    case 'boolean':
      return text;
    case 'float':
    case 'double':
      return text === 'NaN' || text.endsWith('Infinity') ? `"${text}"` : text;
    default:
      return JSON.stringify(text);
  }
}

function mapText(type: CqlType & { readonly kind: 'map' }, parts: Elements): string {
  const textKeys = type.key.kind === 'scalar' && (type.key.name === 'text' || type.key.name === 'ascii');
  const written: string[] = [];
  for (let index = 0; index < parts.length; index += 2) {
    const key = parts[index] ?? null;
    const value = nested(type.value, parts[index + 1] ?? null);
    written.push(textKeys ? `${JSON.stringify(key ?? '')}:${value}` : `[${nested(type.key, key)},${value}]`);
  }
  return textKeys ? `{${written.join(',')}}` : `[${written.join(',')}]`;
}

/** Canonical text of a collection, tuple, UDT or vector from the canonical texts of its parts (see `elementsOf`). */
export function collectionText(type: CqlType, parts: Elements): string {
  const sorted = sortedParts(type, parts);
  switch (type.kind) {
    case 'set':
    case 'list':
    case 'vector':
      return `[${sorted.map((part) => nested(type.element, part)).join(',')}]`;
    case 'tuple':
      return `[${type.elements.map((element, index) => nested(element, parts[index] ?? null)).join(',')}]`;
    case 'udt': {
      const fields = type.fields.map(
        (field, index) => `${JSON.stringify(field.name)}:${nested(field.type, parts[index] ?? null)}`,
      );
      return `{${fields.join(',')}}`;
    }
    case 'map':
      return mapText(type, sorted);
    case 'scalar':
    case 'custom':
      return parts[0] ?? 'null';
  }
}
