import { afterEach, describe, expect, it } from 'vitest';
import { ConsumerRig, TOPIC, values } from '../../test/support/kafka-consumer-rig.ts';
import { settled } from '../../test/support/kafka-timers.ts';
import { LockstepError } from '../shared/errors.ts';
import type { ErrorKind } from '../shared/errors.ts';

function failure(kind: ErrorKind, code: string): LockstepError {
  return new LockstepError(`made up ${code}`, { kind, code });
}

let rig: ConsumerRig;
afterEach(() => rig.end());

describe('duplicates', () => {
  function sameChange(): void {
    const log = rig.kafka.log(TOPIC, 0);
    log.records = log.records.map((record) => ({ ...record, key: Buffer.from('same') }));
  }

  it('skips only equal fingerprints, and never an ambiguous change', async () => {
    rig = new ConsumerRig();
    rig.kafka.append(TOPIC, 0, 'a', 'a', 'b', '?c', '?c');
    sameChange();
    await rig.assign();
    await rig.poll();
    // `a` and `b` share a change ID (one row, one microsecond) and are two changes.
    expect(rig.target.batches[0]!.changes.map(({ offset }) => offset)).toEqual([0n, 2n]);
    expect(rig.target.batches[0]!.duplicates).toHaveLength(1);
    expect(rig.target.deadLetters).toHaveLength(2);
  });

  it('takes each copy of a hint: another replica tells of its write later, and the read must be later too', async () => {
    rig = new ConsumerRig();
    rig.kafka.append(TOPIC, 0, '~a', '~a');
    sameChange();
    await rig.assign();
    await rig.poll();
    expect(rig.target.batches[0]!.changes).toHaveLength(2);
    expect(rig.counts.duplicates).toBe(0);
  });

  it('takes each copy of a change of which the merge asked the source: a tie, a row that is incomplete or too old', async () => {
    rig = new ConsumerRig();
    rig.kafka.append(TOPIC, 0, 'a', 'a', 'a');
    sameChange();
    await rig.assign();
    rig.target.asked = new Set(['["same"]']);
    await rig.poll(1n);
    rig.target.asked = new Set();
    await rig.poll(1n);
    expect(rig.counts.duplicates).toBe(0);
    await rig.poll(1n);
    expect(rig.counts.duplicates).toBe(1);
  });

  it('recognises copies of a later batch only once the first has committed', async () => {
    rig = new ConsumerRig();
    rig.kafka.append(TOPIC, 0, 'a', 'a');
    sameChange();
    await rig.assign();
    let failures = 1;
    rig.target.before = () => {
      if (failures-- > 0) throw failure('transient', 'CONNECTION_LOST');
    };
    await rig.poll(1n);
    await rig.poll(1n);
    await rig.timers.advance(60_000);
    expect(rig.applied).toEqual([0n]);
    expect(rig.counts.duplicates).toBe(1);
  });

  it('forgets those of a transaction that ends after its shard was taken away: its commit may be lost before the next load', async () => {
    rig = new ConsumerRig();
    rig.kafka.append(TOPIC, 0, 'a', 'b');
    await rig.assign();
    const backup = { ...rig.target.shelf(TOPIC, 0).position };
    let answer = (): void => undefined;
    rig.target.after = () => new Promise<void>((resolve) => (answer = resolve));
    await rig.poll();
    // Given to us again by a rebalance while the transaction is in flight; it commits, and a failover loses it.
    await rig.assign();
    rig.target.after = () => undefined;
    answer();
    rig.target.put(TOPIC, 0, backup);
    await settled();
    await rig.poll();
    expect(rig.counts.duplicates).toBe(0);
    expect(rig.target.changes).toBe(4);
  });

  it('forgets them when the position jumps: lost commits must be applied again', async () => {
    rig = new ConsumerRig();
    rig.kafka.append(TOPIC, 0, 'a', 'b');
    await rig.assign();
    await rig.poll();
    // A failover lost the commit: the standby knows nothing of it.
    rig.target.put(TOPIC, 0, { next: 0n, lastRecord: null });
    rig.kafka.append(TOPIC, 0, 'c');
    await rig.poll();
    await rig.poll();
    expect(rig.applied).toEqual([0n, 1n, 0n, 1n, 2n]);
    expect(rig.counts.duplicates).toBe(0);
  });

  it('a copy of a change that turns out to be guilty is no duplicate', async () => {
    rig = new ConsumerRig();
    rig.kafka.append(TOPIC, 0, 'bad', 'ok', 'bad');
    const log = rig.kafka.log(TOPIC, 0);
    log.records = log.records.map((record) => ({ ...record, key: record.value }));
    await rig.assign();
    rig.target.before = (batch) => {
      if (batch.changes.some(({ change }) => change.kind === 'write' && change.key.values[0] === 'bad')) {
        throw failure('row', 'CHECK_VIOLATION');
      }
    };
    await rig.poll();
    expect(rig.target.deadLetters.map(({ offset }) => offset)).toEqual([0n, 2n]);
    expect(rig.target.duplicates).toBe(0);
  });
});

