import type { CqlType } from '../../change/source-type.ts';
import { canonicalText } from '../../change/value-canonical.ts';

/**
 * Canonical text of a clustering value in a range bound, where it arrives as Cassandra's `AbstractType.getString`: dates
 * and timestamps in ISO form, blobs as bare hex, addresses without the slash, and null for what can't be read.
 *
 * An empty text is an empty (zero-length) value, which only text and blob have here.
 */
export function boundText(type: CqlType, text: string): string | null {
  if (type.kind !== 'scalar') return null;
  return canonicalText(type, text);
}
