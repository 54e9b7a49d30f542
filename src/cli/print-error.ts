import { ConfigurationError, maskUrl } from '../config/index.ts';
import { messageOf } from '../shared/errors.ts';
import { isExplained } from './exit-code.ts';

/** An error as text for a person: what happened, where, what to do. Passwords in URLs are masked. */
export function errorText(error: unknown): string {
  if (!isExplained(error)) {
    const stack = error instanceof Error ? (error.stack ?? error.message) : String(error);
    const cause = error instanceof Error && error.cause !== undefined ? `\ncause: ${messageOf(error.cause)}` : '';
    return maskUrl(`lockstep: this is a bug of Lockstep, please report it.\n${stack}${cause}`);
  }
  // Every problem of a configuration carries its own remedy.
  if (error instanceof ConfigurationError) return `lockstep: ${error.message}`;
  const message = messageOf(error);
  const told = error.remedy === undefined || message.includes(error.remedy);
  return maskUrl(`lockstep: ${message} [${error.code}]${told ? '' : `\n  remedy: ${error.remedy}`}`);
}

/** The same as a document, for `--json`. */
export function errorDocument(error: unknown): unknown {
  if (!isExplained(error)) return { error: { code: 'BUG', message: maskUrl(messageOf(error)) } };
  const { code, remedy } = error;
  return {
    error: {
      code,
      message: maskUrl(messageOf(error)),
      ...(remedy === undefined ? {} : { remedy }),
      ...(error instanceof ConfigurationError ? { problems: error.problems } : {}),
    },
  };
}
