/** Ends a process: politely, then not. */
import { pollUntil } from '../poll.ts';
import { isAlive, signalProcess, type ProcessIdentity } from './process-identity.ts';

/** How often a process that was told to end is looked at. */
const LOOK_EVERY_MS = 20;

/** A process that survives SIGKILL this long is stuck in the kernel; nothing we do will help. */
const KILL_LIMIT_MS = 10_000;

/**
 * Sends `signal`, waits up to `limitMs`, then SIGKILL. Returns when the process is gone; true when it went by itself.
 */
export async function stopProcess(
  identity: ProcessIdentity,
  signal: NodeJS.Signals,
  limitMs: number,
): Promise<boolean> {
  const gone = async (): Promise<true | undefined> => ((await isAlive(identity)) ? undefined : true);
  if (!(await signalProcess(identity, signal))) return true;
  if (await pollUntil(gone, { limitMs, everyMs: LOOK_EVERY_MS })) return true;
  await signalProcess(identity, 'SIGKILL');
  if (!(await pollUntil(gone, { limitMs: KILL_LIMIT_MS, everyMs: LOOK_EVERY_MS }))) {
    throw new Error(`process ${identity.pid} is still there ${KILL_LIMIT_MS} ms after SIGKILL`);
  }
  return false;
}
