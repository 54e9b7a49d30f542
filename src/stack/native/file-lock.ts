/**
 * A lock between processes: a file that names its holder. A holder that died leaves a file behind, which the next
 * one recognises (pid and start time) and takes over.
 */
import { link, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { randomUUID } from 'node:crypto';
import { pollUntil } from '../poll.ts';
import { StackError } from '../stack-error.ts';
import { identify, isAlive, type ProcessIdentity } from './process-identity.ts';

const LOOK_EVERY_MS = 100;

/** Options of {@link withFileLock}. */
export interface FileLockOptions {
  /** How long to wait for another holder, in milliseconds. */
  readonly limitMs: number;
  readonly signal?: AbortSignal | undefined;
  /** Called once when the lock is held by another process. */
  readonly onWait?: (holderPid: number) => void;
}

async function readHolder(path: string): Promise<(ProcessIdentity & { token: string }) | undefined> {
  try {
    return JSON.parse(await readFile(path, 'utf8')) as ProcessIdentity & { token: string };
  } catch {
    return undefined;
  }
}

/** Runs `work` while this process holds the lock at `path`. Throws `STACK_BUSY` when it can't be had in time. */
export async function withFileLock<T>(path: string, options: FileLockOptions, work: () => Promise<T>): Promise<T> {
  const self = await identify(process.pid);
  if (!self) throw new Error('this process can not see itself');
  const token = randomUUID();
  const mine = `${path}.${token}`;
  await writeFile(mine, JSON.stringify({ ...self, token }));
  try {
    let told = false;
    const taken = await pollUntil(
      async () => {
        // link() is the atomic step: it fails when the name exists, and what it names is complete.
        const won = await link(mine, path).then(
          () => true,
          (error: unknown) => {
            if ((error as NodeJS.ErrnoException).code === 'EEXIST') return false;
            throw error;
          },
        );
        if (won) return true;
        const holder = await readHolder(path);
        if (holder && (await isAlive(holder))) {
          if (!told) options.onWait?.(holder.pid);
          told = true;
          return undefined;
        }
        if (holder) await removeStale(path, holder.token);
        return undefined;
      },
      { limitMs: options.limitMs, everyMs: LOOK_EVERY_MS, signal: options.signal },
    );
    if (!taken) {
      const holder = await readHolder(path);
      throw new StackError(
        'STACK_BUSY',
        `Another process${holder ? ` (pid ${holder.pid})` : ''} has held ${path} for more than ${Math.round(options.limitMs / 1000)} s.`,
        'Wait for it to finish, or end it, and try again.',
      );
    }
    try {
      return await work();
    } finally {
      await rm(path, { force: true });
    }
  } finally {
    await rm(mine, { force: true });
  }
}

/**
 * Takes a dead holder's file away. Two waiters may do this at once: the rename moves whatever is there, so the one
 * that moved a *live* holder's file puts it back.
 */
async function removeStale(path: string, token: string): Promise<void> {
  const aside = `${path}.stale-${randomUUID()}`;
  try {
    await rename(path, aside);
  } catch {
    return;
  }
  const moved = await readHolder(aside);
  if (moved && moved.token !== token) await link(aside, path).catch(() => undefined);
  await rm(aside, { force: true });
}