describe('flow', () => {
  it('decodes the next fetch while a transaction is in flight, and merges what waits', async () => {
    rig = new ConsumerRig();
    rig.kafka.append(TOPIC, 0, ...values(30));
    await rig.assign();
    let open: () => void = () => undefined;
    rig.target.before = () => new Promise((resolve) => (open = resolve));
    await rig.poll(10n);
    await rig.poll(10n);
    await rig.poll(10n);
    expect(rig.counts.consumed).toBe(30);
    rig.target.before = () => undefined;
    open();
    await settled();
    expect(rig.target.batches.map(({ changes }) => changes.length)).toEqual([10, 20]);
  });

  it('cuts large fetches at the limits', async () => {
    rig = new ConsumerRig({ maxBatchChanges: 7 });
    rig.kafka.append(TOPIC, 0, ...values(20));
    await rig.assign();
    await rig.poll();
    expect(rig.target.batches.map(({ changes }) => changes.length)).toEqual([7, 7, 6]);
  });

  it('never holds more bytes than the budget, over all shards', async () => {
    rig = new ConsumerRig({ maxBytesInFlight: 100, maxQueuedBytes: 40 }, 3);
    for (let partition = 0; partition < 3; partition += 1) rig.kafka.append(TOPIC, partition, ...values(90));
    await rig.assign(3);
    for (let i = 0; i < 40; i += 1) await rig.poll(10n);
    for (let partition = 0; partition < 3; partition += 1) expect(rig.target.next(TOPIC, partition)).toBe(90n);
    expect(rig.maxInFlight).toBeLessThanOrEqual(100);
    expect(rig.maxInFlight).toBeGreaterThan(40);
    expect(rig.inFlight).toBe(0);
  });

  it('holds fetching back while the target is slow, with heartbeats, and no byte is lost count of', async () => {
    rig = new ConsumerRig({ maxQueuedBytes: 10, heartbeatMs: 1_000 });
    rig.kafka.append(TOPIC, 0, ...values(30));
    await rig.assign();
    let open: () => void = () => undefined;
    rig.target.before = () => new Promise((resolve) => (open = resolve));
    await rig.poll(5n);
    let handedOver = false;
    void rig.kafka.poll(25n).then(() => (handedOver = true));
    await settled();
    await rig.timers.advance(1_000);
    await rig.timers.advance(1_000);
    expect(handedOver).toBe(false);
    expect(rig.kafka.heartbeats).toBe(2);
    rig.target.before = () => undefined;
    open();
    await settled();
    expect(handedOver).toBe(true);
    expect(rig.next).toBe(30n);
    expect(rig.inFlight).toBe(0);
  });

  it('gives a rebalance that a heartbeat reports to Kafka, and begins anew with nothing lost', async () => {
    rig = new ConsumerRig({ maxQueuedBytes: 10, heartbeatMs: 1_000 });
    rig.kafka.append(TOPIC, 0, ...values(30));
    await rig.assign();
    let open: () => void = () => undefined;
    rig.target.before = () => new Promise((resolve) => (open = resolve));
    await rig.poll(5n);
    const polled = rig.kafka.poll(25n);
    await settled();
    rig.kafka.heartbeat = () => Promise.reject(new Error('REBALANCE_IN_PROGRESS'));
    const rejected = expect(polled).rejects.toThrow('REBALANCE_IN_PROGRESS');
    await rig.timers.advance(1_000);
    await rejected;
    rig.target.before = () => undefined;
    open();
    await rig.assign();
    for (let i = 0; i < 3; i += 1) await rig.poll();
    expect(rig.applied).toEqual(Array.from({ length: 30 }, (_, i) => BigInt(i)));
    expect(rig.inFlight).toBe(0);
  });

  it('gives way during a long decode', async () => {
    rig = new ConsumerRig({ decodeSliceMs: 4 });
    rig.kafka.append(TOPIC, 0, ...values(100));
    await rig.assign();
    rig.timers.stepMs = 1;
    await rig.poll();
    expect(rig.timers.yields).toBeGreaterThan(10);
    expect(rig.next).toBe(100n);
  });

  it('stops a shard at what can not be unpacked, after everything before it', async () => {
    rig = new ConsumerRig();
    rig.kafka.append(TOPIC, 0, ...values(4));
    await rig.assign();
    const batch = rig.kafka.batchAt(TOPIC, 0, 0n, 2n);
    await rig.kafka.deliver({ ...batch, unreadable: { code: 'DECOMPRESSION_LIMIT', message: 'too large' } });
    await settled();
    expect(rig.applied).toEqual([0n, 1n]);
    expect(rig.state).toBe('DECOMPRESSION_LIMIT');
    expect(rig.consumer.shards()[0]!.reason).toContain('offset 2');
  });
});

