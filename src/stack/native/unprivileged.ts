/**
 * PostgreSQL refuses to run as root. Where we are root, it runs as another user, and that user must be able to walk
 * to its binaries and its data: not below a home directory of mode 700, say.
 */
import { chown, mkdir, readFile, stat } from 'node:fs/promises';
import { dirname, join, resolve } from 'node:path';
import { StackError } from '../stack-error.ts';

/** Users to run as, best first; one of them exists on every Linux and macOS. */
const CANDIDATES = ['postgres', 'nobody'];

/** Where root keeps what must be reachable by the other user when the stack's directory is not. */
const REACHABLE_HOMES = ['/var/lib/lockstep', '/var/tmp/lockstep'];

/** User and group to spawn PostgreSQL with; null: as ourselves. */
export interface RunAs {
  readonly uid: number;
  readonly gid: number;
}

/** Entry of the first candidate in a passwd file. */
export function parseRunAs(passwd: string): RunAs | undefined {
  const users = new Map(
    passwd.split('\n').map((line) => {
      const [name, , uid, gid] = line.split(':');
      return [name, { uid: Number(uid), gid: Number(gid) }] as const;
    }),
  );
  for (const name of CANDIDATES) {
    const user = users.get(name);
    if (user && Number.isInteger(user.uid) && Number.isInteger(user.gid) && user.uid > 0) return user;
  }
  return undefined;
}

/** Whom PostgreSQL must run as. */
export async function findRunAs(): Promise<RunAs | null> {
  if (process.getuid?.() !== 0) return null;
  const user = parseRunAs(await readFile('/etc/passwd', 'utf8').catch(() => ''));
  if (user) return user;
  throw new StackError(
    'STACK_NO_POSTGRES',
    `PostgreSQL does not run as root, and none of the users ${CANDIDATES.join(', ')} exists to run it as.`,
    'Create one (useradd --system --shell /usr/sbin/nologin postgres), or run Lockstep as an ordinary user.',
  );
}

/** Whether every other user can walk to `path`, whose last components need not exist yet. */
export async function isReachableByOthers(path: string): Promise<boolean> {
  for (let dir = resolve(path); ; dir = dirname(dir)) {
    const found = await stat(dir).catch((error: unknown) => {
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
      throw error;
    });
    // What does not exist yet will be made by us, with a mode that lets them.
    if (found && (found.mode & 0o001) === 0) return false;
    if (dir === dirname(dir)) return true;
  }
}

/** A directory below {@link REACHABLE_HOMES} for root to put things in; made when missing. */
export async function reachableHome(): Promise<string> {
  for (const home of REACHABLE_HOMES) {
    try {
      await mkdir(home, { recursive: true, mode: 0o755 });
      const { uid } = await stat(home);
      if (uid === 0 && (await isReachableByOthers(home))) return home;
    } catch {
      // Read-only or missing: the next one.
    }
  }
  throw new StackError(
    'STACK_NO_POSTGRES',
    `No directory was found that both root can write and the user of PostgreSQL can reach (tried ${REACHABLE_HOMES.join(', ')}).`,
    'Use --dir with a directory that every user can reach, or run Lockstep as an ordinary user.',
  );
}

/** Makes a directory that belongs to that user. */
export async function makeOwnDir(path: string, runAs: RunAs | null): Promise<void> {
  await mkdir(path, { recursive: true, mode: 0o700 });
  if (runAs) await chown(path, runAs.uid, runAs.gid);
}

/** Directory name for the data of the stack in `dir`, below {@link reachableHome}. */
export function reachableDataDir(home: string, stackId: string): string {
  return join(home, 'stacks', stackId, 'postgres');
}
