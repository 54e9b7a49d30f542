import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmod, chown, mkdir, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import getPort from 'get-port';
import pg from 'pg';
import type { TestProject } from 'vitest/node';
import { preparePostgresBinaries } from '../../src/stack/native/postgres-binaries.ts';
import { findRunAs } from '../../src/stack/native/unprivileged.ts';

declare module 'vitest' {
  interface ProvidedContext {
    postgresUrl: string;
  }
}

/** A PostgreSQL of our own for one test run: fresh, on a free port, gone afterwards. */
export interface TestPostgres {
  readonly url: string;
  stop(): Promise<void>;
}

async function answers(url: string): Promise<boolean> {
  const client = new pg.Client({ connectionString: url, connectionTimeoutMillis: 1000 });
  client.on('error', () => undefined);
  try {
    await client.connect();
    await client.query('SELECT 1');
    return true;
  } catch {
    return false;
  } finally {
    await client.end().catch(() => undefined);
  }
}

export async function startPostgres(settings: Readonly<Record<string, string>> = {}): Promise<TestPostgres> {
  const runAs = await findRunAs();
  const binaries = await preparePostgresBinaries(runAs);
  const home = await mkdtemp(join(tmpdir(), 'lockstep-pg-'));
  const data = join(home, 'data');
  await mkdir(data, { mode: 0o700 });
  await chmod(home, 0o755);
  if (runAs !== null) await chown(data, runAs.uid, runAs.gid);
  const environment = { LC_ALL: 'C.UTF-8', TZ: 'UTC', LD_LIBRARY_PATH: binaries.lib };
  await promisify(execFile)(
    binaries.initdb,
    ['-D', data, '-U', 'lockstep', '--auth=trust', '--encoding=UTF8', '--locale=C.UTF-8'],
    { cwd: data, env: environment, ...(runAs ?? {}) },
  );
  const port = await getPort();
  const all = {
    shared_buffers: '256MB',
    max_wal_size: '2GB',
    listen_addresses: '127.0.0.1',
    unix_socket_directories: '',
    ...settings,
  };
  const server = spawn(
    binaries.postgres,
    ['-D', data, '-p', String(port), ...Object.entries(all).flatMap(([key, value]) => ['-c', `${key}=${value}`])],
    { cwd: data, env: environment, stdio: 'ignore', ...(runAs ?? {}) },
  );
  const url = `postgres://lockstep@127.0.0.1:${port}/postgres`;
  const deadline = Date.now() + 30_000;
  while (!(await answers(url))) {
    if (server.exitCode !== null || Date.now() > deadline) throw new Error(`PostgreSQL did not start in ${data}`);
  }
  return {
    url,
    async stop() {
      if (server.exitCode === null && server.signalCode === null) {
        const gone = once(server, 'exit');
        // SIGINT: fast shutdown, sessions are ended.
        server.kill('SIGINT');
        await gone;
      }
      await rm(home, { recursive: true, force: true });
    },
  };
}

/** Global set-up of the vitest project `postgres`. */
export default async function setup(project: TestProject): Promise<() => Promise<void>> {
  const server = await startPostgres();
  project.provide('postgresUrl', server.url);
  return () => server.stop();
}
