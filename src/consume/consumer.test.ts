import { afterEach, describe, expect, it } from 'vitest';
import { ConsumerRig, TOPIC, values } from '../../test/support/kafka-consumer-rig.ts';
import { settled } from '../../test/support/kafka-timers.ts';
import { hashOfRecord } from '../deadletter/record-hash.ts';
import { LockstepError } from '../shared/errors.ts';
import type { ErrorKind } from '../shared/errors.ts';

function failure(kind: ErrorKind, code: string): LockstepError {
  return new LockstepError(`made up ${code}`, { kind, code });
}

let rig: ConsumerRig;
afterEach(() => rig.end());

describe('position', () => {
  it('starts at the log start and moves to the last offset + 1, control records included', async () => {
    rig = new ConsumerRig();
    rig.kafka.append(TOPIC, 0, 'a', 'b');
    rig.kafka.appendControl(TOPIC, 0);
    await rig.assign();
    await rig.poll();
    expect(rig.applied).toEqual([0n, 1n]);
    expect(rig.next).toBe(3n);
    expect(rig.kafka.mirrored.get(`${TOPIC}/0`)).toBe(3n);
  });

  it('moves over a fetch that holds nothing but control records', async () => {
    rig = new ConsumerRig();
    rig.kafka.append(TOPIC, 0, 'a');
    await rig.assign();
    await rig.poll();
    rig.kafka.appendControl(TOPIC, 0);
    await rig.poll();
    expect(rig.next).toBe(2n);
    expect(rig.target.batches.at(-1)).toMatchObject({ from: 1n, next: 2n, lastRecord: null, changes: [] });
  });

  it('discards a batch from elsewhere unread, and gets the right one', async () => {
    rig = new ConsumerRig();
    rig.kafka.append(TOPIC, 0, ...values(10));
    rig.target.put(TOPIC, 0, { next: 5n });
    await rig.assign();
    await rig.kafka.deliver(rig.kafka.batchAt(TOPIC, 0, 8n));
    expect(rig.counts.consumed).toBe(0);
    await rig.poll();
    expect(rig.applied).toEqual([5n, 6n, 7n, 8n, 9n]);
  });

  it('is not fooled by a fetch from below whose first record is the wanted one', async () => {
    rig = new ConsumerRig();
    rig.kafka.append(TOPIC, 0, ...values(4));
    rig.target.put(TOPIC, 0, { next: 2n });
    await rig.assign();
    const batch = rig.kafka.batchAt(TOPIC, 0, 2n);
    await rig.kafka.deliver({ ...batch, fetchedOffset: 0n });
    expect(rig.applied).toEqual([]);
    await rig.poll();
    expect(rig.applied).toEqual([2n, 3n]);
  });

  it('writes a gap row where retention has passed the position, and goes on', async () => {
    rig = new ConsumerRig();
    rig.kafka.append(TOPIC, 0, ...values(10));
    rig.kafka.deleteBefore(TOPIC, 0, 6n);
    rig.target.put(TOPIC, 0, { next: 2n });
    await rig.assign();
    await rig.poll();
    expect(rig.gaps).toEqual([[2n, 6n]]);
    expect(rig.target.gaps).toMatchObject([{ from: 2n, to: 6n }]);
    expect(rig.applied).toEqual([6n, 7n, 8n, 9n]);
  });

  it('finds the gap while it runs: discard-and-seek alone would loop for ever', async () => {
    rig = new ConsumerRig();
    rig.kafka.append(TOPIC, 0, ...values(3));
    await rig.assign();
    await rig.poll();
    rig.kafka.append(TOPIC, 0, ...values(10));
    rig.kafka.deleteBefore(TOPIC, 0, 8n);
    for (let i = 0; i < 4; i += 1) await rig.poll();
    expect(rig.gaps).toEqual([[3n, 8n]]);
    expect(rig.next).toBe(13n);
  });

  it('compares the record before the position and stops at another topic of the same name', async () => {
    rig = new ConsumerRig({ probeMs: 30_000 });
    rig.kafka.append(TOPIC, 0, ...values(10));
    rig.target.put(TOPIC, 0, { next: 5n, lastRecord: { offset: 4n, timestampMs: 0, hash: Buffer.alloc(32, 7) } });
    await rig.assign();
    await rig.poll();
    expect(rig.state).toBe('TOPIC_RECREATED');
    expect(rig.target.shelf(TOPIC, 0).position.state).toBe('TOPIC_RECREATED');
    expect(rig.applied).toEqual([]);
    // An operator accepts the new incarnation; the probe finds it.
    rig.target.put(TOPIC, 0, { next: 0n, lastRecord: null });
    await rig.timers.advance(30_000);
    await rig.poll();
    expect(rig.applied).toHaveLength(10);
    expect(rig.state).toBe('running');
    expect(rig.target.shelf(TOPIC, 0).position.state).toBe('running');
  });

  it('goes on after the comparison where it is the same topic', async () => {
    rig = new ConsumerRig();
    rig.kafka.append(TOPIC, 0, ...values(10));
    const hash = hashOfRecord(Buffer.from('k4'), Buffer.from('v4'));
    rig.target.put(TOPIC, 0, { next: 5n, lastRecord: { offset: 4n, timestampMs: 0, hash } });
    await rig.assign();
    expect(rig.kafka.seeks).toEqual([4n]);
    await rig.poll();
    expect(rig.applied).toEqual([5n, 6n, 7n, 8n, 9n]);
  });

  it('stops where the position is above the log end', async () => {
    rig = new ConsumerRig();
    rig.kafka.append(TOPIC, 0, 'a');
    rig.target.put(TOPIC, 0, { next: 5n });
    await rig.assign();
    expect(rig.state).toBe('TOPIC_RECREATED');
    expect(rig.kafka.isHeld(TOPIC, 0)).toBe(true);
  });

  it('notices a topic that was created again and has outgrown the position while it runs', async () => {
    rig = new ConsumerRig();
    rig.kafka.append(TOPIC, 0, ...values(5));
    await rig.assign();
    await rig.poll();
    rig.kafka.recreate(TOPIC, 0);
    rig.kafka.append(TOPIC, 0, ...values(3, 100));
    await rig.poll();
    rig.kafka.append(TOPIC, 0, ...values(9, 200));
    for (let i = 0; i < 3; i += 1) await rig.poll();
    expect(rig.state).toBe('TOPIC_RECREATED');
    expect(rig.applied).toEqual([0n, 1n, 2n, 3n, 4n]);
  });

  it('compares anew after fetching stood still for long: the topic may have been created again unseen', async () => {
    rig = new ConsumerRig({ maxQueuedBytes: 10, recheckMs: 30_000 });
    rig.kafka.append(TOPIC, 0, ...values(5));
    await rig.assign();
    let open: () => void = () => undefined;
    rig.target.before = () => new Promise((resolve) => (open = resolve));
    await rig.poll(2n);
    await rig.poll(3n);
    await rig.timers.advance(40_000);
    rig.kafka.recreate(TOPIC, 0);
    rig.kafka.append(TOPIC, 0, ...values(20, 100));
    rig.target.before = () => undefined;
    open();
    await settled();
    for (let i = 0; i < 3; i += 1) await rig.poll();
    expect(rig.state).toBe('TOPIC_RECREATED');
    expect(rig.applied).toEqual([0n, 1n, 2n, 3n, 4n].slice(0, rig.applied.length));
  });

  it('drops everything and follows the stored position when it is fenced', async () => {
    rig = new ConsumerRig({ maxBatchChanges: 2 });
    rig.kafka.append(TOPIC, 0, ...values(10));
    await rig.assign();
    rig.target.before = (batch) => {
      // Somebody else was faster, once.
      if (batch.from === 4n) rig.target.put(TOPIC, 0, { next: 7n });
    };
    await rig.poll();
    await rig.poll();
    expect(rig.applied).toEqual([0n, 1n, 2n, 3n, 7n, 8n, 9n]);
    expect(rig.next).toBe(10n);
    expect(rig.inFlight).toBe(0);
  });

  it('applies nothing twice when the answer to a COMMIT is lost', async () => {
    rig = new ConsumerRig();
    rig.kafka.append(TOPIC, 0, ...values(3));
    await rig.assign();
    let lost = 0;
    rig.target.after = () => {
      lost += 1;
      if (lost === 1) throw failure('transient', 'CONNECTION_LOST');
    };
    await rig.poll();
    await rig.timers.advance(60_000);
    await rig.poll();
    expect(rig.applied).toEqual([0n, 1n, 2n]);
    expect(rig.retried).toEqual(['CONNECTION_LOST']);
    expect(rig.state).toBe('running');
  });
});

