/**
 * Errors of the development stack. Every one carries a remedy, because the reader is a newcomer whose first
 * command has just failed.
 */
import { LockstepError } from '../shared/errors.ts';

/** Literal codes; scripts may match on them. */
export type StackErrorCode =
  /** Neither a Docker engine nor Java with Maven. */
  | 'STACK_NO_PROVIDER'
  /** `--provider docker`, and no engine answers. */
  | 'STACK_NO_DOCKER'
  | 'STACK_NO_JAVA'
  | 'STACK_NO_MAVEN'
  /** Maven could not fetch the jars. */
  | 'STACK_JARS'
  /** PostgreSQL's binaries, or a user or place to run them, are missing. */
  | 'STACK_NO_POSTGRES'
  /** A part ended while it was starting, or could not be started. */
  | 'STACK_PART_FAILED'
  /** A part runs but did not become healthy in time. */
  | 'STACK_PART_STUCK'
  /** Nothing was ever started in this directory. */
  | 'STACK_NOT_UP'
  /** The directory holds a state that is not ours to read. */
  | 'STACK_STATE'
  /** Another process is working on the same directory. */
  | 'STACK_BUSY';

/** A failure of the stack, with what to do about it. */
export class StackError extends LockstepError {
  declare readonly code: StackErrorCode;
  declare readonly remedy: string;

  constructor(code: StackErrorCode, message: string, remedy: string, cause?: unknown) {
    super(message, { code, kind: code === 'STACK_BUSY' ? 'transient' : 'batch', remedy, cause });
    this.name = 'StackError';
  }
}
