import type { Configuration } from '../../config/index.ts';
import { LetterIndex } from '../../deadletter/letter-index.ts';
import { LockstepError } from '../../shared/errors.ts';
import { createPool } from '../../target/index.ts';
import { keepingSummary } from '../upkeep/dlq-keeping.ts';
import { kafkaClientOf } from '../connect/kafka-client.ts';
import { createLogger } from '../telemetry/logger.ts';
import type { LetterProbe } from './letter-checks.ts';

/** Control tables that the first start of the service makes. */
const NOT_YET: ReadonlySet<string> = new Set(['PG_42P01', 'PG_3F000']);

/** The probe behind which a real Kafka and PostgreSQL are. */
export function createLetterProbe({ kafka, target, deadLetter }: Configuration): LetterProbe {
  const { url, controlSchema } = target.postgres;
  const pool = createPool({ url, poolSize: 1 });
  const client = kafkaClientOf(kafka, createLogger({ level: 'silent' }));
  const index = new LetterIndex(pool, controlSchema);
  return {
    async keeping(signal) {
      try {
        return await keepingSummary({ kafka: client, topic: deadLetter.topic, index }, {}, Date.now(), signal);
      } catch (error) {
        if (error instanceof LockstepError && NOT_YET.has(error.code)) return null;
        throw error;
      }
    },
    close: () => pool.end(),
  };
}
