/** Starts one part: spawns it into its log, and waits until it answers or is known to have failed. */
import { spawn } from 'node:child_process';
import { mkdir, open } from 'node:fs/promises';
import { dirname } from 'node:path';
import { pollUntil } from '../poll.ts';
import { messageOf } from '../../shared/errors.ts';
import { StackError } from '../stack-error.ts';
import { lastLines, logFile, logSize, rotateLog } from './log-file.ts';
import type { Launch, NativePart } from './part.ts';
import { identify, isAlive, type ProcessIdentity } from './process-identity.ts';
import type { NativeState } from './state-file.ts';

/** How often a starting part is asked whether it is healthy. */
const ASK_EVERY_MS = 50;

/** Variables of ours that change what a child does, and must not reach it. */
const WITHHELD_VARIABLES = ['NODE_OPTIONS', 'JAVA_TOOL_OPTIONS', 'JDK_JAVA_OPTIONS', 'CLASSPATH'];

function environmentOf(launch: Launch, mark: Readonly<Record<string, string>>): NodeJS.ProcessEnv {
  // PostgreSQL's server and libraries read PG*; those of the user are meant for another server.
  const kept = Object.entries(process.env).filter(
    ([name]) => !WITHHELD_VARIABLES.includes(name) && !name.startsWith('PG'),
  );
  return { ...Object.fromEntries(kept), ...launch.env, ...mark };
}

/** A part that was spawned. */
export interface SpawnedPart {
  readonly identity: ProcessIdentity;
  /** Where in its log this run begins. */
  readonly logStart: number;
}

/** Spawns a part in its own session, with its output going to its log. */
export async function spawnPart(
  dir: string,
  part: NativePart,
  launch: Launch,
  mark: Readonly<Record<string, string>>,
): Promise<SpawnedPart> {
  const path = logFile(dir, part.name);
  await mkdir(dirname(path), { recursive: true });
  await rotateLog(path);
  const logStart = await logSize(path);
  const log = await open(path, 'a', 0o600);
  try {
    const child = spawn(launch.command, launch.args, {
      cwd: launch.cwd,
      env: environmentOf(launch, mark),
      detached: true,
      stdio: ['ignore', log.fd, log.fd],
      ...(launch.runAs ?? {}),
    });
    await new Promise<void>((resolve, reject) => {
      child.once('spawn', resolve);
      child.once('error', reject);
    });
    child.unref();
    const identity = child.pid === undefined ? undefined : await identify(child.pid);
    if (!identity) throw await failure(dir, part, logStart, 'ended at once');
    return { identity, logStart };
  } catch (error) {
    if (error instanceof StackError) throw error;
    throw await failure(dir, part, logStart, `could not be run: ${messageOf(error)}`, error);
  } finally {
    await log.close();
  }
}

/** Waits until a spawned part is healthy. Throws `STACK_PART_FAILED` when it ended, `STACK_PART_STUCK` when it takes too long. */
export async function awaitHealthy(
  dir: string,
  part: NativePart,
  spawned: SpawnedPart,
  state: NativeState,
  signal: AbortSignal | undefined,
): Promise<void> {
  const healthy = await pollUntil(
    async () => {
      if (await part.isHealthy(state)) {
        // Someone answers; it must be the one we started, not a stranger who took the port first.
        if (await isAlive(spawned.identity)) return true;
      }
      if (!(await isAlive(spawned.identity)))
        throw await failure(dir, part, spawned.logStart, 'ended while it was starting');
      await part.finishStart?.(state);
      return undefined;
    },
    { limitMs: part.startLimitMs, everyMs: ASK_EVERY_MS, signal },
  );
  if (!healthy) {
    throw await failure(
      dir,
      part,
      spawned.logStart,
      `was not healthy after ${part.startLimitMs / 1000} s`,
      undefined,
      'STACK_PART_STUCK',
    );
  }
}

/** An error about a part, with the end of what this run wrote to its log. */
export async function failure(
  dir: string,
  part: NativePart,
  logStart: number,
  what: string,
  cause?: unknown,
  code: 'STACK_PART_FAILED' | 'STACK_PART_STUCK' = 'STACK_PART_FAILED',
): Promise<StackError> {
  const path = logFile(dir, part.name);
  const lines = await lastLines(path, logStart);
  const shown =
    lines.length === 0
      ? 'It wrote nothing to its log.'
      : `Its last lines:\n${lines.map((line) => `  ${line}`).join('\n')}`;
  return new StackError(code, `The part "${part.name}" ${what}. ${shown}\nLog: ${path}`, part.remedy, cause);
}
