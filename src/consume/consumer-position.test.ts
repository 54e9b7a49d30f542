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
    await settled();
    await rig.poll();
    expect(rig.applied).toEqual([5n, 6n, 7n, 8n, 9n]);
  });

  it('is read again where a database lost it while the shard was idle, though no record comes', async () => {
    rig = new ConsumerRig({ logEndsMs: 10_000 });
    rig.kafka.append(TOPIC, 0, 'a');
    await rig.assign();
    await rig.poll();
    const backup = { ...rig.target.shelf(TOPIC, 0).position };
    rig.kafka.append(TOPIC, 0, 'b', 'c');
    await rig.poll();
    expect(rig.next).toBe(3n);
    rig.target.put(TOPIC, 0, backup);
    await rig.poll();
    expect(rig.applied).toEqual([0n, 1n, 2n]);
    await rig.timers.advance(10_000);
    await rig.poll();
    expect(rig.applied).toEqual([0n, 1n, 2n, 1n, 2n]);
    expect(rig.next).toBe(3n);
  });

  it('is not fooled by a fetch from below whose first record is the wanted one', async () => {
    rig = new ConsumerRig();
    rig.kafka.append(TOPIC, 0, ...values(4));
    rig.target.put(TOPIC, 0, { next: 2n });
    await rig.assign();
    const batch = rig.kafka.batchAt(TOPIC, 0, 2n);
    await rig.kafka.deliver({ ...batch, fetchedOffset: 0n });
    await settled();
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
