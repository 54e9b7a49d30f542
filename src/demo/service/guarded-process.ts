/** A child process that dies with this one, even if this one is killed. */
import { spawn } from 'node:child_process';
import { extname } from 'node:path';
import { fileURLToPath } from 'node:url';
import { waitFor } from '../waiting.ts';
import type { GuardianMessage } from './guardian.ts';

/** How a process ended. */
export interface ProcessEnd {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
}

/** A running child. */
export interface GuardedProcess {
  readonly pid: number;
  /** Resolves when it has ended. */
  readonly ended: Promise<ProcessEnd>;
  kill(signal: NodeJS.Signals): void;
}

/** Options of {@link spawnGuarded}. */
export interface SpawnOptions {
  readonly program: string;
  readonly args: readonly string[];
  /** File descriptor that its standard output and error go to. */
  readonly log: number;
  readonly cwd: string;
}

/** Starts a command under a guardian (guardian.ts). Rejects when the command can't be started. */
export async function spawnGuarded({ program, args, log, cwd }: SpawnOptions): Promise<GuardedProcess> {
  const guardianFile = fileURLToPath(new URL(`./guardian${extname(import.meta.url)}`, import.meta.url));
  const guardian = spawn(process.execPath, [guardianFile, program, ...args], {
    // Its own session, so that a signal to our process group does not take it with us.
    detached: true,
    cwd,
    stdio: ['pipe', log, log, 'ipc'],
  });
  guardian.stdin?.on('error', () => undefined);
  return new Promise((resolve, reject) => {
    let tellEnd: (end: ProcessEnd) => void = () => undefined;
    const ended = new Promise<ProcessEnd>((tell) => {
      tellEnd = tell;
    });
    guardian.on('message', (message) => {
      const said = message as GuardianMessage;
      if (said.kind === 'exited') {
        tellEnd({ code: said.code, signal: said.signal });
        return;
      }
      const { pid } = said;
      resolve({
        pid,
        ended,
        kill(signal) {
          try {
            process.kill(pid, signal);
          } catch {
            // It has ended; `ended` says so.
          }
        },
      });
    });
    guardian.once('error', reject);
    guardian.once('exit', () => {
      tellEnd({ code: null, signal: null });
      reject(new Error(`${program} ${args.join(' ')} could not be started`));
    });
  });
}

/** Asks a process to end, and ends it when it does not. True where it went by itself. */
export async function stopGuarded(child: GuardedProcess, limitMs: number): Promise<boolean> {
  let gone = false;
  const ended = child.ended.then(() => {
    gone = true;
  });
  child.kill('SIGTERM');
  const willingly = await waitFor(() => gone, { limitMs, everyMs: 20 });
  if (!willingly) child.kill('SIGKILL');
  await ended;
  return willingly;
}
