/** A program under measurement: its own process with its log in a file, ended politely and, if need be, not. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, openSync, readFileSync } from 'node:fs';

const STOP_LIMIT_MS = 20_000;
const LOG_LINES_SHOWN = 15;

export interface Child {
  readonly pid: number;
  /** Throws, with the end of its log, when the process has ended by itself. */
  assertAlive(): void;
  /** An error about it with the end of its log. */
  failure(what: string): Error;
  /** SIGTERM, and SIGKILL after a while. */
  stop(): Promise<void>;
}

export function startChild(name: string, command: string, args: readonly string[], logFile: string): Child {
  const log = openSync(logFile, 'a');
  const child = spawn(command, args, { stdio: ['ignore', log, log] });
  closeSync(log);
  let failure: Error | null = null;
  child.once('error', (error) => (failure = error));
  const hasEnded = (): boolean => failure !== null || child.exitCode !== null || child.signalCode !== null;
  const failureOf = (what: string): Error => {
    const lines = readFileSync(logFile, 'utf8').trimEnd().split('\n').slice(-LOG_LINES_SHOWN);
    return new Error(`${name} ${what}. Its last lines:\n${lines.join('\n')}`);
  };
  return {
    pid: child.pid ?? -1,
    assertAlive() {
      if (!hasEnded()) return;
      throw failureOf(`has ended by itself (${failure?.message ?? child.exitCode ?? child.signalCode})`);
    },
    failure: failureOf,
    async stop() {
      if (hasEnded()) return;
      const gone = once(child, 'exit');
      child.kill('SIGTERM');
      const timer = setTimeout(() => child.kill('SIGKILL'), STOP_LIMIT_MS);
      await gone;
      clearTimeout(timer);
    },
  };
}
