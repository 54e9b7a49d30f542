/** Finds files that are shipped with the package, from `src/` (run as TypeScript) and from `dist/` alike. */
import { existsSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

/** Directory that holds the package's package.json. */
export function packageRoot(): string {
  let dir = dirname(fileURLToPath(import.meta.url));
  while (!existsSync(join(dir, 'package.json'))) {
    const parent = dirname(dir);
    if (parent === dir) throw new Error(`no package.json above ${fileURLToPath(import.meta.url)}`);
    dir = parent;
  }
  return dir;
}

/** Absolute path of a shipped file, e.g. `packageFile('connectors', 'native', 'pom.xml')`. */
export function packageFile(...parts: string[]): string {
  return join(packageRoot(), ...parts);
}
