import { setTimeout as delay } from 'node:timers/promises';
import { LockstepError, messageOf } from '../../shared/errors.ts';

/** `skipped` = could not be looked at, because something it needs is at fault or is not configured. */
export type CheckStatus = 'ok' | 'warn' | 'fault' | 'skipped';

/** One finding of a check: about the whole, or about one subject (a table, a topic, a node). */
export interface Finding {
  readonly status: CheckStatus;
  readonly subject: string | null;
  /** What was found, one sentence. */
  readonly found: string;
  /** What to do about it; null where nothing is to be done. */
  readonly remedy: string | null;
}

/** A finding with the check that made it: one entry of doctor's answer. */
export interface CheckResult extends Finding {
  readonly id: string;
}

/** One question to the outside world. */
export interface Check {
  /** `area.question`, stable: scripts look for it. */
  readonly id: string;
  /** IDs of checks without whose success this one has no meaning. */
  readonly needs: readonly string[];
  /** IDs of checks that must have ended before, whatever came of them. */
  readonly after?: readonly string[];
  /** Answers with at least one finding. What it throws becomes a fault. */
  run(signal: AbortSignal): Promise<readonly Finding[]>;
}

/** Everything is as it should be. */
export function ok(found: string, subject: string | null = null): Finding {
  return { status: 'ok', subject, found, remedy: null };
}

/** Works, but will hurt. */
export function warn(found: string, remedy: string, subject: string | null = null): Finding {
  return { status: 'warn', subject, found, remedy };
}

/** Does not work, or loses data. */
export function fault(found: string, remedy: string, subject: string | null = null): Finding {
  return { status: 'fault', subject, found, remedy };
}

/** Was not looked at. */
export function skipped(found: string, remedy: string | null = null, subject: string | null = null): Finding {
  return { status: 'skipped', subject, found, remedy };
}

/** `1 broker`, `3 brokers`. */
export function counted(count: number, noun: string): string {
  return `${count} ${noun}${count === 1 ? '' : 's'}`;
}

/** Longest time for one check, ms: an unreachable host must not make doctor hang. */
export const CHECK_TIMEOUT_MS = 15_000;

/** What the runner needs from outside. */
export interface RunOptions {
  readonly timeoutMs?: number;
  /** Told of each check as it ends, in the order in which they end. */
  readonly onResult?: (results: readonly CheckResult[]) => void;
}

async function within(check: Check, timeoutMs: number): Promise<readonly Finding[]> {
  const controller = new AbortController();
  const timer = new AbortController();
  const timeout = delay(timeoutMs, undefined, { signal: timer.signal }).then(
    () => [
      fault(`no answer within ${timeoutMs / 1000} s`, 'Check that the system is up and the network lets us through.'),
    ],
    // The check was quicker; nobody waits for this any more.
    (): readonly Finding[] => [],
  );
  try {
    return await Promise.race([check.run(controller.signal), timeout]);
  } catch (error) {
    const remedy = error instanceof LockstepError ? error.remedy : undefined;
    return [fault(messageOf(error), remedy ?? 'Correct what the message names, then run lockstep doctor again.')];
  } finally {
    timer.abort();
    controller.abort();
  }
}

/**
 * Runs checks, each within its time and as soon as those it needs have succeeded; where one of them is at fault or
 * skipped it is skipped too, so that one broken system makes one fault. Results come in the order of the checks.
 */
export async function runChecks(checks: readonly Check[], options: RunOptions = {}): Promise<readonly CheckResult[]> {
  const { timeoutMs = CHECK_TIMEOUT_MS, onResult } = options;
  const running = new Map<string, Promise<readonly CheckResult[]>>();

  const start = async (check: Check): Promise<readonly CheckResult[]> => {
    await Promise.all((check.after ?? []).map((id) => resultsOf(id)));
    const needed = await Promise.all(check.needs.map((id) => resultsOf(id)));
    const missing = needed.flat().find(({ status }) => status === 'fault' || status === 'skipped');
    const findings =
      missing === undefined
        ? await within(check, timeoutMs)
        : [skipped(`needs ${missing.id}, which is ${missing.status}`)];
    const results = findings.map((finding) => ({ id: check.id, ...finding }));
    onResult?.(results);
    return results;
  };
  const resultsOf = (id: string): Promise<readonly CheckResult[]> => {
    const known = running.get(id);
    if (known !== undefined) return known;
    const check = checks.find((candidate) => candidate.id === id);
    if (check === undefined) {
      throw new LockstepError(`no check ${id}`, { code: 'BUG_UNKNOWN_CHECK', kind: 'bug' });
    }
    const results = start(check);
    running.set(id, results);
    return results;
  };
  return (await Promise.all(checks.map(({ id }) => resultsOf(id)))).flat();
}

/** The answer of `lockstep doctor --json`: `ok` is false as soon as one check is at fault. */
export interface Diagnosis {
  readonly ok: boolean;
  readonly checks: readonly CheckResult[];
}

export function diagnosisOf(checks: readonly CheckResult[]): Diagnosis {
  return { ok: checks.every(({ status }) => status !== 'fault'), checks };
}
