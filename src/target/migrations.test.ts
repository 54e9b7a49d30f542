import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, it } from 'vitest';

it('every migration has a number of its own, without gaps', async () => {
  const names = (await readdir(join(import.meta.dirname, 'migrations'))).filter((name) => name.endsWith('.sql')).sort();
  expect(names.map((name) => Number.parseInt(name, 10))).toEqual(names.map((_, i) => i + 1));
});
