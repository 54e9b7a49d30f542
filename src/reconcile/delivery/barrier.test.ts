import { describe, expect, it } from 'vitest';
import { silentReason, unprovenReason, type HeartbeatFact, type StreamFacts } from './barrier.ts';

const passed: StreamFacts = {
  shards: [{ topic: 't', partition: 0, position: 5n, logEnd: 5n }],
  queued: 0,
};

describe('the stream’s half of the barrier', () => {
  it('is proven when every shard has passed and nothing is queued', () => {
    expect(unprovenReason(passed)).toBeNull();
  });

  it.each<[string, Partial<StreamFacts>]>([
    ['a shard is behind', { shards: [{ topic: 't', partition: 0, position: 4n, logEnd: 5n }] }],
    ['no shard is known', { shards: [] }],
    ['work is queued', { queued: 1 }],
  ])('is not proven when %s', (_what, more) => {
    expect(unprovenReason({ ...passed, ...more })).not.toBeNull();
  });
});

describe('the capture’s half of the barrier', () => {
  const heard = (node: string): HeartbeatFact => ({ node, unwritten: null, arrived: true });

  it('is proven when every node was heard', () => {
    expect(silentReason([heard('a'), heard('b')], 0)).toBeNull();
  });

  it('names each silent node, and why a heartbeat could not be written', () => {
    const reason = silentReason(
      [
        heard('10.0.0.1'),
        { ...heard('10.0.0.2'), arrived: false },
        { node: '10.0.0.3', unwritten: 'the heartbeat of 10.0.0.3 can not be written: timeout', arrived: false },
        { ...heard('10.0.0.4'), arrived: false },
      ],
      Date.UTC(2026, 10, 1),
    );
    expect(reason).toBe(
      'no heartbeat has come through the capture of 10.0.0.2, 10.0.0.4 since 2026-11-01T00:00:00.000Z; the heartbeat of 10.0.0.3 can not be written: timeout',
    );
  });

  it('is not proven where no node is known', () => {
    expect(silentReason([], 0)).not.toBeNull();
  });
});
