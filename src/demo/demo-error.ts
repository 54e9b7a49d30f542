import { LockstepError } from '../shared/errors.ts';

/** Literal codes of the demo. */
type DemoErrorCode =
  'DEMO_STACK' | 'DEMO_SOURCE' | 'DEMO_COMMAND' | 'DEMO_LOSSES' | 'DEMO_SERVICE' | 'DEMO_KAFKA' | 'DEMO_INTERRUPTED';

/** A failure of the demo itself (exit code 1). That the proof does not pass is a verdict, not an error. */
export class DemoError extends LockstepError {
  constructor(code: DemoErrorCode, message: string, remedy: string, cause?: unknown) {
    super(message, { code, kind: 'batch', remedy, cause });
    this.name = 'DemoError';
  }
}
