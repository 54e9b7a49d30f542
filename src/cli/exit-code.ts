import { CommanderError } from 'commander';
import { LockstepError } from '../shared/errors.ts';

/** Exit codes of `lockstep`; fixed, because scripts look at them. */
export const EXIT = {
  done: 0,
  /** The answer is "no": drift, a fault that doctor found, records that failed. */
  no: 1,
  usage: 2,
  bug: 70,
  configuration: 78,
} as const;

/** Any exit code of `lockstep`. */
export type ExitCode = (typeof EXIT)[keyof typeof EXIT];

/** An error that was raised on purpose: it has a code to look up and says what to do. */
export interface ExplainedError extends Error {
  readonly code: string;
  readonly remedy: string | undefined;
}

/** True for errors that explain themselves; the others are bugs and are shown with their stack. */
export function isExplained(error: unknown): error is ExplainedError {
  if (error instanceof LockstepError) return error.kind !== 'bug';
  if (!(error instanceof Error)) return false;
  const { code, remedy } = error as Error & { code?: unknown; remedy?: unknown };
  return typeof code === 'string' && typeof remedy === 'string';
}

/** The exit code that an error ends the process with. */
export function exitCodeOf(error: unknown): ExitCode {
  if (error instanceof CommanderError) return error.exitCode === 0 ? EXIT.done : EXIT.usage;
  if (!isExplained(error)) return EXIT.bug;
  if (!(error instanceof LockstepError)) return EXIT.no;
  switch (error.kind) {
    case 'config':
      return EXIT.configuration;
    case 'usage':
      return EXIT.usage;
    case 'bug':
      return EXIT.bug;
    case 'transient':
    case 'batch':
    case 'row':
    case 'fenced':
      return EXIT.no;
  }
}
