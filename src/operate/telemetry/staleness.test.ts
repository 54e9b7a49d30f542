import { describe, expect, it } from 'vitest';
import { StalenessTracker } from './staleness.ts';

const TABLE = 'shop.orders';
const SHARD = 'cass1.shop.orders/0';

describe('staleness', () => {
  it('grows while records wait, from what the last commit said', () => {
    const staleness = new StalenessTracker(0);
    staleness.committed(TABLE, 2, 1_000);
    staleness.backlog(TABLE, SHARD, 5);
    expect(staleness.seconds(TABLE, 1_000)).toBe(2);
    expect(staleness.seconds(TABLE, 11_000)).toBe(12);
  });

  it('grows from the start where nothing was ever committed and records wait', () => {
    const staleness = new StalenessTracker(1_000);
    staleness.backlog(TABLE, SHARD, 1);
    expect(staleness.seconds(TABLE, 31_000)).toBe(30);
  });

  it('falls to 0 some time after an old change, when nothing waits', () => {
    const staleness = new StalenessTracker(0);
    staleness.committed(TABLE, 86_400, 0);
    staleness.backlog(TABLE, SHARD, 0);
    expect(staleness.seconds(TABLE, 30_000)).toBe(86_400);
    expect(staleness.seconds(TABLE, 61_000)).toBe(0);
  });

  it('grows while Kafka is away, because nobody knows what waits there', () => {
    const staleness = new StalenessTracker(0);
    staleness.connected(false, 10_000);
    staleness.connected(false, 20_000);
    expect(staleness.seconds(TABLE, 70_000)).toBe(60);
    staleness.connected(true, 70_000);
    expect(staleness.seconds(TABLE, 70_000)).toBe(0);
  });

  it('leaves a shard that went to another member to that member', () => {
    const staleness = new StalenessTracker(0);
    staleness.backlog(TABLE, SHARD, 5);
    staleness.released(TABLE, SHARD);
    expect(staleness.seconds(TABLE, 100_000)).toBe(0);
  });
});