describe('membership', () => {
  it('keeps trying to load while the store or Kafka is away', async () => {
    rig = new ConsumerRig();
    rig.kafka.append(TOPIC, 0, 'a');
    rig.kafka.failRanges = failure('transient', 'KAFKA_UNAVAILABLE');
    await rig.assign();
    for (let i = 0; i < 5; i += 1) await rig.timers.advance(20_000);
    expect(rig.state).toBe('retrying');
    rig.kafka.failRanges = null;
    await rig.timers.advance(20_000);
    await rig.poll();
    expect(rig.next).toBe(1n);
    expect(rig.retried.length).toBeGreaterThan(4);
  });

  it('finishes the transaction in flight when a shard is taken away, and applies nothing after it', async () => {
    rig = new ConsumerRig({ maxBatchChanges: 2 });
    rig.kafka.append(TOPIC, 0, ...values(6));
    await rig.assign();
    let open: () => void = () => undefined;
    rig.target.before = () => new Promise((resolve) => (open = resolve));
    await rig.poll();
    rig.kafka.assign();
    rig.target.before = () => undefined;
    open();
    await settled();
    expect(rig.applied).toEqual([0n, 1n]);
    expect(rig.consumer.shards()).toEqual([]);
    expect(rig.inFlight).toBe(0);
  });

  it('reads the position only after its own transaction has ended when it is assigned again', async () => {
    rig = new ConsumerRig({ maxBatchChanges: 2 });
    rig.kafka.append(TOPIC, 0, ...values(6));
    await rig.assign();
    let open: () => void = () => undefined;
    rig.target.before = () => new Promise((resolve) => (open = resolve));
    await rig.poll();
    const before = rig.kafka.rangeCalls;
    rig.kafka.assign({ topic: TOPIC, partition: 0 });
    await settled();
    expect(rig.kafka.rangeCalls).toBe(before);
    rig.target.before = () => undefined;
    open();
    await settled();
    await rig.poll();
    expect(rig.applied).toEqual([0n, 1n, 2n, 3n, 4n, 5n]);
  });

  it('on a stop finishes the transaction in flight, then leaves the group', async () => {
    rig = new ConsumerRig({ maxBatchChanges: 2 });
    rig.kafka.append(TOPIC, 0, ...values(6));
    await rig.assign();
    let open: () => void = () => undefined;
    rig.target.before = () => new Promise((resolve) => (open = resolve));
    await rig.poll();
    rig.stop.abort();
    await settled();
    expect(rig.kafka.left).toBe(false);
    open();
    await rig.running;
    expect(rig.kafka.left).toBe(true);
    expect(rig.applied).toEqual([0n, 1n]);
  });

  it('a resume of a stopped shard tries at once', async () => {
    rig = new ConsumerRig();
    rig.kafka.append(TOPIC, 0, 'a');
    await rig.assign();
    rig.target.before = () => {
      throw failure('batch', 'DISK_FULL');
    };
    await rig.poll();
    rig.target.before = () => undefined;
    expect(rig.consumer.resume({ topic: TOPIC, partition: 0 })).toBe(true);
    await settled();
    await rig.poll();
    expect(rig.next).toBe(1n);
    expect(rig.consumer.resume({ topic: TOPIC, partition: 9 })).toBe(false);
  });
});

describe('another form of the record keys', () => {
  function keys(...texts: string[]): void {
    const log = rig.kafka.log(TOPIC, 0);
    log.records = log.records.map((record, i) => ({ ...record, key: Buffer.from(texts[i] ?? '') }));
  }

  it('is noted before a record that has it is applied; the key of a poison record says nothing', async () => {
    rig = new ConsumerRig();
    rig.kafka.append(TOPIC, 0, 'a', '!poison', 'b');
    keys('{"id":1}', '{"garbage":', '{"id":2}');
    await rig.assign();
    await rig.poll();
    expect(rig.keyForms).toEqual([['{"id":', 0]]);
    rig.kafka.append(TOPIC, 0, 'c');
    keys('{"id":1}', '{"garbage":', '{"id":2}', '{"schema":{},"payload":{"id":1}}');
    await rig.poll();
    expect(rig.keyForms).toEqual([
      ['{"id":', 0],
      ['{"schema":', 2],
    ]);
    expect(rig.applied).toEqual([0n, 2n, 3n]);
  });
});
