import { describe, expect, it } from 'vitest';
import { dlqPartitionOf, keepingOf, suspectBefore, type DlqTopicFacts } from './letter-keeping.ts';

const DAY = 86_400_000;
const NOW = 100 * DAY;
const untouched = { start: 0n, end: 10n, oldestMs: null };

function facts(more: Partial<DlqTopicFacts> = {}): DlqTopicFacts {
  return { topic: 'dlq', retentionMs: 30 * DAY, retentionBytes: null, partitions: [untouched], ...more };
}

describe('a letter’s record in the DLQ topic', () => {
  it('is kept, is leaving in its last quarter, and is gone when the log begins after it', () => {
    const deleted = facts({ partitions: [{ start: 5n, end: 10n, oldestMs: NOW - 20 * DAY }] });
    expect(keepingOf(deleted, 'k', NOW - 21 * DAY, NOW)).toBe('gone');
    expect(keepingOf(deleted, 'k', NOW - 19 * DAY, NOW)).toBe('kept');
    expect(keepingOf(facts(), 'k', NOW - 22 * DAY, NOW)).toBe('kept');
    expect(keepingOf(facts(), 'k', NOW - 23 * DAY, NOW)).toBe('leaving');
    // Nothing was deleted: Kafka is late, the record is still there.
    expect(keepingOf(facts(), 'k', NOW - 40 * DAY, NOW)).toBe('leaving');
  });

  it('is gone whatever its age where its partition has been emptied', () => {
    expect(keepingOf(facts({ partitions: [{ start: 10n, end: 10n, oldestMs: null }] }), 'k', NOW, NOW)).toBe('gone');
    expect(keepingOf(facts({ partitions: [{ start: 0n, end: 0n, oldestMs: null }] }), 'k', NOW, NOW)).toBe('kept');
  });

  it('is looked for in its own partition only, the one that the producer chose by its key', () => {
    const emptied = { start: 10n, end: 10n, oldestMs: null };
    const key = 'cass1.shop.orders:1:0:17';
    const own = dlqPartitionOf('dlq', key, 3);
    const partitions = [untouched, untouched, untouched];
    expect(keepingOf(facts({ partitions: partitions.with(own, emptied) }), key, NOW, NOW)).toBe('gone');
    expect(keepingOf(facts({ partitions: partitions.with((own + 1) % 3, emptied) }), key, NOW, NOW)).toBe('kept');
  });

  it('never leaves a topic that keeps for ever', () => {
    expect(keepingOf(facts({ retentionMs: null }), 'k', 0, NOW)).toBe('kept');
    expect(suspectBefore(facts({ retentionMs: null }), NOW)).toBeNull();
  });

  it('is a suspect whenever it may not be kept', () => {
    const cases = [
      facts(),
      facts({ partitions: [{ start: 5n, end: 10n, oldestMs: NOW - 2 * DAY }] }),
      facts({ partitions: [{ start: 10n, end: 10n, oldestMs: null }, untouched] }),
    ];
    for (const each of cases) {
      for (let age = 0; age < 50; age += 1) {
        const failedMs = NOW - age * DAY;
        if (failedMs < (suspectBefore(each, NOW) ?? 0)) continue;
        expect(keepingOf(each, 'k', failedMs, NOW)).toBe('kept');
      }
    }
  });
});
