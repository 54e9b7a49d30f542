import { distance } from 'fastest-levenshtein';
import type { z } from 'zod';
import type { ConfigurationProblem } from './configuration-error.ts';
import {
  alternatives,
  descriptionOf,
  nodeAt,
  pathText,
  propertiesOf,
  typesOf,
  walk,
  type KeyPath,
  type SchemaNode,
} from './schema-node.ts';
import { shownValue } from './secrets.ts';

type Issue = z.core.$ZodIssue;

/** Where the value at a path was written: a line of the file or a variable. */
export type Locate = (path: KeyPath) => string;

/** The value at a path of the unvalidated document. */
export function valueAt(value: unknown, path: KeyPath): unknown {
  let current = value;
  for (const part of path) {
    if (typeof current !== 'object' || current === null || !Object.hasOwn(current, part)) return undefined;
    current = (current as Record<string | number, unknown>)[part];
  }
  return current;
}

function numberRange(node: SchemaNode): string {
  const from = node.minimum ?? node.exclusiveMinimum;
  const fromText = node.exclusiveMinimum === undefined ? `from ${from}` : `above ${from}`;
  const bounded = (limit: number | undefined) => limit !== undefined && Math.abs(limit) < Number.MAX_SAFE_INTEGER;
  if (bounded(from) && bounded(node.maximum)) return ` ${fromText} to ${node.maximum}`;
  if (bounded(from)) return ` ${fromText}`;
  return bounded(node.maximum) ? ` up to ${node.maximum}` : '';
}

function expectedOne(node: SchemaNode): string {
  if (node.enum !== undefined) return `one of ${node.enum.map(String).join(', ')}`;
  if (node.const !== undefined) return JSON.stringify(node.const);
  if (node.title !== undefined) return node.title;
  const types = [...typesOf(node)].filter((type) => type !== 'null');
  switch (types[0]) {
    case 'integer':
      return `a whole number${numberRange(node)}`;
    case 'number':
      return `a number${numberRange(node)}`;
    case 'boolean':
      return 'true or false';
    case 'array':
      return node.items?.title === undefined ? 'a list' : `a list of ${node.items.title}`;
    case 'object': {
      const keys = Object.keys(propertiesOf(node));
      return keys.length === 0 ? 'a mapping' : `a mapping with the keys ${keys.join(', ')}`;
    }
    default:
      return node.minLength === undefined || node.minLength === 0 ? 'a text' : 'a text that is not empty';
  }
}

/** What a key takes, in words: from its title, else from its type and limits. */
export function expectedText(node: SchemaNode | undefined): string {
  if (node === undefined) return 'a value that fits';
  const examples = node.examples ?? alternatives(node).flatMap((choice) => choice.examples ?? []);
  const example = examples.length === 0 ? '' : `, such as ${examples.map(String).join(' or ')}`;
  const texts = new Set<string>();
  if (node.title !== undefined) texts.add(node.title);
  else for (const choice of alternatives(node)) if (choice.type !== 'null') texts.add(expectedOne(choice));
  const orNull = typesOf(node).has('null') ? ' or null' : '';
  return [...texts].join(' or ') + orNull + example;
}

/** Names within this share of their length are taken for a slip of the finger. */
const NEAR_SHARE = 0.4;

/** What the writer of an unknown key most likely meant. */
function adviceFor(key: string, parent: KeyPath, root: SchemaNode): string {
  const siblings = Object.keys(propertiesOf(nodeAt(root, parent) ?? root));
  const closeness = (name: string) => distance(name.toLowerCase(), key.toLowerCase());
  const nearest = siblings.reduce<string | undefined>(
    (best, name) => (best === undefined || closeness(name) < closeness(best) ? name : best),
    undefined,
  );
  if (nearest !== undefined && closeness(nearest) <= Math.max(1, NEAR_SHARE * key.length)) {
    return `Did you mean ${pathText([...parent, nearest])}?`;
  }
  const elsewhere = [...walk(root)].find(
    ({ path }) => String(path.at(-1)).toLowerCase() === key.toLowerCase() && path.length > 0,
  );
  if (elsewhere !== undefined) return `That key belongs at ${pathText(elsewhere.path)}.`;
  if (nearest === undefined) return 'Remove the key.';
  return `The nearest known key is ${pathText([...parent, nearest])}; remove or correct this one.`;
}

function unknownKeys(
  issue: Issue & { keys: string[] },
  path: KeyPath,
  value: unknown,
  root: SchemaNode,
  locate: Locate,
) {
  const parent = nodeAt(root, path) ?? root;
  return issue.keys.map((key): ConfigurationProblem => {
    const at = [...path, key];
    return {
      code: 'CONFIG_UNKNOWN_KEY',
      path: pathText(at),
      where: locate(at),
      found: `an unknown key with the value ${shownValue(valueAt(value, at), undefined, key)}`,
      expected: `one of ${Object.keys(propertiesOf(parent)).join(', ')}`,
      remedy: adviceFor(key, path, root),
    };
  });
}

/** Of the alternatives of a union, the one that the value came closest to: not refused for its mere type. */
function closestBranch(branches: readonly (readonly Issue[])[]): readonly Issue[] | undefined {
  const sameType = branches.filter(
    (issues) => !issues.some((issue) => issue.path.length === 0 && issue.code === 'invalid_type'),
  );
  return sameType.length === 0
    ? undefined
    : sameType.reduce((best, issues) => (issues.length < best.length ? issues : best));
}

/** Turns what zod found into problems that name key, value, expectation and remedy. */
export function problemsOf(
  issues: readonly Issue[],
  value: unknown,
  root: SchemaNode,
  locate: Locate,
  base: KeyPath = [],
): readonly ConfigurationProblem[] {
  return issues.flatMap((issue): readonly ConfigurationProblem[] => {
    const path: KeyPath = [...base, ...(issue.path as (string | number)[])];
    if (issue.code === 'unrecognized_keys') return unknownKeys(issue, path, value, root, locate);
    if (issue.code === 'invalid_union') {
      const branch = closestBranch(issue.errors);
      if (branch !== undefined) return problemsOf(branch, value, root, locate, path);
    }
    const node = nodeAt(root, path);
    const found = valueAt(value, path);
    const key = pathText(path);
    const expected = expectedText(node);
    const wantsText = node !== undefined && typesOf(node).has('string') && node.enum === undefined;
    const quoting = wantsText && typeof found !== 'string' && typeof found !== 'object' ? ' Put text in quotes.' : '';
    const fallback = node?.default === undefined ? '' : ` (default ${JSON.stringify(node.default)})`;
    if (found === undefined) {
      const remedy = `Add the key ${key}: ${(node && descriptionOf(node)) ?? expected}`;
      return [{ code: 'CONFIG_MISSING', path: key, where: locate(path), found: 'nothing', expected, remedy }];
    }
    return [
      {
        code: 'CONFIG_VALUE',
        path: key,
        where: locate(path),
        found: shownValue(found, node, String(path.at(-1))),
        // A rule of a custom check says itself what it wants.
        expected: issue.code === 'custom' ? issue.message : expected,
        remedy: `Set ${key} to ${expected}${fallback}.${quoting}`,
      },
    ];
  });
}
