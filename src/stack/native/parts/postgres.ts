/** PostgreSQL from npm binaries, durable like a real one: a SIGKILL of it loses nothing that was committed. */
import { execFile } from 'node:child_process';
import { chown, mkdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { existsSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { promisify } from 'node:util';
import { loopbackPostgresUrl } from '../../endpoints.ts';
import { POSTGRES_DATABASE, POSTGRES_USER } from '../../stack.ts';
import type { NativePart, StartContext } from '../part.ts';
import { pollUntil } from '../../poll.ts';
import { makeDatabase, postgresAnswers } from '../../probes.ts';
import { identify } from '../process-identity.ts';
import type { NativeState } from '../state-file.ts';
import { makeOwnDir } from '../unprivileged.ts';

const run = promisify(execFile);

/** How long the sessions of a killed server may take to notice that it is gone. */
const LEFTOVER_LIMIT_MS = 10_000;

/** Settings of a small production server; those that name durability are the defaults, stated so that nobody "tunes" them. */
export const POSTGRES_SETTINGS: Readonly<Record<string, string | number>> = {
  fsync: 'on',
  synchronous_commit: 'on',
  full_page_writes: 'on',
  shared_buffers: '512MB',
  effective_cache_size: '2GB',
  work_mem: '32MB',
  maintenance_work_mem: '128MB',
  // Checkpoints by time, not by volume, under the load of a backlog.
  max_wal_size: '4GB',
  checkpoint_timeout: '15min',
  max_connections: 100,
  random_page_cost: 1.1,
  timezone: 'UTC',
  log_timezone: 'UTC',
  log_line_prefix: '%m [%p] ',
};

/** postgresql.conf entries that are ours: listens on loopback TCP only. */
export function renderPostgresConfig(port: number): string {
  const quote = (value: string | number): string => `'${String(value).replaceAll("'", "''")}'`;
  const entries = {
    listen_addresses: '127.0.0.1',
    port,
    // A socket's path is limited to 107 bytes, which a stack directory easily exceeds; nothing here needs one.
    unix_socket_directories: '',
    ...POSTGRES_SETTINGS,
  };
  return Object.entries(entries)
    .map(([key, value]) => `${key} = ${quote(value)}\n`)
    .join('');
}

/** Connection URL with credentials. */
function postgresUrl(state: NativeState, database: string = POSTGRES_DATABASE): string {
  return loopbackPostgresUrl(state.ports.postgres, state.postgresPassword, database);
}

/** Environment of PostgreSQL's programs. The libraries are found beside them even where their run path is not honoured. */
function environment(context: StartContext): Record<string, string> {
  return { LC_ALL: 'C.UTF-8', TZ: 'UTC', LD_LIBRARY_PATH: context.postgres.lib };
}

async function initialise(context: StartContext, data: string): Promise<void> {
  const { postgres, runAs, state } = context;
  const parent = dirname(data);
  await mkdir(parent, { recursive: true, mode: 0o755 });
  // Made beside its place and renamed, so that an interrupted initdb is not taken for a database.
  const fresh = `${data}.new`;
  await rm(fresh, { recursive: true, force: true });
  await makeOwnDir(fresh, runAs);
  const passwordFile = join(parent, 'initial-password');
  await writeFile(passwordFile, state.postgresPassword, { mode: 0o600 });
  if (runAs) await chown(passwordFile, runAs.uid, runAs.gid);
  try {
    await run(
      postgres.initdb,
      [
        `--pgdata=${fresh}`,
        `--username=${POSTGRES_USER}`,
        `--pwfile=${passwordFile}`,
        '--auth=scram-sha-256',
        '--encoding=UTF8',
        '--locale=C.UTF-8',
        '--data-checksums',
      ],
      { cwd: fresh, env: environment(context), ...(runAs ?? {}) },
    );
  } finally {
    await rm(passwordFile, { force: true });
  }
  await rm(data, { recursive: true, force: true });
  await rename(fresh, data);
}

/**
 * After a SIGKILL of the server its sessions live on for a moment and hold the shared memory, and the file that
 * names the old server stays. PostgreSQL checks both itself; only a pid that now belongs to another program fools it.
 */
async function clearLeftovers(data: string): Promise<void> {
  const file = join(data, 'postmaster.pid');
  const pid = Number((await readFile(file, 'utf8').catch(() => '')).split('\n')[0]);
  if (!Number.isInteger(pid) || pid <= 0) return;
  const running = await identify(pid);
  if (running && (await isPostgres(pid))) {
    await pollUntil(async () => ((await identify(pid)) ? undefined : true), {
      limitMs: LEFTOVER_LIMIT_MS,
      everyMs: 50,
    });
  } else if (running) {
    await rm(file, { force: true });
  }
}

async function isPostgres(pid: number): Promise<boolean> {
  const command = await readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => 'postgres');
  return command.includes('postgres');
}

export const postgres: NativePart = {
  name: 'postgres',
  // Fast shutdown: SIGTERM would wait until every client has left by itself.
  stopSignal: 'SIGINT',
  stopLimitMs: 30_000,
  startLimitMs: 120_000,
  remedy: 'If the log speaks of shared memory, another server still runs on the same data: end it first.',
  endpoint: (state) => `127.0.0.1:${state.ports.postgres}/${POSTGRES_DATABASE}`,

  isHealthy: (state) => postgresAnswers(postgresUrl(state)),
  finishStart: (state) => makeDatabase(postgresUrl(state, 'postgres'), POSTGRES_DATABASE),

  async prepare(context) {
    const data = context.state.postgresDataDir;
    if (!existsSync(join(data, 'PG_VERSION'))) await initialise(context, data);
    const config = join(data, 'lockstep.conf');
    await writeFile(config, renderPostgresConfig(context.state.ports.postgres));
    if (context.runAs) await chown(config, context.runAs.uid, context.runAs.gid);
    await clearLeftovers(data);
  },

  launch(context) {
    const data = context.state.postgresDataDir;
    return {
      command: context.postgres.postgres,
      args: ['-D', data, '-c', `config_file=${join(data, 'lockstep.conf')}`],
      cwd: data,
      env: environment(context),
      runAs: context.runAs,
    };
  },
};
