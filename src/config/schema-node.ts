/**
 * Walks the JSON Schema of the configuration. Known keys, environment names, masks, error texts, documentation and the
 * published schema all come from this one tree, so that none of them can say something else than the validation.
 */

/** The part of JSON Schema that `z.toJSONSchema` makes of our schema. */
export interface SchemaNode {
  readonly type?: string | readonly string[];
  readonly title?: string;
  readonly description?: string;
  readonly default?: unknown;
  readonly examples?: readonly unknown[];
  readonly properties?: Readonly<Record<string, SchemaNode>>;
  readonly required?: readonly string[];
  readonly items?: SchemaNode;
  readonly additionalProperties?: boolean | SchemaNode;
  readonly anyOf?: readonly SchemaNode[];
  readonly oneOf?: readonly SchemaNode[];
  readonly allOf?: readonly SchemaNode[];
  readonly enum?: readonly unknown[];
  readonly const?: unknown;
  readonly format?: string;
  readonly pattern?: string;
  readonly minimum?: number;
  readonly maximum?: number;
  readonly exclusiveMinimum?: number;
  readonly minItems?: number;
  readonly minLength?: number;
  /** JSON Schema's word for what may be written and never shown: our mark of a secret. */
  readonly writeOnly?: boolean;
}

/** A place in the configuration: keys and list positions. */
export type KeyPath = readonly (string | number)[];

/** `tables[0].topic`; the whole document is `(document)`. */
export function pathText(path: KeyPath): string {
  let text = '';
  for (const part of path) {
    if (typeof part === 'number') text += `[${part}]`;
    else text += text === '' ? part : `.${part}`;
  }
  return text === '' ? '(document)' : text;
}

/** The node itself and the alternatives it stands for (`anyOf`), flattened. */
export function alternatives(node: SchemaNode): readonly SchemaNode[] {
  const choices = node.anyOf ?? node.oneOf;
  return choices === undefined ? [node] : choices.flatMap(alternatives);
}

/** Every JSON type the node accepts: `string`, `null`, `object` … */
export function typesOf(node: SchemaNode): ReadonlySet<string> {
  const types = new Set<string>();
  for (const choice of alternatives(node)) {
    if (typeof choice.type === 'string') types.add(choice.type);
    else if (choice.type !== undefined) for (const type of choice.type) types.add(type);
    else if (choice.const !== undefined) types.add(typeof choice.const);
    else if (choice.enum !== undefined) types.add('string');
  }
  return types;
}

/** What the key does; of a key that may be null too, what its other alternative says. */
export function descriptionOf(node: SchemaNode): string | undefined {
  return node.description ?? alternatives(node).find((choice) => choice.description !== undefined)?.description;
}

/** True where the value itself is a secret. */
export function isSecret(node: SchemaNode): boolean {
  return node.writeOnly === true || alternatives(node).some((choice) => choice.writeOnly === true);
}

/** Keys that a mapping at this node may have, over all alternatives. */
export function propertiesOf(node: SchemaNode): Readonly<Record<string, SchemaNode>> {
  const all: Record<string, SchemaNode> = {};
  for (const choice of alternatives(node)) Object.assign(all, choice.properties ?? {});
  return all;
}

/** The node of the entries of a list, or undefined where the node is no list. */
export function itemsOf(node: SchemaNode): SchemaNode | undefined {
  return alternatives(node).find((choice) => choice.items !== undefined)?.items;
}

/** The node of the values of a mapping with free keys, or undefined. */
export function entriesOf(node: SchemaNode): SchemaNode | undefined {
  for (const choice of alternatives(node)) {
    if (typeof choice.additionalProperties === 'object') return choice.additionalProperties;
  }
  return undefined;
}

/** The node one step down. */
export function childOf(node: SchemaNode, part: string | number): SchemaNode | undefined {
  if (typeof part === 'number') return itemsOf(node);
  const properties = propertiesOf(node);
  return Object.hasOwn(properties, part) ? properties[part] : entriesOf(node);
}

/** The node at a path, or undefined where the schema knows no such place. */
export function nodeAt(root: SchemaNode, path: KeyPath): SchemaNode | undefined {
  let node: SchemaNode | undefined = root;
  for (const part of path) {
    if (node === undefined) return undefined;
    node = childOf(node, part);
  }
  return node;
}

/** True where the node, or anything below it, holds a secret. */
export function holdsSecret(node: SchemaNode): boolean {
  if (isSecret(node)) return true;
  const below = [...Object.values(propertiesOf(node)), itemsOf(node), entriesOf(node)];
  return below.some((child) => child !== undefined && holdsSecret(child));
}

/** How `walk` names the keys of a mapping that has free keys. */
export const ANY_KEY = '<name>';

/** Every named place below a node in the order of the schema; list entries appear as position 0. */
export function* walk(
  node: SchemaNode,
  path: KeyPath = [],
): Generator<{ readonly path: KeyPath; readonly node: SchemaNode; readonly required: boolean }> {
  const required = new Set(alternatives(node).flatMap((choice) => choice.required ?? []));
  for (const [key, child] of Object.entries(propertiesOf(node))) {
    yield { path: [...path, key], node: child, required: required.has(key) };
    yield* walk(child, [...path, key]);
  }
  const items = itemsOf(node);
  if (items !== undefined) yield* walk(items, [...path, 0]);
  const entries = entriesOf(node);
  if (entries !== undefined) yield* walk(entries, [...path, ANY_KEY]);
}
