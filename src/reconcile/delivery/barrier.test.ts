import { describe, expect, it } from 'vitest';
import { unprovenReason, type BarrierFacts } from './barrier.ts';

const proven: BarrierFacts = {
  atMs: 1_000,
  shards: [{ topic: 't', partition: 0, position: 5n, logEnd: 5n }],
  queued: 0,
  heartbeats: [{ node: 'a', arrivedMs: 1_000 }],
};
const all = { heartbeats: true };

describe('the barrier', () => {
  it('is proven when every shard has passed, nothing is queued and every node was heard', () => {
    expect(unprovenReason(proven, all)).toBeNull();
  });

  it.each<[string, Partial<BarrierFacts>]>([
    ['a shard is behind', { shards: [{ topic: 't', partition: 0, position: 4n, logEnd: 5n }] }],
    ['no shard is known', { shards: [] }],
    ['work is queued', { queued: 1 }],
    ['a heartbeat is older', { heartbeats: [{ node: 'a', arrivedMs: 999 }] }],
    [
      'a node was never heard',
      {
        heartbeats: [
          { node: 'a', arrivedMs: 1_000 },
          { node: 'b', arrivedMs: null },
        ],
      },
    ],
    ['nobody writes heartbeats', { heartbeats: null }],
    ['no node is known', { heartbeats: [] }],
  ])('is not proven when %s', (_what, more) => {
    expect(unprovenReason({ ...proven, ...more }, all)).not.toBeNull();
  });

  it('asks no heartbeat where the account is Kafka itself', () => {
    expect(unprovenReason({ ...proven, heartbeats: null }, { heartbeats: false })).toBeNull();
  });
});
