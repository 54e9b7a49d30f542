/**
 * The jars of Kafka, Cassandra and the agent, resolved by Maven once into a cache that all stacks of a user share.
 *
 * The entry's name is a hash of the pinned poms, so a changed pin never meets old jars. An entry appears by rename
 * when it is complete, so an interrupted fetch is never taken for one; a lock makes two processes fetch once.
 */
import { spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, readFileSync } from 'node:fs';
import { mkdir, open, readdir, rename, rm } from 'node:fs/promises';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { packageFile } from '../package-root.ts';
import { messageOf } from '../../shared/errors.ts';
import { StackError } from '../stack-error.ts';
import { withFileLock } from './file-lock.ts';
import { lastLines } from './log-file.ts';

/** One class path per module of `connectors/native/pom.xml`. */
const MODULES = ['kafka', 'cassandra', 'agent'] as const;

/** A slow line needs minutes for 230 MB; half an hour is a hanging one. */
const FETCH_LIMIT_MS = 30 * 60_000;

/** Directories with the jars of each service. */
export type JarDirs = Readonly<Record<(typeof MODULES)[number], string>>;

/** The cache directory: `LOCKSTEP_CACHE`, else `lockstep` in the user's cache directory. */
export function cacheDir(environment: NodeJS.ProcessEnv = process.env): string {
  const { LOCKSTEP_CACHE: own, XDG_CACHE_HOME: ofUser } = environment;
  // A variable that is set to nothing counts as unset.
  if (own) return own;
  if (ofUser) return join(ofUser, 'lockstep');
  return join(homedir(), '.cache', 'lockstep');
}

function pomFiles(): string[] {
  return ['pom.xml', ...MODULES.map((module) => join(module, 'pom.xml'))];
}

/** Where the jars of the pinned poms are, once fetched. */
function entryDir(cache: string): string {
  const hash = createHash('sha256');
  for (const file of pomFiles())
    hash.update(`${file}\0`).update(readFileSync(packageFile('connectors', 'native', file)));
  return join(cache, `jars-${hash.digest('hex').slice(0, 16)}`);
}

function jarDirs(entry: string): JarDirs {
  return { kafka: join(entry, 'kafka'), cassandra: join(entry, 'cassandra'), agent: join(entry, 'agent') };
}

/** Whether the cache holds the jars, so that neither Maven nor a network is needed. */
export function jarsAreCached(cache: string = cacheDir()): boolean {
  return existsSync(entryDir(cache));
}

/** Options of {@link resolveJars}. */
export interface ResolveJarsOptions {
  readonly cache?: string;
  readonly signal?: AbortSignal | undefined;
  /** Told what takes so long, when something does. */
  readonly onWork?: (what: string) => void;
}

/** The jars, fetched when the cache lacks them. Throws `STACK_NO_MAVEN` or `STACK_JARS`. */
export async function resolveJars(options: ResolveJarsOptions = {}): Promise<JarDirs> {
  const cache = options.cache ?? cacheDir();
  const entry = entryDir(cache);
  if (existsSync(entry)) return jarDirs(entry);
  await mkdir(cache, { recursive: true });
  await withFileLock(
    join(cache, 'fetch.lock'),
    {
      limitMs: FETCH_LIMIT_MS,
      signal: options.signal,
      onWait: (pid) => options.onWork?.(`waiting for process ${pid}, which is fetching the jars`),
    },
    async () => {
      if (existsSync(entry)) return;
      await removeLeftovers(cache);
      options.onWork?.('fetching the jars of Kafka, Cassandra and Debezium with Maven (once, about 230 MB)');
      const temporary = `${entry}.fetching-${process.pid}`;
      try {
        await runMaven(temporary, join(cache, 'maven.log'), options.signal);
        await rename(temporary, entry);
      } finally {
        await rm(temporary, { recursive: true, force: true });
      }
    },
  );
  return jarDirs(entry);
}

/** What an interrupted fetch left. Called under the lock, so nobody is writing it. */
async function removeLeftovers(cache: string): Promise<void> {
  for (const name of await readdir(cache)) {
    if (name.includes('.fetching-')) await rm(join(cache, name), { recursive: true, force: true });
  }
}

async function runMaven(target: string, log: string, signal: AbortSignal | undefined): Promise<void> {
  const output = await open(log, 'w');
  try {
    const code = await new Promise<number | null>((resolve, reject) => {
      const maven = spawn(
        'mvn',
        [
          '--batch-mode',
          '--no-transfer-progress',
          '--threads=2',
          `--file=${packageFile('connectors', 'native', 'pom.xml')}`,
          'dependency:copy-dependencies',
          '-DincludeScope=runtime',
          // Maven fills in the module's name; it must reach Maven as written.
          `-DoutputDirectory=${target}/\${project.artifactId}`,
        ],
        { stdio: ['ignore', output.fd, output.fd], ...(signal ? { signal } : {}) },
      );
      maven.once('error', reject);
      maven.once('exit', resolve);
    });
    if (code !== 0) {
      const lines = (await lastLines(log)).map((line) => `  ${line}`).join('\n');
      throw new StackError(
        'STACK_JARS',
        `Maven could not fetch the jars of the native stack (exit code ${String(code)}). The end of ${log}:\n${lines}`,
        'Check that Maven can reach its repositories (a proxy or mirror belongs in ~/.m2/settings.xml) and try again; what has been fetched is kept.',
      );
    }
  } catch (error) {
    if (error instanceof StackError) throw error;
    signal?.throwIfAborted();
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') {
      throw new StackError(
        'STACK_NO_MAVEN',
        'Maven (mvn) is not on PATH, and the jars of the native stack are not in the cache yet.',
        'Install Maven (Debian and Ubuntu: apt-get install maven; macOS: brew install maven), or start a Docker engine and use --provider docker.',
        error,
      );
    }
    throw new StackError('STACK_JARS', `Maven could not be run: ${messageOf(error)}`, `See ${log}.`, error);
  } finally {
    await output.close();
  }
}
