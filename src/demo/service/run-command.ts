/** Runs another command of this program, as a user would, to its end. */
import { spawn } from 'node:child_process';
import { appendFile } from 'node:fs/promises';
import { dirname } from 'node:path';
import { DemoError } from '../demo-error.ts';
import { MAIN_FILE } from './lockstep-service.ts';

/** As much of what it said as tells what went wrong. */
const SHOWN_CHARACTERS = 2_000;

/** Runs `lockstep <args>`; what it says goes to the log. Rejects with its words where it fails. */
export async function runCommand(args: readonly string[], logFile: string, signal: AbortSignal): Promise<void> {
  const child = spawn(process.execPath, [MAIN_FILE, ...args], {
    cwd: dirname(logFile),
    stdio: ['ignore', 'pipe', 'pipe'],
    signal,
  });
  let said = '';
  for (const stream of [child.stdout, child.stderr]) {
    stream.on('data', (data: Buffer) => {
      said += data.toString('utf8');
    });
  }
  const code = await new Promise<number | null>((resolve, reject) => {
    child.once('error', reject);
    child.once('close', resolve);
  });
  const command = `lockstep ${args.join(' ')}`;
  await appendFile(logFile, `$ ${command}\n${said}\n`);
  if (code === 0) return;
  const end = said.slice(-SHOWN_CHARACTERS);
  throw new DemoError('DEMO_SCHEMA', `${command} ended with exit code ${code}:\n${end}`, `Look at ${logFile}.`);
}
