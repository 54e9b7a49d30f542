import type { CqlType } from '../source-type.ts';
import { malformed, orderedElements } from './value-clustering.ts';
import { elementType } from './value-elements.ts';
import { FIXED_LENGTHS } from './value-from-bytes.ts';
import { bytesKnown, serialise } from './value-serialised.ts';

/**
 * Bytes of key columns, frozen collections, tuples, user-defined types and vectors included: what a row is asked for by,
 * and what its token is computed from. (`org.apache.cassandra.serializers`, native protocol v3: parts with a 4-byte
 * length, −1 for null; collections with a 4-byte count before them.) Apart from `serialise`, because ties of such values
 * are not decided by bytes here: what PostgreSQL stores of them has lost those.
 */

/** Whether `keyBytes` gives the source's bytes for values of this type. */
export function keyBytesKnown(type: CqlType): boolean {
  switch (type.kind) {
    case 'scalar':
      return bytesKnown(type);
    case 'list':
    case 'set':
      return keyBytesKnown(type.element);
    case 'map':
      return keyBytesKnown(type.key) && keyBytesKnown(type.value);
    case 'tuple':
      return type.elements.every(keyBytesKnown);
    case 'udt':
      return type.fields.every((field) => keyBytesKnown(field.type));
    case 'vector':
      return type.element.kind === 'scalar' && FIXED_LENGTHS[type.element.name] !== undefined;
    case 'custom':
      return false;
  }
}

function int32(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeInt32BE(value);
  return bytes;
}

const NULL_LENGTH = int32(-1);

/** How many parts a value has, where that stands before them; null where the type tells it. */
function countOf(type: CqlType, parts: number): Buffer | null {
  if (type.kind === 'list' || type.kind === 'set') return int32(parts);
  return type.kind === 'map' ? int32(parts / 2) : null;
}

/**
 * Cassandra's serialised bytes of canonical text, or null where the type's are not known or a scalar is no value of its
 * type. Sets and maps are put into the source's order. @throws {LockstepError} `row` for text that is no such collection.
 */
export function keyBytes(type: CqlType, text: string): Uint8Array | null {
  if (type.kind === 'scalar' || type.kind === 'custom') return serialise(type, text);
  if (!keyBytesKnown(type)) return null;
  const parts = orderedElements(type, text);
  if (type.kind === 'vector' && parts.length !== type.dimensions) throw malformed(type, text);
  const count = countOf(type, parts.length);
  const written: Uint8Array[] = count === null ? [] : [count];
  for (const [index, part] of parts.entries()) {
    if (part === null) {
      written.push(NULL_LENGTH);
      continue;
    }
    const partType = elementType(type, index);
    const bytes = partType === undefined ? null : keyBytes(partType, part);
    if (bytes === null) return null;
    written.push(...(type.kind === 'vector' ? [bytes] : [int32(bytes.length), bytes]));
  }
  return Buffer.concat(written);
}
