import type { CqlType } from '../../change/source-type.ts';
import { collectionText } from '../../change/values/value-collection.ts';
import { Refused } from './codes.ts';
import { isObject, own, type Json } from './json.ts';
import { compileBlank, compileWhole, holdsBlob, type MetBlobs } from './nested-blob.ts';
import { refuse, WIRE_SCALARS, type Reading, type WireDecoder } from './wire-scalars.ts';

/** Decodes an element that may be null, keeping the place for refusals. */
function part(decoder: WireDecoder, value: Json | undefined, reading: Reading, place: string | number): string | null {
  if (value === undefined || value === null) return null;
  const outer = reading.path;
  reading.path = typeof place === 'number' ? `${outer}[${place}]` : `${outer}.${place}`;
  const text = decoder(value, reading);
  reading.path = outer;
  return text;
}

function arrayDecoder(type: CqlType, element: WireDecoder): WireDecoder {
  return (value, reading) => {
    if (!Array.isArray(value)) throw refuse(reading, 'BAD_VALUE', value, 'JSON array');
    const elements = value as readonly Json[];
    return collectionText(
      type,
      elements.map((item, index) => part(element, item, reading, index)),
    );
  };
}

/** A struct of the connector: `{"field1":…}` for tuples, the fields by name for UDTs. */
function structDecoder(type: CqlType, names: readonly string[], decoders: readonly WireDecoder[]): WireDecoder {
  const known = new Set(names);
  return (value, reading) => {
    if (!isObject(value)) throw refuse(reading, 'BAD_VALUE', value, 'JSON object');
    for (const name of Object.keys(value)) {
      if (!known.has(name))
        throw new Refused('UNKNOWN_COLUMN', `${reading.path}.${name}`, 'the type has no such field');
    }
    return collectionText(
      type,
      names.map((name, index) => {
        const decoder = decoders[index];
        return decoder === undefined ? null : part(decoder, own(value, name), reading, name);
      }),
    );
  };
}

/**
 * Maps come as an object where Connect's schema of the key is a string (text, but also uuid, inet, decimal, varint), as
 * `[[key, value], …]` otherwise. Both are read for every key type.
 */
function mapDecoder(type: CqlType, key: WireDecoder, val: WireDecoder): WireDecoder {
  return (value, reading) => {
    const parts: (string | null)[] = [];
    if (isObject(value)) {
      for (const [name, item] of Object.entries(value)) {
        parts.push(part(key, name, reading, name), part(val, item, reading, name));
      }
    } else if (Array.isArray(value)) {
      for (const [index, pair] of (value as readonly Json[]).entries()) {
        if (!Array.isArray(pair) || pair.length !== 2) throw refuse(reading, 'BAD_VALUE', value, 'list of pairs');
        const [first, second] = pair as readonly Json[];
        parts.push(part(key, first, reading, index), part(val, second, reading, index));
      }
    } else throw refuse(reading, 'BAD_VALUE', value, 'JSON object or list of pairs');
    return collectionText(type, parts);
  };
}

function isFrozen(type: CqlType): boolean {
  return (
    type.kind === 'tuple' || type.kind === 'vector' || (type.kind !== 'scalar' && type.kind !== 'custom' && type.frozen)
  );
}

/**
 * Compiles a type into the decoder of its JSON form. `blob` decodes the blobs inside it: those inside a frozen value are
 * special (nested-blob.ts), the frozen value nearest to the cell being the one whose bytes they carry.
 */
export function compileWire(type: CqlType, blob: WireDecoder | null = null): WireDecoder {
  if (blob === null && isFrozen(type) && holdsBlob(type)) {
    const met: MetBlobs = { bytes: [] };
    return compileWhole(type, compileWire(type, compileBlank(met)), met);
  }
  switch (type.kind) {
    case 'scalar':
      return type.name === 'blob' && blob !== null ? blob : WIRE_SCALARS[type.name];
    case 'custom':
      return (value, reading) => {
        throw refuse(reading, 'BAD_VALUE', value, `type Lockstep knows (${type.name})`);
      };
    case 'list':
    case 'set':
    case 'vector':
      return arrayDecoder(type, compileWire(type.element, blob));
    case 'map':
      return mapDecoder(type, compileWire(type.key, blob), compileWire(type.value, blob));
    case 'tuple':
      return structDecoder(
        type,
        type.elements.map((_, index) => `field${index + 1}`),
        type.elements.map((element) => compileWire(element, blob)),
      );
    case 'udt':
      return structDecoder(
        type,
        type.fields.map((field) => field.name),
        type.fields.map((field) => compileWire(field.type, blob)),
      );
  }
}
