/** Dead letters as JSON, for the command line and HTTP alike. */
import type { IndexedLetter, LetterAttempt, LetterStats } from '../../deadletter/letter-index.ts';

const iso = (ms: number | null): string | null => (ms === null ? null : new Date(ms).toISOString());

/** Offsets and IDs are text: they are 64-bit integers, which JSON numbers are not. */
export function letterDocument(letter: IndexedLetter): Record<string, unknown> {
  return {
    id: String(letter.id),
    table: letter.table,
    topic: letter.shard.topic,
    incarnation: letter.shard.incarnation,
    partition: letter.shard.partition,
    offset: String(letter.offset),
    code: letter.code,
    reason: letter.reason,
    path: letter.path,
    change_id: letter.changeId,
    row_key: letter.rowKey,
    status: letter.status,
    attempts: letter.attempts,
    value_bytes: letter.valueBytes,
    record_time: iso(letter.recordMs),
    first_failed_at: iso(letter.firstFailedMs),
    last_failed_at: iso(letter.lastFailedMs),
    resolved_at: iso(letter.resolvedMs),
  };
}

export function attemptDocument(attempt: LetterAttempt): Record<string, unknown> {
  const { jobId, outcome, code, reason, atMs } = attempt;
  return { at: iso(atMs), job_id: jobId, outcome, code, reason };
}

export function statsDocument(stats: LetterStats): Record<string, unknown> {
  return {
    total: stats.total,
    groups: stats.groups.map((group) => ({
      table: group.table,
      code: group.code,
      status: group.status,
      count: group.count,
      first_failed_at: iso(group.firstMs),
      last_failed_at: iso(group.lastMs),
      sample_id: String(group.sampleId),
      sample_reason: group.sampleReason,
    })),
    hours: stats.hours.map(({ hourMs, count }) => ({ hour: iso(hourMs), count })),
  };
}
