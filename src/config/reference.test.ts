import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { variableName } from './overrides.ts';
import { configurationReference, publishedSchema } from './reference.ts';
import { configurationNode } from './schema.ts';
import { ANY_KEY, descriptionOf, walk } from './schema-node.ts';

const root = join(import.meta.dirname, '..', '..');

describe('what is made from the schema', () => {
  it('is what docs/configuration.md says (npm run docs)', () => {
    expect(readFileSync(join(root, 'docs', 'configuration.md'), 'utf8')).toBe(configurationReference());
  });

  it('is what lockstep.schema.json says (npm run docs)', () => {
    expect(JSON.parse(readFileSync(join(root, 'lockstep.schema.json'), 'utf8'))).toEqual(publishedSchema());
  });

  it('describes every key', () => {
    const undescribed = [...walk(configurationNode)].filter(({ node }) => (descriptionOf(node) ?? '') === '');
    expect(undescribed.map(({ path }) => path.join('.'))).toEqual([]);
  });

  it('gives every key a variable of its own', () => {
    const names = [...walk(configurationNode)]
      .filter(({ path }) => !path.includes(ANY_KEY))
      .map(({ path }) => variableName(path));
    expect(new Set(names).size).toBe(names.length);
  });
});
