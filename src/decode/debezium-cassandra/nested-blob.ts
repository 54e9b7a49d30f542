import type { CqlType } from '../../change/source-type.ts';
import { collectionText } from '../../change/values/value-collection.ts';
import { elementsOf, elementType } from '../../change/values/value-elements.ts';
import { deserialise } from '../../change/values/value-from-bytes.ts';
import type { Json } from './json.ts';
import { refuse, wireBytes, type Reading, type WireDecoder } from './wire-scalars.ts';

/**
 * A blob inside a frozen value carries the bytes of the *whole* serialised value: JsonConverter writes the array behind
 * the buffer, and the element is a slice of it (seen with the connector's own classes, 3.4.1.Final). So the value is
 * read out of those bytes, and the rest of the JSON is checked against them.
 */
export function holdsBlob(type: CqlType): boolean {
  switch (type.kind) {
    case 'scalar':
      return type.name === 'blob';
    case 'custom':
      return false;
    case 'list':
    case 'set':
    case 'vector':
      return holdsBlob(type.element);
    case 'map':
      return holdsBlob(type.key) || holdsBlob(type.value);
    case 'tuple':
      return type.elements.some(holdsBlob);
    case 'udt':
      return type.fields.some((field) => holdsBlob(field.type));
  }
}

/** What stands for every blob while the rest is compared. */
const BLANK = '\\x';

type Parts = readonly (string | null)[];

/** Blank keys stand in the order of the bytes that they were: entries are put in that of what is left of them ⚠. */
function inBlankOrder(type: CqlType, parts: Parts): Parts {
  if (type.kind !== 'map' && type.kind !== 'set') return parts;
  const width = type.kind === 'map' ? 2 : 1;
  const entries = Array.from({ length: parts.length / width }, (_, i) => parts.slice(i * width, (i + 1) * width));
  const textOf = (entry: Parts): string => JSON.stringify(entry);
  return entries.sort((a, b) => (textOf(a) < textOf(b) ? -1 : 1)).flat();
}

function withBlankBlobs(type: CqlType, text: string): string {
  if (type.kind === 'scalar') return type.name === 'blob' ? BLANK : text;
  const parts = (elementsOf(type, text) ?? []).map((part, index) => {
    const partType = elementType(type, index);
    return part === null || partType === undefined ? part : withBlankBlobs(partType, part);
  });
  return collectionText(type, inBlankOrder(type, parts));
}

/** The blobs that one decoding met, between `compileBlank`'s decoders and `compileWhole`'s. */
export interface MetBlobs {
  bytes: Buffer[];
}

/** Decodes any blob to a blank and keeps its bytes. */
export function compileBlank(met: MetBlobs): WireDecoder {
  return (value, reading) => {
    const bytes = wireBytes(value);
    if (bytes === null) throw refuse(reading, 'BAD_VALUE', value, 'base64');
    met.bytes.push(bytes);
    return BLANK;
  };
}

/** Decoder of a frozen type that holds blobs. `blank` decodes its JSON with blank blobs, noting them in `met`. */
export function compileWhole(type: CqlType, blank: WireDecoder, met: MetBlobs): WireDecoder {
  return (value: Json, reading: Reading) => {
    met.bytes = [];
    const blanked = blank(value, reading);
    const [whole, ...others] = met.bytes;
    if (whole === undefined) return blanked;
    const text = others.every((other) => other.equals(whole)) ? deserialise(type, whole) : null;
    if (text === null || withBlankBlobs(type, text) !== withBlankBlobs(type, blanked)) {
      throw refuse(reading, 'BAD_VALUE', value, 'frozen value whose blobs carry its serialised bytes');
    }
    return text;
  };
}
