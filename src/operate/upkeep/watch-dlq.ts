/** How long the DLQ topic keeps what is still open, as metrics: looked at by the owner of the first shard of all. */
import type { Kafka } from 'kafkajs';
import { LetterIndex } from '../../deadletter/letter-index.ts';
import { isNearlyFull, KEEPINGS, type KeepingSummary } from '../../deadletter/letter-keeping.ts';
import { UPKEEP_BACKOFF } from './backoff.ts';
import { keepingSummary } from './dlq-keeping.ts';
import type { Metrics } from '../telemetry/metrics.ts';
import { repeating } from './repeating.ts';
import type { Report, RunningParts } from '../service/running-parts.ts';
import type { Service } from '../service/service.ts';

/** Letters leave after days; a person has hours to react. */
const EVERY_MS = 60_000;
const TIMEOUT_MS = 60_000;

/** Shows a summary, or nothing where another member looks. */
export function showKeeping({ stream }: Metrics, summary: KeepingSummary | null, nowMs: number): void {
  const { dlqLetters, dlqOldestOpen, dlqRetention, dlqRecords, dlqBytes, dlqNearlyFull } = stream;
  for (const gauge of [dlqOldestOpen, dlqRetention, dlqRecords, dlqBytes, dlqNearlyFull]) gauge.remove();
  dlqLetters.reset();
  if (summary === null) return;
  const { open, gone, leaving, oldestOpenMs, retentionMs, records, bytes } = summary;
  const counts = { gone: gone.count, leaving: leaving.count, kept: open - gone.count - leaving.count };
  for (const keeping of KEEPINGS) dlqLetters.set({ record: keeping }, counts[keeping]);
  dlqOldestOpen.set(oldestOpenMs === null ? 0 : Math.max(0, nowMs - oldestOpenMs) / 1000);
  dlqRetention.set(retentionMs === null ? Number.POSITIVE_INFINITY : retentionMs / 1000);
  dlqRecords.set(records);
  dlqBytes.set(bytes);
  dlqNearlyFull.set(isNearlyFull(summary) ? 1 : 0);
}

export function watchDlq(parts: RunningParts, kafka: Kafka, report: Report): Service {
  const { configuration, pool, consumer, metrics, clock, prepared } = parts;
  const index = new LetterIndex(pool, configuration.target.postgres.controlSchema);
  const { topic } = configuration.deadLetter;
  showKeeping(metrics, null, clock.nowMs());
  return repeating('watch-dlq', {
    everyMs: EVERY_MS,
    timeoutMs: TIMEOUT_MS,
    work: async () => {
      const first = prepared.tables[0]?.topic;
      const isOurs = consumer.shards().some((shard) => shard.topic === first && shard.partition === 0);
      const nowMs = clock.nowMs();
      const limit = AbortSignal.timeout(TIMEOUT_MS);
      showKeeping(metrics, isOurs ? await keepingSummary({ kafka, topic, index }, {}, nowMs, limit) : null, nowMs);
    },
    backoff: UPKEEP_BACKOFF,
    onError: report('looking at the dead-letter topic'),
  });
}
