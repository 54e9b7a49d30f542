/**
 * Names a process for longer than its pid lives: pid plus start time. A pid is given to another process sooner or
 * later; whoever kills by a pid from a file must know that it is still the same process.
 */
import { execFile } from 'node:child_process';
import { readFile, readdir } from 'node:fs/promises';
import { platform } from 'node:os';
import { promisify } from 'node:util';

const run = promisify(execFile);

/** A process, told apart from a later one with the same pid. */
export interface ProcessIdentity {
  readonly pid: number;
  /** Opaque; differs between two processes that had the same pid. */
  readonly startTime: string;
}

/**
 * Start time of a live process, or undefined when there is none with that pid. A zombie counts as none: it holds
 * no port, file or memory, and only waits for its parent to look.
 */
async function startTimeOf(pid: number): Promise<string | undefined> {
  if (platform() === 'linux') {
    let stat: string;
    try {
      stat = await readFile(`/proc/${pid}/stat`, 'utf8');
    } catch {
      return undefined;
    }
    // The second field is the command in parentheses, which may itself hold spaces and parentheses.
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    const [state] = fields;
    const ticksSinceBoot = fields[19];
    if (ticksSinceBoot === undefined || state === 'Z' || state === 'X') return undefined;
    return `${await bootId()}:${ticksSinceBoot}`;
  }
  try {
    const { stdout } = await run('ps', ['-o', 'stat=,lstart=', '-p', String(pid)], {
      env: { ...process.env, LC_ALL: 'C' },
    });
    const [state, ...started] = stdout.trim().split(/\s+/);
    if (state === undefined || state.startsWith('Z') || started.length === 0) return undefined;
    return started.join(' ');
  } catch {
    return undefined;
  }
}

let knownBootId: string | undefined;

/** Ticks since boot repeat after a reboot; the boot's own ID does not. */
async function bootId(): Promise<string> {
  knownBootId ??= (await readFile('/proc/sys/kernel/random/boot_id', 'utf8').catch(() => 'unknown')).trim();
  return knownBootId;
}

/** Identity of a live process, or undefined when no live process has that pid. */
export async function identify(pid: number): Promise<ProcessIdentity | undefined> {
  const startTime = await startTimeOf(pid);
  return startTime === undefined ? undefined : { pid, startTime };
}

/** Whether that very process is alive. */
export async function isAlive(identity: ProcessIdentity): Promise<boolean> {
  return (await startTimeOf(identity.pid)) === identity.startTime;
}

/**
 * Signals that very process; false when it is gone. Between the look and the signal lies a gap of microseconds,
 * in which the kernel would have to hand out every other pid first.
 */
export async function signalProcess(identity: ProcessIdentity, signal: NodeJS.Signals): Promise<boolean> {
  if (!(await isAlive(identity))) return false;
  try {
    process.kill(identity.pid, signal);
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ESRCH') return false;
    throw error;
  }
}

/**
 * Live processes whose environment at start held `NAME=value`. Linux only (elsewhere: none). Catches a process
 * that was spawned a moment before its parent died and so was never recorded.
 */
export async function processesWithEnvironment(name: string, value: string): Promise<ProcessIdentity[]> {
  if (platform() !== 'linux') return [];
  const wanted = `${name}=${value}`;
  const found: ProcessIdentity[] = [];
  for (const entry of await readdir('/proc')) {
    const pid = Number(entry);
    if (!Number.isInteger(pid) || pid === process.pid) continue;
    const environment = await readFile(`/proc/${pid}/environ`, 'utf8').catch(() => '');
    if (!environment.split('\0').includes(wanted)) continue;
    const identity = await identify(pid);
    if (identity) found.push(identity);
  }
  return found;
}
