/**
 * Errors of the development stack. Every one carries a remedy, because the reader is a newcomer whose first
 * command has just failed.
 */

/** Literal codes. `docs/` lists them; scripts may match on them. */
export type StackErrorCode =
  | 'STACK_NO_PROVIDER'
  | 'STACK_NO_DOCKER'
  | 'STACK_NO_JAVA'
  | 'STACK_NO_MAVEN'
  | 'STACK_JARS'
  | 'STACK_NO_POSTGRES'
  | 'STACK_PART_FAILED'
  | 'STACK_PART_STUCK'
  | 'STACK_NOT_UP'
  | 'STACK_STATE'
  | 'STACK_BUSY';

/** A failure of the stack with what to do about it. */
export class StackError extends Error {
  readonly code: StackErrorCode;
  /** One sentence or command for the person reading. */
  readonly remedy: string;

  constructor(code: StackErrorCode, message: string, remedy: string, options?: { readonly cause?: unknown }) {
    super(`${message}\n${remedy}`, options);
    this.name = 'StackError';
    this.code = code;
    this.remedy = remedy;
  }
}

/** Message of whatever was thrown, for wrapping into a {@link StackError}. */
export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
