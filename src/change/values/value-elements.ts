import type { CqlType } from '../source-type.ts';

/**
 * The parts of a collection's JSON text: elements of a list, set, vector or tuple, the fields of a UDT in type order,
 * the keys and values of a map in turn. Each part is the text of its own type again, null where the element is null.
 */
export type Elements = readonly (string | null)[];

interface NodeObject {
  readonly [name: string]: Node;
}
type Node = null | boolean | string | readonly Node[] | NodeObject;

// Newer than the library types of ES2023, present in every supported Node (≥ 22.18).
interface SourceTextJson {
  parse(text: string, reviver: (key: string, value: unknown, context: { readonly source?: string }) => unknown): Node;
  rawJSON(text: string): Node;
  isRawJSON(value: unknown): value is { readonly rawJSON: string };
}
const json = JSON as unknown as SourceTextJson;

/** Numbers stay what was written: a varint or a decimal in a list is no double. */
function parseExactly(text: string): Node | undefined {
  try {
    return json.parse(text, (_key, value, context) =>
      typeof value === 'number' ? json.rawJSON(context.source ?? String(value)) : value,
    );
  } catch {
    return undefined;
  }
}

function textOf(node: Node | undefined): string | null {
  if (node === null || node === undefined) return null;
  if (typeof node === 'string') return node;
  return json.isRawJSON(node) ? node.rawJSON : JSON.stringify(node);
}

function isPlainObject(node: Node): node is NodeObject {
  return typeof node === 'object' && node !== null && !Array.isArray(node) && !json.isRawJSON(node);
}

function mapElements(node: Node): Elements | null {
  const parts: (string | null)[] = [];
  if (isPlainObject(node)) {
    for (const [key, value] of Object.entries(node)) parts.push(key, textOf(value));
    return parts;
  }
  if (!Array.isArray(node)) return null;
  for (const pair of node as readonly Node[]) {
    if (!Array.isArray(pair) || pair.length !== 2) return null;
    parts.push(textOf(pair[0] as Node), textOf(pair[1] as Node));
  }
  return parts;
}

/** The parts of a value's JSON text, or null where the text is not of that type. Not for scalars. */
export function elementsOf(type: CqlType, text: string): Elements | null {
  const node = parseExactly(text);
  if (node === undefined) return null;
  if (type.kind === 'map') return mapElements(node);
  if (type.kind === 'udt') {
    if (!isPlainObject(node)) return null;
    return type.fields.map((field) => (Object.hasOwn(node, field.name) ? textOf(node[field.name]) : null));
  }
  return Array.isArray(node) ? (node as readonly Node[]).map(textOf) : null;
}

/** Type of each part that `elementsOf` gives, by its position. */
export function elementType(type: CqlType, index: number): CqlType | undefined {
  switch (type.kind) {
    case 'list':
    case 'set':
    case 'vector':
      return type.element;
    case 'map':
      return index % 2 === 0 ? type.key : type.value;
    case 'tuple':
      return type.elements[index];
    case 'udt':
      return type.fields[index]?.type;
    case 'scalar':
    case 'custom':
      return undefined;
  }
}
