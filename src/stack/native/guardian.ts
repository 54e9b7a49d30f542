/**
 * A small process that outlives its owner by a moment, and ends what the owner started.
 *
 * Its standard input is a pipe from the owner. The pipe ends when the owner does, however it dies: the guardian
 * then ends every part in the state file that this owner started, and (Linux) every process that carries the
 * owner's mark in its environment, which catches a part spawned too late to be recorded. A line `release` on the
 * pipe means that the owner let go on purpose: the parts stay.
 *
 * Run as: node guardian.ts <stack directory> <owner>
 */
import { isMainModule } from './main-module.ts';
import { processesWithEnvironment, type ProcessIdentity } from './process-identity.ts';
import { NATIVE_PARTS } from './parts.ts';
import { readState, type NativeState } from './state-file.ts';
import { stopProcess } from './stop-process.ts';

/** Environment variable that marks what an owner spawned. */
export const OWNER_VARIABLE = 'LOCKSTEP_STACK_OWNER';

/** What the owner writes to leave its parts running. */
export const RELEASE = 'release\n';

/** Nobody waits for a clean stop of an orphaned stack; its data survives the other kind as well. */
const CLEAN_STOP_LIMIT_MS = 3_000;

/** The processes of one owner in a state file, with the signal each wants. */
export function ownedParts(
  state: NativeState | undefined,
  owner: string,
): { identity: ProcessIdentity; signal: NodeJS.Signals }[] {
  return Object.values(NATIVE_PARTS).flatMap((part) => {
    const running = state?.parts[part.name];
    return running?.owner === owner ? [{ identity: running, signal: part.stopSignal }] : [];
  });
}

/** Ends everything an owner started. */
async function endParts(dir: string, owner: string): Promise<void> {
  let state: NativeState | undefined;
  try {
    state = readState(dir);
  } catch {
    // An unreadable state file leaves the mark in the environment.
  }
  await Promise.all(
    ownedParts(state, owner).map(({ identity, signal }) => stopProcess(identity, signal, CLEAN_STOP_LIMIT_MS)),
  );
  const unrecorded = await processesWithEnvironment(OWNER_VARIABLE, owner);
  await Promise.all(unrecorded.map((identity) => stopProcess(identity, 'SIGKILL', 0)));
}

/** Reads the owner's pipe to its end; whether the owner let go. */
async function ownerLetGo(): Promise<boolean> {
  let text = '';
  try {
    for await (const chunk of process.stdin) text += String(chunk);
  } catch {
    // A pipe that breaks has ended.
  }
  return text === RELEASE;
}

if (isMainModule(import.meta.url)) {
  const [dir, owner] = process.argv.slice(2);
  if (dir === undefined || owner === undefined) throw new Error('usage: guardian <stack directory> <owner>');
  // A signal sent to the whole terminal is the owner's to answer.
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => undefined);
  if (!(await ownerLetGo())) await endParts(dir, owner);
}
