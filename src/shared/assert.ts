import { LockstepError } from './errors.ts';

/** States an invariant of our own code. A failure is a bug of ours (exit code 70), never the fault of input. */
export function assert(condition: boolean, message: string): asserts condition {
  if (!condition) throw new LockstepError(`invariant broken: ${message}`, { code: 'BUG_INVARIANT', kind: 'bug' });
}

/** Closes a `switch` over a discriminated union: the compiler refuses a forgotten member. */
export function unreachable(value: never): never {
  throw new LockstepError(`unexpected value ${JSON.stringify(value)}`, { code: 'BUG_UNREACHABLE', kind: 'bug' });
}
