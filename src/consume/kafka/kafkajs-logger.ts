/** kafkajs logs through pino, at most at the level that matters here: what it can't repair we report ourselves. */
import type { LogEntry, logCreator } from 'kafkajs';
import kafkajs from 'kafkajs';
import type { Logger } from 'pino';

/** What it remarks on is meant so: letters are produced again by whoever asked, and a copy does no harm. */
const MEANT_SO = 'Limiting retries for the idempotent producer may invalidate EoS guarantees';

/** A kafkajs log creator that writes to `logger`. Its errors become warnings: none of them ends the service. */
export function kafkajsLogger(logger: Logger): logCreator {
  return () =>
    ({ namespace, level, log }: LogEntry) => {
      const { message, timestamp: _timestamp, logger: _logger, stack: _stack, ...fields } = log;
      const entry = { kafkajs: namespace, ...fields };
      const isAlarming = level === kafkajs.logLevel.ERROR || level === kafkajs.logLevel.WARN;
      if (isAlarming && message !== MEANT_SO) logger.warn(entry, message);
      else logger.debug(entry, message);
    };
}
