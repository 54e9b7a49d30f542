/** What a redrive needs, opened from the configuration: for a command, which has no running service around it. */
import { setTimeout as delay } from 'node:timers/promises';
import type { Configuration } from '../../config/index.ts';
import { LetterBytes } from '../../consume/letter-bytes.ts';
import { LetterIndex } from '../../deadletter/letter-index.ts';
import { systemClock } from '../../shared/clock.ts';
import { createPool } from '../../target/index.ts';
import { JobStore } from '../../target/job-store.ts';
import { closeAll } from '../closing.ts';
import { decoderOf } from '../decoder-of.ts';
import { kafkaClientOf } from '../kafka-client.ts';
import type { Logger } from '../logger.ts';
import { prepare } from '../preparation.ts';
import { DependencyBoard } from '../readiness.ts';
import type { RedriveParts } from './redrive-job.ts';

/** A person waits: a system that does not answer is told of soon. */
const PREPARE_LIMIT_MS = 30_000;

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
    const prepared = await prepare({
      configuration,
      pool,
      dependencies: new DependencyBoard(['kafka', 'postgres', 'cassandra'], systemClock, () => undefined),
      logger,
      clock: systemClock,
      signal: AbortSignal.timeout(PREPARE_LIMIT_MS),
      onRetry: () => undefined,
    });
    const decoders = new Map(prepared.tables.map((table) => [table.name, decoderOf(table)]));
    const bytes = new LetterBytes(kafka, configuration.deadLetter.topic);
    return {
      parts: {
        index: new LetterIndex(pool, controlSchema),
        jobs: new JobStore(pool, controlSchema),
        door: prepared.target.outside,
        read: (letters, signal) => bytes.read(letters, signal),
        decoderOf: (table) => decoders.get(table) ?? null,
        elapsedMs: () => performance.now(),
        // A stop ends the pause; whoever paused looks at the signal.
        pause: (ms, signal) => delay(ms, undefined, { signal }).catch(() => undefined),
      },
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
