import { readFileSync } from 'node:fs';
import { join } from 'node:path';

/** Version of Lockstep, from the package.json beside `src/` and `dist/`. */
export function packageVersion(): string {
  const text = readFileSync(join(import.meta.dirname, '..', '..', '..', 'package.json'), 'utf8');
  return (JSON.parse(text) as { version: string }).version;
}
