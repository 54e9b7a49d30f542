import { parse } from 'yaml';
import { itemsOf, typesOf, type SchemaNode } from './schema-node.ts';

/**
 * Reads the text of an environment variable as what the key expects. Text stays text where the key takes text (a password
 * `123456` is no number); `null` means null where the key may be null; anything else is read as YAML (of which JSON is a
 * part); a list of texts may be written with commas. What can't be read is passed on as text: validation names it.
 */
export function coerceText(text: string, node: SchemaNode | undefined): unknown {
  if (node === undefined) return text;
  const types = typesOf(node);
  if (types.has('null') && text === 'null') return null;
  if (types.has('string')) return text;
  let value: unknown;
  try {
    value = parse(text);
  } catch {
    value = text;
  }
  const items = itemsOf(node);
  if (items !== undefined && !Array.isArray(value) && typesOf(items).has('string')) {
    return text
      .split(',')
      .map((part) => part.trim())
      .filter((part) => part !== '');
  }
  return value;
}
