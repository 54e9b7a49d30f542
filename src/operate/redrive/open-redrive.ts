/** What a redrive needs, opened from the configuration: for a command, which has no running service around it. */
import type { Configuration } from '../../config/index.ts';
import { LetterBytes } from '../../consume/letter-bytes.ts';
import { createPool } from '../../target/index.ts';
import { closeAll } from '../connect/closing.ts';
import { kafkaClientOf } from '../connect/kafka-client.ts';
import type { Logger } from '../telemetry/logger.ts';
import { prepare } from '../connect/preparation.ts';
import { soon } from '../connect/prepare-soon.ts';
import { reachBoth } from '../connect/reach.ts';
import type { RedriveParts } from './redrive-job.ts';
import { redriveParts } from './redrive-parts.ts';

export interface OpenRedrive {
  readonly parts: RedriveParts;
  close(): Promise<void>;
}

/** Rejects with a LockstepError where a system can't be reached or the configuration does not fit it. */
export async function openRedrive(configuration: Configuration, logger: Logger): Promise<OpenRedrive> {
  const { url, controlSchema } = configuration.target.postgres;
  const pool = createPool({ url, poolSize: 4 });
  const kafka = kafkaClientOf(configuration.kafka, logger);
  try {
    await reachBoth(configuration, pool);
    const prepared = await soon(prepare, { configuration, pool, logger });
    const bytes = new LetterBytes(kafka, configuration.deadLetter.topic);
    return {
      parts: redriveParts(pool, controlSchema, prepared.target, bytes),
      close: () =>
        closeAll(
          [
            ['Cassandra', () => prepared.cassandra?.shutdown()],
            ['PostgreSQL', () => pool.end()],
          ],
          logger,
        ),
    };
  } catch (error) {
    await pool.end().catch(() => undefined);
    throw error;
  }
}
