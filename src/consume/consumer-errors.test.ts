import { afterEach, describe, expect, it } from 'vitest';
import { ConsumerRig, TOPIC, values } from '../../test/support/kafka-consumer-rig.ts';
import { hashOfRecord } from '../deadletter/record-hash.ts';
import { LockstepError } from '../shared/errors.ts';
import type { ErrorKind } from '../shared/errors.ts';

function failure(kind: ErrorKind, code: string): LockstepError {
  return new LockstepError(`made up ${code}`, { kind, code });
}

let rig: ConsumerRig;
afterEach(() => rig.end());

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
    // Every part is a batch of its own, in order, and the position moves through all of them.
    rig.target.batches.reduce((from, batch) => {
      expect(batch.from).toBe(from);
      return batch.next;
    }, 0n);
  });

  it('believes a named row only when its change fails alone', async () => {
    for (const named of ['13', '14']) {
      rig = new ConsumerRig();
      rig.kafka.append(TOPIC, 0, ...values(32));
      await rig.assign();
      const trials: bigint[] = [];
      rig.target.before = (batch, { trial }) => {
        if (trial === true) trials.push(...batch.changes.map(({ offset }) => offset));
        const guilty = batch.changes.some(({ offset }) => offset === 13n);
        const key = batch.changes.find(({ offset }) => String(offset) === named)?.change;
        const suspect = key?.kind === 'write' ? key.key.text : undefined;
        if (guilty) throw new LockstepError('made up', { kind: 'row', code: 'PG_23514', suspect });
      };
      await rig.poll();
      expect(trials).toContain(BigInt(named));
      expect(rig.target.deadLetters.map(({ offset }) => offset)).toEqual([13n]);
      expect(rig.next).toBe(32n);
      // Named rightly all others stay one batch, with the dead letter in it.
      if (named === '13') expect(rig.target.batches.map(({ next }) => next)).toEqual([32n]);
      await rig.end();
    }
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

  it('half-open: goes on by itself when the cause is gone, and asking costs no dead letter', async () => {
    rig = new ConsumerRig({ probeMs: 30_000 });
    rig.kafka.append(TOPIC, 0, ...values(500));
    await rig.assign();
    let broken = true;
    rig.target.before = (batch) => {
      // One record is poison whatever happens: the one that the shard stands at.
      if (batch.changes.some(({ offset }) => broken || offset === rig.next)) throw failure('row', 'CHECK_VIOLATION');
    };
    await rig.poll();
    expect(rig.state).toBe('DEAD_LETTER_BREAKER_OPEN');
    const sinceMs = rig.timers.nowMs;
    expect(rig.breaker).toMatchObject({ state: 'open', sinceMs });
    // What the batch would have brought is part of what opened it.
    expect(rig.breaker.share).toBeGreaterThanOrEqual(0.5);
    expect(rig.breaker.records).toBeGreaterThanOrEqual(20);
    const [produced, next] = [rig.produced.length, rig.next];
    for (let probe = 0; probe < 5; probe += 1) {
      await rig.timers.advance(30_000);
      expect(rig.breaker).toMatchObject({ state: 'half-open', sinceMs });
      expect(rig.target.notes.at(-1)).toMatchObject({ breaker: { state: 'half-open' } });
      await rig.poll();
      expect(rig.state).toBe('DEAD_LETTER_BREAKER_OPEN');
      expect(rig.target.notes.at(-1)).toMatchObject({
        reason: expect.stringContaining('50 %'),
        breaker: { state: 'open', sinceMs },
      });
    }
    expect([rig.produced.length, rig.next]).toEqual([produced, next]);

    broken = false;
    const poison = next;
    rig.target.before = (batch) => {
      if (batch.changes.some(({ offset }) => offset === poison)) throw failure('row', 'CHECK_VIOLATION');
    };
    await rig.timers.advance(30_000);
    await rig.poll();
    expect(rig.state).toBe('running');
    expect(rig.breaker).toMatchObject({ state: 'closed', sinceMs: null });
    expect(rig.target.notes.at(-1)).toEqual({ reason: null, breaker: null });
    expect(rig.next).toBe(500n);
    expect(rig.produced).toHaveLength(produced + 1);
  });

  it('what waits for another row opens no breaker and counts as no dead letter', async () => {
    rig = new ConsumerRig();
    rig.kafka.append(TOPIC, 0, ...values(200));
    await rig.assign();
    rig.target.before = (batch) => {
      if (batch.changes.length > 0) throw failure('row', 'PG_23503');
    };
    await rig.poll();
    expect(rig.next).toBe(200n);
    expect(rig.target.deadLetters.map(({ status }) => status)).toEqual(Array.from({ length: 200 }, () => 'waiting'));
    expect(rig.produced).toHaveLength(200);
    expect(rig.counts.deadLetters).toBe(0);
  });

  it('a batch that met others in two deadlocks in a row goes alone', async () => {
    rig = new ConsumerRig();
    rig.kafka.append(TOPIC, 0, ...values(3));
    await rig.assign();
    const alone: boolean[] = [];
    rig.target.before = (_batch, manner) => {
      alone.push(manner.alone === true);
      if (manner.alone !== true) throw failure('transient', 'PG_40P01');
    };
    await rig.poll();
    for (let i = 0; i < 5; i += 1) await rig.timers.advance(20_000);
    expect(alone).toEqual([false, false, true]);
    expect(rig.next).toBe(3n);
  });
});
