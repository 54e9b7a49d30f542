/**
 * The jars of the peer, resolved by Maven from the pinned pom.xml beside this file into the cache that the development
 * stack uses too. As there: an entry appears by rename when it is complete, and a lock makes two processes fetch once.
 */
import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, readFileSync } from 'node:fs';
import { mkdir, readdir, rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { withFileLock } from '../../src/stack/native/file-lock.ts';
import { cacheDir } from '../../src/stack/native/jars.ts';

const run = promisify(execFile);
const POM = join(import.meta.dirname, 'pom.xml');
const FETCH_LIMIT_MS = 15 * 60_000;

export interface PeerJars {
  /** Kafka Connect's class path. */
  readonly connect: string;
  /** `plugin.path` with the JDBC sink. */
  readonly plugins: string;
}

export async function resolvePeerJars(onWork: (what: string) => void): Promise<PeerJars> {
  const cache = cacheDir();
  const entry = join(cache, `bench-peer-${createHash('sha256').update(readFileSync(POM)).digest('hex').slice(0, 16)}`);
  const jars = { connect: join(entry, 'connect'), plugins: join(entry, 'plugins') };
  if (existsSync(entry)) return jars;
  await mkdir(cache, { recursive: true });
  await withFileLock(join(cache, 'fetch.lock'), { limitMs: FETCH_LIMIT_MS }, async () => {
    if (existsSync(entry)) return;
    onWork('fetching Kafka Connect and the Debezium JDBC sink with Maven (once, about 90 MB)');
    const temporary = `${entry}.fetching-${process.pid}`;
    const libraries = join(temporary, 'connect');
    const plugins = join(temporary, 'plugins');
    try {
      await run('mvn', [
        '--batch-mode',
        '--no-transfer-progress',
        `--file=${POM}`,
        'dependency:copy-dependencies',
        '-DincludeScope=runtime',
        `-DoutputDirectory=${libraries}`,
      ]);
      await mkdir(plugins);
      const archive = (await readdir(libraries)).find((name) => name.endsWith('-plugin.tar.gz'));
      if (archive === undefined) throw new Error(`Maven brought no plugin archive into ${libraries}`);
      await run('tar', ['-xzf', join(libraries, archive), '-C', plugins]);
      await rm(join(libraries, archive));
      await rename(temporary, entry);
    } finally {
      await rm(temporary, { recursive: true, force: true });
    }
  });
  return jars;
}
