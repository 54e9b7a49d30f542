import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { text } from 'node:stream/consumers';
import { MAIN_FILE } from '../../src/demo/service/lockstep-service.ts';

export interface Ended {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** Starts a command of the command line, as people run it. */
export function beginCommand(configurationFile: string, ...args: readonly string[]): ChildProcess {
  return spawn(process.execPath, [MAIN_FILE, ...args, '-c', configurationFile], { stdio: ['ignore', 'pipe', 'pipe'] });
}

export async function endOf(child: ChildProcess): Promise<Ended> {
  if (child.stdout === null || child.stderr === null) throw new Error('both are pipes');
  const [stdout, stderr, [code]] = await Promise.all([text(child.stdout), text(child.stderr), once(child, 'close')]);
  return { code: code as number | null, stdout, stderr };
}
