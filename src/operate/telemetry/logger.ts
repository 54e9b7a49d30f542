import { pino, type Logger, type LevelWithSilent } from 'pino';
import pretty from 'pino-pretty';
import { maskUrl } from '../../config/index.ts';

export type { Logger } from 'pino';

/** Places in a log entry that are replaced, wherever a caller puts a whole configuration or request by mistake. */
const SECRET_PATHS = ['password', 'token', 'authorization', 'sasl', 'secret'].flatMap((key) => [
  key,
  `*.${key}`,
  `*.*.${key}`,
  `*.*.*.${key}`,
]);

/** Options of {@link createLogger}. */
export interface LoggerOptions {
  readonly level: LevelWithSilent;
  /** Default standard error, so that standard output belongs to a command's answer. */
  readonly stream?: NodeJS.WritableStream & { readonly isTTY?: boolean };
}

function errorFields(error: unknown): unknown {
  if (!(error instanceof Error)) return error;
  const { code, kind, remedy } = error as Error & { code?: unknown; kind?: unknown; remedy?: unknown };
  return {
    type: error.name,
    message: maskUrl(error.message),
    ...(code === undefined ? {} : { code }),
    ...(kind === undefined ? {} : { kind }),
    ...(remedy === undefined ? {} : { remedy }),
    // What is raised on purpose explains itself; the way there matters for everything else.
    ...(kind === undefined || kind === 'bug' ? { stack: maskUrl(error.stack ?? '') } : {}),
    ...(error.cause === undefined ? {} : { cause: errorFields(error.cause) }),
  };
}

/** JSON lines for machines, readable text on a terminal. Secrets are masked; an error goes under the key `err`. */
export function createLogger(options: LoggerOptions): Logger {
  const stream = options.stream ?? process.stderr;
  return pino(
    {
      level: options.level,
      base: { pid: process.pid },
      messageKey: 'message',
      timestamp: pino.stdTimeFunctions.isoTime,
      formatters: { level: (label) => ({ level: label }) },
      redact: { paths: SECRET_PATHS, censor: '***' },
      serializers: { err: errorFields },
    },
    stream.isTTY === true
      ? pretty({
          destination: stream,
          colorize: true,
          messageKey: 'message',
          ignore: 'pid',
          translateTime: 'SYS:HH:MM:ss.l',
        })
      : stream,
  );
}
