import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { errorCodesPage } from '../../scripts/error-codes.ts';

it('docs/error-codes.md names every code of the source (npm run docs)', () => {
  const root = join(import.meta.dirname, '..', '..');
  const page = errorCodesPage(root);
  expect(readFileSync(join(root, 'docs', 'error-codes.md'), 'utf8')).toBe(page);
  for (const code of [
    'NOT_JSON',
    'TEXT_NUL',
    'PG_23514',
    'TARGET_FED_TWICE',
    'GATE_BUSY',
    'TOO_OLD',
    'WINDOW_TOO_LARGE',
  ]) {
    expect(page).toContain(`\`${code}\``);
  }
});
