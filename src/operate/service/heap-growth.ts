import { setFlagsFromString } from 'node:v8';

/**
 * How much the heap may grow over what is alive before it is collected again, percent. V8's own choice is up to 300 % on
 * a machine with much memory, because it optimises for one process alone. `npm run bench:apply` on 2 cores, resident
 * memory / CPU per 1M changes: 300 % (default) 510 MB / 18 s, 130 % 408 MB / 17 s, 80 % 396 MB / 20 s, 25 % 275 MB / 31 s.
 */
const GROWTH_PERCENT = 50;

/**
 * Bounds the memory of the service without a limit that could end it (`--max-old-space-size` would). The flag is read
 * anew at each collection, so it may be set while running; whoever starts Node with other heap flags keeps theirs.
 */
export function boundHeapGrowth(): void {
  const options = [...process.execArgv, process.env['NODE_OPTIONS'] ?? ''].join(' ');
  if (/--(?:max|heap|initial|semi)[-_]/.test(options)) return;
  setFlagsFromString(`--heap-growing-percent=${GROWTH_PERCENT}`);
}
