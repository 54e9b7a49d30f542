/**
 * Runs one command for an owner and does not let it outlive that owner.
 *
 * Standard input is a pipe from the owner. It ends when the owner does, however it dies; the guardian then ends the
 * command with SIGKILL and itself. The command inherits standard output and error; its pid is told over IPC.
 *
 * Run as: node guardian.ts <program> <argument>…
 */
import { spawn } from 'node:child_process';
import { realpathSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

/** What the guardian tells its owner. */
export type GuardianMessage =
  | { readonly kind: 'started'; readonly pid: number }
  | { readonly kind: 'exited'; readonly code: number | null; readonly signal: NodeJS.Signals | null };

function tell(message: GuardianMessage, then: () => void = () => undefined): void {
  if (process.send === undefined || !process.connected) {
    then();
    return;
  }
  process.send(message, undefined, undefined, () => {
    then();
  });
}

function guard(program: string, args: readonly string[]): void {
  const child = spawn(program, args, { stdio: ['ignore', 'inherit', 'inherit'] });
  child.once('spawn', () => {
    tell({ kind: 'started', pid: child.pid ?? 0 });
  });
  const leave = (code: number | null, signal: NodeJS.Signals | null): void => {
    tell({ kind: 'exited', code, signal }, () => process.exit(0));
  };
  child.once('error', () => {
    leave(null, null);
  });
  child.once('exit', leave);
  // A signal to the whole terminal is the owner's to answer.
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => undefined);
  process.stdin.on('error', () => undefined);
  process.stdin.once('close', () => child.kill('SIGKILL'));
  process.stdin.resume();
}

const [, self, program, ...args] = process.argv;
if (self !== undefined && realpathSync(self) === realpathSync(fileURLToPath(import.meta.url))) {
  if (program === undefined) throw new Error('usage: guardian <program> <argument>…');
  guard(program, args);
}
