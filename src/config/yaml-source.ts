import { isMap, isScalar, isSeq, LineCounter, parseDocument, type Document, type Node } from 'yaml';
import type { ConfigurationProblem } from './configuration-error.ts';
import { shieldReferences } from './interpolation.ts';
import { pathText, type KeyPath } from './schema-node.ts';

/** A parsed YAML file that still knows on which line each key stands. */
export interface YamlSource {
  /** The plain value; `{}` for an empty file. */
  readonly value: unknown;
  /** `lockstep.yaml:12` of a key, or of the nearest place above it that is in the file. */
  where(path: KeyPath): string;
  readonly problems: readonly ConfigurationProblem[];
}

function keyNode(node: unknown, part: string | number): { readonly at: unknown; readonly next: unknown } | null {
  if (isMap(node)) {
    const pair = node.items.find((item) => (isScalar(item.key) ? item.key.value : item.key) === part);
    return pair === undefined ? null : { at: pair.key, next: pair.value };
  }
  if (isSeq(node) && typeof part === 'number') {
    const item = node.items[part];
    return item === undefined ? null : { at: item, next: item };
  }
  return null;
}

function lineOf(document: Document, lines: LineCounter, path: KeyPath): number | null {
  let node: unknown = document.contents;
  let offset: number | null = null;
  for (const part of path) {
    const found = keyNode(node, part);
    if (found === null) break;
    offset = (found.at as Node | null)?.range?.[0] ?? offset;
    node = found.next;
  }
  return offset === null ? null : lines.linePos(offset).line;
}

/** A copy with every text, keys included, passed through `restore`. */
function mapTexts(value: unknown, restore: (text: string) => string): unknown {
  if (typeof value === 'string') return restore(value);
  if (Array.isArray(value)) return value.map((entry) => mapTexts(entry, restore));
  if (typeof value === 'object' && value !== null && !(value instanceof Date)) {
    return Object.fromEntries(Object.entries(value).map(([key, entry]) => [restore(key), mapTexts(entry, restore)]));
  }
  return value;
}

/**
 * Parses YAML 1.2; references to the environment stay in the texts as they were written. Of syntax errors every duplicate
 * key and the first of the others is reported: what follows that one is mostly its consequence. Messages leave out the
 * text that was found, because it may be a secret.
 */
export function parseYaml(text: string, fileName: string): YamlSource {
  const shielded = shieldReferences(text);
  const lines = new LineCounter();
  const document = parseDocument(shielded.text, { lineCounter: lines, prettyErrors: false });
  const duplicates = document.errors.filter((error) => error.code === 'DUPLICATE_KEY');
  const others = document.errors.filter((error) => error.code !== 'DUPLICATE_KEY').slice(0, 1);
  const problems = [...duplicates, ...others].map((error): ConfigurationProblem => {
    const { line } = lines.linePos(error.pos[0]);
    return {
      code: 'CONFIG_SYNTAX',
      path: pathText([]),
      where: `${fileName}:${line}`,
      found: error.message.replace(/: "[^]*$/, ''),
      expected: error.code === 'DUPLICATE_KEY' ? 'each key once in its mapping' : 'well-formed YAML',
      remedy:
        error.code === 'DUPLICATE_KEY'
          ? 'Remove or merge one of the two.'
          : 'Correct the line or the one above it; quote text that holds any of : # { } [ ] & * ! | > % @.',
    };
  });
  let value: unknown = {};
  if (problems.length === 0) {
    try {
      value = mapTexts(document.toJS() ?? {}, (piece) => shielded.restore(piece));
    } catch (error) {
      // An alias without its anchor, or one that expands without end: yaml reports these only here.
      problems.push({
        code: 'CONFIG_SYNTAX',
        path: pathText([]),
        where: fileName,
        found: error instanceof Error ? error.message : String(error),
        expected: 'aliases (*name) that refer to anchors (&name) above them',
        remedy: 'Write the values out instead of using aliases.',
      });
    }
  }
  return {
    value,
    problems,
    where: (path) => {
      const line = lineOf(document, lines, path);
      return line === null ? fileName : `${fileName}:${line}`;
    },
  };
}
