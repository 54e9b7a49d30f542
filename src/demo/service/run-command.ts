/** Runs another command of this program, as a user would, to its end. */
import { spawn } from 'node:child_process';
import { appendFile } from 'node:fs/promises';
import { dirname } from 'node:path';
import { DemoError } from '../demo-error.ts';
import { MAIN_FILE } from './lockstep-service.ts';

/** As much of what it said as tells what went wrong. */
const SHOWN_CHARACTERS = 2_000;

interface CommandEnd {
  readonly code: number | null;
  readonly out: string;
  /** Both streams as they came. */
  readonly said: string;
}

async function runToEnd(args: readonly string[], logFile: string, signal: AbortSignal): Promise<CommandEnd> {
  const child = spawn(process.execPath, [MAIN_FILE, ...args], {
    cwd: dirname(logFile),
    stdio: ['ignore', 'pipe', 'pipe'],
    signal,
  });
  let said = '';
  let out = '';
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding('utf8').on('data', (text: string) => {
      said += text;
      if (stream === child.stdout) out += text;
    });
  }
  const code = await new Promise<number | null>((resolve, reject) => {
    child.once('error', reject);
    child.once('close', resolve);
  });
  await appendFile(logFile, `$ lockstep ${args.join(' ')}\n${said}\n`);
  return { code, out, said };
}

function failed(args: readonly string[], logFile: string, { code, said }: CommandEnd): DemoError {
  const end = said.slice(-SHOWN_CHARACTERS);
  const command = `lockstep ${args.join(' ')}`;
  return new DemoError('DEMO_COMMAND', `${command} ended with exit code ${code}:\n${end}`, `Look at ${logFile}.`);
}

/** Runs `lockstep <args>`; what it says goes to the log. Rejects with its words where it fails. */
export async function runCommand(args: readonly string[], logFile: string, signal: AbortSignal): Promise<void> {
  const end = await runToEnd(args, logFile, signal);
  if (end.code !== 0) throw failed(args, logFile, end);
}

/** Runs `lockstep <args> --json` and gives its document, also where its answer is "no" (exit code 1). */
export async function runForDocument(args: readonly string[], logFile: string, signal: AbortSignal): Promise<unknown> {
  const end = await runToEnd(args, logFile, signal);
  try {
    return JSON.parse(end.out) as unknown;
  } catch {
    throw failed(args, logFile, end);
  }
}