describe('errors', () => {
  it('retries what is transient for ever and never dead-letters it', async () => {
    rig = new ConsumerRig();
    rig.kafka.append(TOPIC, 0, ...values(5));
    await rig.assign();
    let failures = 0;
    rig.target.before = () => {
      failures += 1;
      if (failures <= 50) throw failure('transient', 'CONNECTION_REFUSED');
    };
    await rig.poll();
    expect(rig.state).toBe('retrying');
    for (let i = 0; i < 50; i += 1) await rig.timers.advance(20_000);
    expect(rig.retried).toHaveLength(50);
    expect(rig.produced).toEqual([]);
    expect(rig.applied).toHaveLength(5);
    expect(rig.state).toBe('running');
  });

  it('dead-letters exactly the guilty change, its bytes first', async () => {
    rig = new ConsumerRig();
    rig.kafka.append(TOPIC, 0, ...values(32));
    await rig.assign();
    rig.target.before = (batch) => {
      if (batch.changes.some(({ offset }) => offset === 13n || offset === 14n)) throw failure('row', 'CHECK_VIOLATION');
      for (const entry of batch.deadLetters) {
        expect(rig.produced.map(({ record }) => record.offset)).toContain(entry.offset);
      }
    };
    await rig.poll();
    expect(rig.target.deadLetters.map(({ offset, code }) => [offset, code])).toEqual([
      [13n, 'CHECK_VIOLATION'],
      [14n, 'CHECK_VIOLATION'],
    ]);
    expect(rig.applied).toEqual(Array.from({ length: 32 }, (_, i) => BigInt(i)).filter((i) => i !== 13n && i !== 14n));
    expect(rig.next).toBe(32n);
    // Every half is a batch of its own, left first, and the position moves through all of them.
    rig.target.batches.reduce((from, batch) => {
      expect(batch.from).toBe(from);
      return batch.next;
    }, 0n);
  });

  it('stops one shard for a batch error, goes on with the others and probes slowly', async () => {
    rig = new ConsumerRig({ probeMs: 30_000 }, 2);
    rig.kafka.append(TOPIC, 0, ...values(3));
    rig.kafka.append(TOPIC, 1, ...values(3));
    await rig.assign(2);
    let broken = true;
    rig.target.before = (batch) => {
      if (broken && batch.shard.partition === 0) throw failure('batch', 'TABLE_MISSING');
    };
    await rig.poll();
    expect(rig.state).toBe('TABLE_MISSING');
    expect(rig.inFlight).toBe(0);
    expect(rig.target.next(TOPIC, 1)).toBe(3n);
    await rig.timers.advance(29_999);
    expect(rig.kafka.isHeld(TOPIC, 0)).toBe(true);
    await rig.timers.advance(1);
    await rig.poll();
    expect(rig.state).toBe('TABLE_MISSING');
    broken = false;
    await rig.timers.advance(30_000);
    await rig.poll();
    expect(rig.next).toBe(3n);
    expect(rig.state).toBe('running');
    expect(rig.target.states.at(-1)).toBe('running');
  });

  it('stops for what nobody foresaw', async () => {
    rig = new ConsumerRig();
    rig.kafka.append(TOPIC, 0, 'a');
    await rig.assign();
    rig.target.before = () => {
      throw new TypeError('undefined is not a function');
    };
    await rig.poll();
    expect(rig.state).toBe('BUG_UNEXPECTED');
    expect(rig.produced).toEqual([]);
  });

  it('halves a batch that times out again and again, and stops at a single change that does', async () => {
    rig = new ConsumerRig();
    rig.kafka.append(TOPIC, 0, ...values(4));
    await rig.assign();
    rig.target.before = (batch) => {
      if (batch.changes.some(({ offset }) => offset === 2n)) throw failure('transient', 'STATEMENT_TIMEOUT');
    };
    await rig.poll();
    for (let i = 0; i < 12; i += 1) await rig.timers.advance(20_000);
    expect(rig.applied).toEqual([0n, 1n]);
    expect(rig.state).toBe('STATEMENT_TIMEOUT');
    expect(rig.consumer.shards()[0]!.reason).toContain('t/0 at offset 2');
    expect(rig.produced).toEqual([]);
  });

  it('retries while the DLQ is away, and writes no index before it has the bytes', async () => {
    rig = new ConsumerRig();
    rig.kafka.append(TOPIC, 0, 'a', '!b');
    await rig.assign();
    let away = true;
    rig.failDlq = () => {
      if (away) throw failure('transient', 'DLQ_UNAVAILABLE');
    };
    await rig.poll();
    await rig.timers.advance(20_000);
    expect(rig.next).toBe(0n);
    away = false;
    await rig.timers.advance(20_000);
    expect(rig.next).toBe(2n);
    expect(rig.produced).toHaveLength(1);
  });
});

