/** Preparing for a command: a person waits, so what does not come about soon is told of with its reason. */
import { systemClock } from '../../shared/clock.ts';
import { LockstepError } from '../../shared/errors.ts';
import type { PreparationOptions, Prepared } from './preparation.ts';
import { DependencyBoard } from '../service/readiness.ts';

const LIMIT_MS = 30_000;

/** @throws LockstepError with what failed last, where the systems do not answer in time. */
export async function soon(
  prepare: (options: PreparationOptions) => Promise<Prepared>,
  options: Pick<PreparationOptions, 'configuration' | 'pool' | 'logger'>,
): Promise<Prepared> {
  const failures: LockstepError[] = [];
  const limit = AbortSignal.timeout(LIMIT_MS);
  try {
    return await prepare({
      ...options,
      dependencies: new DependencyBoard(['kafka', 'postgres', 'cassandra'], systemClock, () => undefined),
      clock: systemClock,
      signal: limit,
      onRetry: (code, reason) => {
        const remedy = 'lockstep doctor says what is wrong with which system';
        failures.push(new LockstepError(reason, { code, kind: 'transient', remedy }));
      },
    });
  } catch (error) {
    throw limit.aborted ? (failures.at(-1) ?? error) : error;
  }
}
