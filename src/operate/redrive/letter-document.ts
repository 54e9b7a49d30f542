/** Dead letters as JSON, for the command line and HTTP alike. */
import type { IndexedLetter, LetterAttempt, LetterStats } from '../../deadletter/letter-index.ts';
import type { KeepingSummary, LetterGroupOfKeeping } from '../../deadletter/letter-keeping.ts';

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

/** `bytes` is null where Kafka could not be asked or has no such topic. */
export function statsDocument(stats: LetterStats, keeping: KeepingSummary | null): Record<string, unknown> {
  const hours = Map.groupBy(stats.hours, ({ hourMs }) => hourMs);
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
    hours: [...hours].map(([hourMs, of]) => ({
      hour: iso(hourMs),
      count: of.reduce((sum, { count }) => sum + count, 0),
    })),
    histogram: stats.hours.map(({ table, code, hourMs, count }) => ({ table, code, hour: iso(hourMs), count })),
    bytes: keeping === null ? null : keepingDocument(keeping),
  };
}

function keepingDocument(keeping: KeepingSummary): Record<string, unknown> {
  const group = ({ count, ids }: LetterGroupOfKeeping) => ({ count, ids: ids.map(String) });
  return {
    topic: keeping.topic,
    retention_seconds: keeping.retentionMs === null ? null : keeping.retentionMs / 1000,
    retention_bytes: keeping.retentionBytes,
    records: keeping.records,
    bytes: keeping.bytes,
    open: keeping.open,
    oldest_open: iso(keeping.oldestOpenMs),
    gone: group(keeping.gone),
    leaving: group(keeping.leaving),
    first_leaves_at: iso(keeping.firstLeavesMs),
  };
}
