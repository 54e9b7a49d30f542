/** kafkajs logs through pino, at most at the level that matters here: what it can't repair we report ourselves. */
import type { LogEntry, logCreator } from 'kafkajs';
import kafkajs from 'kafkajs';
import type { Logger } from 'pino';

/** A kafkajs log creator that writes to `logger`. Its errors become warnings: none of them ends the service. */
export function kafkajsLogger(logger: Logger): logCreator {
  return () =>
    ({ namespace, level, log }: LogEntry) => {
      const { message, timestamp: _timestamp, logger: _logger, stack: _stack, ...fields } = log;
      const entry = { kafkajs: namespace, ...fields };
      if (level === kafkajs.logLevel.ERROR || level === kafkajs.logLevel.WARN) logger.warn(entry, message);
      else logger.debug(entry, message);
    };
}
