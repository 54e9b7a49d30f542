import type { CqlType } from './source-type.ts';
import { compareClustering, supportsClustering } from './value-clustering.ts';
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

/** The order of set elements and map keys. */
function byKey(type: CqlType): (a: string | null, b: string | null) => number {
  const ordered = supportsClustering(type);
  return (a, b) => {
    if (a === b) return 0;
    if (a === null || b === null) return a === null ? -1 : 1;
    return ordered ? compareClustering(type, a, b) : a < b ? -1 : 1;
  };
}

function mapText(type: CqlType & { readonly kind: 'map' }, parts: Elements): string {
  const entries: [string | null, string | null][] = [];
  for (let index = 0; index < parts.length; index += 2) entries.push([parts[index] ?? null, parts[index + 1] ?? null]);
  const order = byKey(type.key);
  entries.sort((a, b) => order(a[0], b[0]));
  const textKeys = type.key.kind === 'scalar' && (type.key.name === 'text' || type.key.name === 'ascii');
  const written = entries.map(([key, value]) =>
    textKeys
      ? `${JSON.stringify(key ?? '')}:${nested(type.value, value)}`
      : `[${nested(type.key, key)},${nested(type.value, value)}]`,
  );
  return textKeys ? `{${written.join(',')}}` : `[${written.join(',')}]`;
}

/** Canonical text of a collection, tuple, UDT or vector from the canonical texts of its parts (see `elementsOf`). */
export function collectionText(type: CqlType, parts: Elements): string {
  switch (type.kind) {
    case 'set':
      return `[${parts
        .toSorted(byKey(type.element))
        .map((part) => nested(type.element, part))
        .join(',')}]`;
    case 'list':
    case 'vector':
      return `[${parts.map((part) => nested(type.element, part)).join(',')}]`;
    case 'tuple':
      return `[${type.elements.map((element, index) => nested(element, parts[index] ?? null)).join(',')}]`;
    case 'udt': {
      const fields = type.fields.map(
        (field, index) => `${JSON.stringify(field.name)}:${nested(field.type, parts[index] ?? null)}`,
      );
      return `{${fields.join(',')}}`;
    }
    case 'map':
      return mapText(type, parts);
    case 'scalar':
    case 'custom':
      return parts[0] ?? 'null';
  }
}
