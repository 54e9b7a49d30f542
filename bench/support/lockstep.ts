/** The service under measurement: the built program with a configuration of its own, as `lockstep run` starts it. */
import { spawnSync } from 'node:child_process';
import { existsSync, globSync, mkdirSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { stringify } from 'yaml';
import { startChild, type Child } from './child.ts';
import type { BenchDatabase } from './database.ts';
import { BENCH_MAPPING } from './events.ts';
import type { BenchKafka } from './kafka.ts';

const ROOT = join(import.meta.dirname, '..', '..');
const PROGRAM = join(ROOT, 'dist', 'main.js');

export interface LockstepOptions {
  /** Directory for configuration and log. */
  readonly dir: string;
  /** Another build to measure instead of this checkout's; null = dist/main.js, built when it is outdated. */
  readonly program: string | null;
  /** Where `--cpu-prof` leaves its profile when the service stops; null = no profile. */
  readonly profileDir: string | null;
}

/** Builds `dist/` when any source is newer than it. */
function buildIfOutdated(): void {
  const built = existsSync(PROGRAM) ? statSync(PROGRAM).mtimeMs : 0;
  const sources = globSync('src/**/*.{ts,sql}', { cwd: ROOT }).filter((file) => !file.endsWith('.test.ts'));
  if (sources.every((file) => statSync(join(ROOT, file)).mtimeMs <= built)) return;
  process.stderr.write('building dist/ …\n');
  const { status } = spawnSync(process.execPath, [join(ROOT, 'scripts', 'build.mjs')], {
    stdio: ['ignore', 'inherit', 'inherit'],
  });
  if (status !== 0) throw new Error('npm run build failed');
}

export function prepareProgram(program: string | null): string {
  if (program === null) buildIfOutdated();
  return program ?? PROGRAM;
}

/** Starts the service. Its table's schema is declared, because there is no Cassandra here. */
export function startLockstep(kafka: BenchKafka, database: BenchDatabase, options: LockstepOptions): Child {
  mkdirSync(options.dir, { recursive: true });
  const configFile = join(options.dir, 'lockstep.yaml');
  const configuration = {
    kafka: { brokers: [kafka.broker], groupId: 'bench', clientId: 'bench' },
    target: { postgres: { url: database.url } },
    tables: [BENCH_MAPPING],
    api: { port: 0 },
    log: { level: 'info' },
  };
  writeFileSync(configFile, stringify(configuration));
  const profile = options.profileDir === null ? [] : ['--cpu-prof', `--cpu-prof-dir=${options.profileDir}`];
  const program = options.program ?? PROGRAM;
  return startChild(
    'lockstep run',
    process.execPath,
    [...profile, program, 'run', '-c', configFile],
    join(options.dir, 'lockstep.log'),
  );
}