describe('dead letters', () => {
  it('sets refused and ambiguous records aside with code, place and hash; skips Kafka tombstones', async () => {
    rig = new ConsumerRig();
    rig.kafka.append(TOPIC, 0, 'a', '!garbage', '?what', null, 'b');
    await rig.assign();
    await rig.poll();
    expect(rig.target.batches[0]).toMatchObject({ skipped: 1, from: 0n, next: 5n });
    expect(rig.target.deadLetters).toMatchObject([
      { offset: 1n, code: 'GARBAGE', path: 'value', status: 'pending' },
      { offset: 2n, code: 'AMBIGUOUS_DURATION', rowKey: '["k2"]' },
    ]);
    expect(rig.target.deadLetters[0]!.sha256).toEqual(hashOfRecord(Buffer.from('k1'), Buffer.from('!garbage')));
    expect(rig.produced.map(({ stage }) => stage)).toEqual(['VALUE_CONVERTER', 'TASK_PUT']);
    expect(rig.applied).toEqual([0n, 4n]);
  });

  it('opens the breaker before anything is produced when most of a batch is refused', async () => {
    rig = new ConsumerRig({ probeMs: 30_000 });
    rig.kafka.append(TOPIC, 0, ...values(10), ...values(15).map((value) => `!${value}`));
    await rig.assign();
    await rig.poll();
    expect(rig.state).toBe('DEAD_LETTER_BREAKER_OPEN');
    expect(rig.produced).toEqual([]);
    expect(rig.next).toBe(0n);
  });

  it('opens the breaker during isolation: a whole topic that fails one by one is not moved to the DLQ', async () => {
    rig = new ConsumerRig();
    rig.kafka.append(TOPIC, 0, ...values(500));
    await rig.assign();
    rig.target.before = (batch) => {
      if (batch.changes.length > 0) throw failure('row', 'CHECK_VIOLATION');
    };
    await rig.poll();
    expect(rig.state).toBe('DEAD_LETTER_BREAKER_OPEN');
    expect(rig.produced.length).toBeLessThan(20);
  });
});

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
