import type { CqlType } from '../../change/source-type.ts';
import { canonicalText } from '../../change/values/value-canonical.ts';
import { collectionText } from '../../change/values/value-collection.ts';
import { deserialise } from '../../change/values/value-from-bytes.ts';

/** Splits a tuple's text at its colons; a backslash stands before colons and at signs of the values. */
function tupleParts(text: string): readonly (string | null)[] {
  const parts: (string | null)[] = [];
  let part = '';
  for (let index = 0; index <= text.length; index++) {
    const char = text.charAt(index);
    if (char === '\\' && /[:@]/.test(text.charAt(index + 1))) part += text.charAt(++index);
    else if (char === ':' || index === text.length) {
      parts.push(part === '@' && text.charAt(index - 2) !== '\\' ? null : part);
      part = '';
    } else part += char;
  }
  return parts;
}

function tupleText(type: CqlType, elements: readonly CqlType[], text: string): string | null {
  const parts = tupleParts(text);
  if (parts.length > elements.length) return null;
  const texts: (string | null)[] = [];
  for (const [index, part] of parts.entries()) {
    const element = elements[index];
    const value = part === null || element === undefined ? null : boundText(element, part);
    if (part !== null && value === null) return null;
    texts.push(value);
  }
  return collectionText(type, texts);
}

/**
 * Canonical text of a clustering value in a range bound, where it arrives as Cassandra's `AbstractType.getString`: dates
 * and timestamps in ISO form, blobs as bare hex, addresses without the slash, tuples as `1:a\:b:@`, other collections as
 * the hex of their bytes. Null for what can't be read, such as the empty value of a type that has none here.
 */
export function boundText(type: CqlType, text: string): string | null {
  switch (type.kind) {
    case 'scalar':
    case 'custom':
      return canonicalText(type, text);
    case 'tuple':
      return tupleText(type, type.elements, text);
    case 'udt':
      return tupleText(
        type,
        type.fields.map((field) => field.type),
        text,
      );
    case 'list':
    case 'set':
    case 'map':
    case 'vector':
      return /^(?:[0-9a-f]{2})*$/.test(text) ? deserialise(type, Buffer.from(text, 'hex')) : null;
  }
}
