/** The consumer on a real Kafka: what no fake can promise about kafkajs and the broker. The target is in memory. */
import { randomUUID } from 'node:crypto';
import kafkajs from 'kafkajs';
import type { Admin, Kafka, Producer } from 'kafkajs';
import pino from 'pino';
import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from 'vitest';
import { createConsumer, createKafkaClient, createKafkajsPort, silentObserver } from '../../src/consume/index.ts';
import type { Consumer, GroupState, KafkaPort } from '../../src/consume/index.ts';
import { createDlqProducer, ensureDlqTopic, hashOfRecord, originalOf } from '../../src/deadletter/index.ts';
import { LockstepError } from '../../src/shared/errors.ts';
import { KafkaBroker } from '../support/kafka-broker.ts';
import { MemoryTarget } from '../support/kafka-memory-target.ts';
import { plainDecoder, TEST_TABLE } from '../support/kafka-records.ts';

const SESSION_MS = 6_000;
const MAX_UNPACKED_BYTES = 4 * 1024 * 1024;
const logger = pino({ level: process.env['TEST_LOG'] ?? 'silent' });

let broker: KafkaBroker;
let kafka: Kafka;
let admin: Admin;
let producer: Producer;
const opened: (() => Promise<void>)[] = [];

beforeAll(async () => {
  broker = await KafkaBroker.create();
  opened.push(() => broker.destroy());
  kafka = createKafkaClient({
    brokers: [broker.address],
    clientId: 'test',
    logger,
    maxUnpackedBytes: MAX_UNPACKED_BYTES,
  });
  await broker.start(kafka);
  admin = kafka.admin();
  // Idempotent: where an answer is late, kafkajs sends again, and tests count records.
  producer = kafka.producer({
    createPartitioner: kafkajs.Partitioners.DefaultPartitioner,
    idempotent: true,
    maxInFlightRequests: 1,
  });
  await Promise.all([admin.connect(), producer.connect()]);
  opened.push(
    () => admin.disconnect(),
    () => producer.disconnect(),
  );
});

afterAll(async () => {
  // Last opened, first closed; a set-up that failed half-way left less to do.
  for (const close of opened.reverse()) await close().catch(() => undefined);
});

interface Member {
  readonly consumer: Consumer;
  readonly port: KafkaPort;
  readonly states: GroupState[];
  readonly stop: () => Promise<number>;
}

const members: Member[] = [];
afterEach(async () => {
  await Promise.all(members.splice(0).map((member) => member.stop()));
});

function join(
  topic: string,
  target: MemoryTarget,
  groupId: string = randomUUID(),
  probeMs = 500,
  logEndsMs = 10_000,
): Member {
  const port = createKafkajsPort({ kafka, groupId, logger, sessionTimeoutMs: SESSION_MS });
  const states: GroupState[] = [];
  const dlq = createDlqProducer({ kafka, topic: `${topic}.dlq`, origin: { connectorName: groupId, taskId: '0' } });
  const consumer = createConsumer({
    kafka: port,
    door: target,
    store: target,
    topics: new Map([[topic, { table: TEST_TABLE, decoder: plainDecoder }]]),
    deadLetters: dlq,
    breaker: { maxRatio: 0.5, minRecords: 100 },
    observer: { ...silentObserver, group: (state) => states.push(state) },
    logger,
    owner: groupId,
    limits: { probeMs, logEndsMs },
  });
  const abort = new AbortController();
  const running = consumer.run(abort.signal);
  let stopped: Promise<number> | null = null;
  const stop = (): Promise<number> =>
    (stopped ??= (async () => {
      const startedMs = performance.now();
      abort.abort();
      await running;
      const tookMs = performance.now() - startedMs;
      await Promise.all([port.close(), dlq.close()]);
      return tookMs;
    })());
  const member = { consumer, port, states, stop };
  members.push(member);
  return member;
}

async function createTopic(numPartitions: number, config: Record<string, string> = {}): Promise<string> {
  const topic = `t-${randomUUID()}`;
  const configEntries = Object.entries(config).map(([name, value]) => ({ name, value }));
  await create(topic, numPartitions, configEntries);
  return topic;
}

/** Until a producer can write to it: kafkajs's own wait gives up where the broker does not know the topic yet. */
async function create(topic: string, numPartitions: number, configEntries: { name: string; value: string }[] = []) {
  await admin.createTopics({
    waitForLeaders: false,
    topics: [{ topic, numPartitions, replicationFactor: 1, configEntries }],
  });
  const isKnown = (): Promise<boolean> =>
    admin.fetchTopicMetadata({ topics: [topic] }).then(
      () => true,
      () => false,
    );
  await vi.waitUntil(isKnown, { timeout: 10_000 });
}

async function send(
  topic: string,
  partition: number,
  values: string[],
  compression?: kafkajs.CompressionTypes,
): Promise<void> {
  const messages = values.map((value, i) => ({ key: `k${i}`, value, partition }));
  await producer.send({ topic, messages, ...(compression === undefined ? {} : { compression }) });
}

function texts(count: number, prefix = 'v'): string[] {
  return Array.from({ length: count }, (_, i) => `${prefix}${i}-${'x'.repeat(100)}`);
}

async function until(condition: () => boolean, timeout = 30_000): Promise<void> {
  await vi.waitUntil(condition, { timeout, interval: 20 });
}

function valuesOf(target: MemoryTarget): (string | null)[] {
  return target.batches.flatMap(({ changes }) =>
    changes.map(({ change }) => (change.kind === 'write' ? change.cells[0]!.value : null)),
  );
}

function offsets(count: number): bigint[] {
  return Array.from({ length: count }, (_, i) => BigInt(i));
}

describe('compression', () => {
  const codecs = [
    ['gzip', kafkajs.CompressionTypes.GZIP],
    ['snappy', kafkajs.CompressionTypes.Snappy],
    ['lz4', kafkajs.CompressionTypes.LZ4],
    ['zstd', kafkajs.CompressionTypes.ZSTD],
  ] as const;
  // The broker packs anew where the topic asks for another codec than the producer's: that is Java's own form of it.
  for (const [name, type] of codecs) {
    it(`reads ${name} as Java packs it, and Java reads ours`, async () => {
      const [packedByJava, unpackedByJava, ours] = await Promise.all([
        createTopic(1, { 'compression.type': name }),
        createTopic(1, { 'compression.type': 'uncompressed' }),
        createTopic(1),
      ]);
      // Larger than one block of any codec.
      const values = texts(2_000, name);
      await send(packedByJava, 0, values);
      await send(unpackedByJava, 0, values, type);
      await send(ours, 0, values, type);
      for (const topic of [packedByJava, unpackedByJava, ours]) {
        const target = new MemoryTarget();
        join(topic, target);
        await until(() => target.changes === values.length);
        expect(valuesOf(target)).toEqual(values);
      }
    });

    it(`stops only the partition that holds a ${name} bomb`, async () => {
      const topic = await createTopic(2, { 'max.message.bytes': String(8 * MAX_UNPACKED_BYTES) });
      await send(topic, 0, texts(3));
      await send(topic, 0, ['0'.repeat(MAX_UNPACKED_BYTES + 1)], type);
      await send(topic, 1, texts(3));
      const target = new MemoryTarget();
      const { consumer } = join(topic, target);
      const stateOf = (partition: number) => consumer.shards().find((shard) => shard.partition === partition);
      await until(() => stateOf(0)?.state === 'DECOMPRESSION_LIMIT');
      expect(stateOf(0)).toMatchObject({ position: 3n, reason: expect.stringContaining('offset 3') });
      await send(topic, 1, texts(3));
      await until(() => target.next(topic, 1) === 6n);
      expect(stateOf(1)?.state).toBe('running');
    });
  }
});

describe('positions', () => {
  it('pass the control records of transactions, and what was aborted', async () => {
    const topic = await createTopic(1);
    const target = new MemoryTarget();
    join(topic, target);
    const transactional = kafka.producer({
      transactionalId: randomUUID(),
      idempotent: true,
      maxInFlightRequests: 1,
      createPartitioner: kafkajs.Partitioners.DefaultPartitioner,
    });
    await transactional.connect();
    // Each ends in a marker that no consumer is shown; the position after it is met by the next fetch.
    let markers = 0n;
    for (const kind of ['commit', 'abort', 'abort', 'commit'] as const) {
      const transaction = await transactional.transaction();
      await transaction.send({ topic, messages: [{ key: 'k', value: `${kind} before ${markers}`, partition: 0 }] });
      await transaction[kind]();
      markers += 2n;
      await until(() => target.shelves.size > 0 && target.next(topic, 0) === markers);
    }
    await transactional.disconnect();
    await send(topic, 0, ['after']);
    await until(() => target.next(topic, 0) === 9n);
    expect(valuesOf(target)).toEqual(['commit before 0', 'commit before 6', 'after']);
    expect(target.batches.some(({ changes, lastRecord }) => changes.length === 0 && lastRecord === null)).toBe(true);
  });

  it('stay where they are over a restart, and are mirrored to Kafka', async () => {
    const topic = await createTopic(1);
    const groupId = randomUUID();
    const target = new MemoryTarget();
    await send(topic, 0, texts(10));
    const first = join(topic, target, groupId);
    await until(() => target.changes === 10);
    expect(await first.stop()).toBeLessThan(2_000);
    const [mirrored] = await admin.fetchOffsets({ groupId, topics: [topic] });
    expect(mirrored!.partitions).toMatchObject([{ partition: 0, offset: '10' }]);
    await send(topic, 0, texts(5));
    join(topic, target, groupId);
    await until(() => target.changes === 15);
    expect(target.applied.get(`${topic}/0`)).toEqual(offsets(15));
  });

  it('win over the offsets that Kafka remembers', async () => {
    const topic = await createTopic(1);
    const groupId = randomUUID();
    await send(topic, 0, texts(20));
    await admin.setOffsets({ groupId, topic, partitions: [{ partition: 0, offset: '15' }] });
    const target = new MemoryTarget();
    target.put(topic, 0, { next: 5n });
    join(topic, target, groupId);
    await until(() => target.next(topic, 0) === 20n);
    expect(target.applied.get(`${topic}/0`)).toEqual(offsets(20).slice(5));
  });

  it('that the database lost while no record comes are read again, and their records with them', async () => {
    const topic = await createTopic(1);
    const target = new MemoryTarget();
    await send(topic, 0, texts(10));
    join(topic, target, randomUUID(), 500, 500);
    await until(() => target.changes === 10);
    // A failover to a standby that had not got the last commits: nothing fetches, so nothing is fenced.
    target.put(topic, 0, { next: 6n, lastRecord: null });
    await until(() => target.next(topic, 0) === 10n);
    expect(target.applied.get(`${topic}/0`)).toEqual([...offsets(10), ...offsets(10).slice(6)]);
  });

  it('pass deleted records with a gap row, at the start and while running', async () => {
    const topic = await createTopic(1);
    await send(topic, 0, texts(10));
    await admin.deleteTopicRecords({ topic, partitions: [{ partition: 0, offset: '4' }] });
    const target = new MemoryTarget();
    target.put(topic, 0, { next: 0n });
    const { consumer } = join(topic, target);
    await until(() => target.next(topic, 0) === 10n);
    expect(target.gaps).toMatchObject([{ from: 0n, to: 4n }]);
    // Retention passes the position of a shard that is stopped.
    target.before = () => {
      throw new LockstepError('no table', { code: 'TABLE_MISSING', kind: 'batch' });
    };
    await send(topic, 0, texts(5));
    await until(() => consumer.shards()[0]?.state === 'TABLE_MISSING');
    await admin.deleteTopicRecords({ topic, partitions: [{ partition: 0, offset: '13' }] });
    target.before = () => undefined;
    await until(() => target.next(topic, 0) === 15n);
    expect(target.gaps.slice(1)).toMatchObject([{ from: 10n, to: 13n }]);
    expect(consumer.shards()[0]?.state).toBe('running');
  });

  it('stop at a topic that was deleted and created again, though it is longer now, until it is accepted', async () => {
    const topic = await createTopic(1);
    await send(topic, 0, texts(5, 'old'));
    const target = new MemoryTarget();
    const { consumer } = join(topic, target);
    await until(() => target.changes === 5);
    await admin.deleteTopics({ topics: [topic] });
    await vi.waitUntil(async () => !(await admin.listTopics()).includes(topic), { timeout: 10_000 });
    await create(topic, 1);
    const fresh = kafka.producer({ createPartitioner: kafkajs.Partitioners.DefaultPartitioner });
    await fresh.connect();
    await fresh.send({ topic, messages: texts(9, 'new').map((value) => ({ key: 'k', value, partition: 0 })) });
    await fresh.disconnect();
    await until(() => consumer.shards()[0]?.state === 'TOPIC_RECREATED', 60_000);
    expect(target.changes).toBe(5);
    target.put(topic, 0, { next: 0n, lastRecord: null, shard: { topic, incarnation: 1, partition: 0 } });
    await until(() => target.changes === 14);
    expect(consumer.shards()[0]).toMatchObject({ state: 'running', incarnation: 1 });
  });
});

describe('members', () => {
  it('share partitions and lose nothing when one joins and one leaves under load', async () => {
    const topic = await createTopic(4);
    const groupId = randomUUID();
    const target = new MemoryTarget();
    let sent = 0;
    const enough = new AbortController();
    const load = (async () => {
      while (!enough.signal.aborted) {
        for (let partition = 0; partition < 4; partition += 1) await send(topic, partition, texts(50));
        sent += 200;
      }
    })();
    const first = join(topic, target, groupId);
    await until(() => target.changes + target.duplicates > 500);
    const second = join(topic, target, groupId);
    await until(() => first.consumer.shards().length === 2 && second.consumer.shards().length === 2);
    await until(() => second.consumer.shards().every((shard) => shard.state === 'running'));
    expect(await first.stop()).toBeLessThan(3_000);
    await until(() => second.consumer.shards().length === 4);
    enough.abort();
    await load;
    await until(() => [0, 1, 2, 3].every((partition) => target.next(topic, partition) === BigInt(sent / 4)));
    for (let partition = 0; partition < 4; partition += 1) {
      const batches = target.batches.filter(({ shard }) => shard.partition === partition);
      // Every batch continues the one before: no hole, nothing twice.
      expect(batches.reduce((from, batch) => (batch.from === from ? batch.next : -1n), 0n)).toBe(BigInt(sent / 4));
    }
  });

  it('take over from a member that hangs without a heartbeat', async () => {
    const topic = await createTopic(2);
    const groupId = randomUUID();
    await send(topic, 0, texts(5));
    await send(topic, 1, texts(5));
    const stale = kafka.consumer({
      groupId,
      sessionTimeout: SESSION_MS,
      heartbeatInterval: 1_000,
      maxWaitTimeInMs: 100,
    });
    await stale.connect();
    await stale.subscribe({ topics: [topic], fromBeginning: true });
    let release: () => void = () => undefined;
    const hangs = new Promise<void>((resolve) => (release = resolve));
    let hanging = false;
    await stale.run({
      autoCommit: false,
      eachBatch: async () => {
        hanging = true;
        await hangs;
      },
    });
    await until(() => hanging);
    const target = new MemoryTarget();
    join(topic, target, groupId);
    await until(
      () => target.shelves.size === 2 && target.next(topic, 0) === 5n && target.next(topic, 1) === 5n,
      60_000,
    );
    release();
    await stale.disconnect();
  });

  it('come back by themselves after Kafka was killed, with nothing lost', async () => {
    const topic = await createTopic(2);
    const target = new MemoryTarget();
    const { consumer, states } = join(topic, target);
    await send(topic, 0, texts(100));
    await until(() => target.changes === 100);
    await broker.kill();
    await until(() => consumer.group().kind === 'failing', 90_000);
    await broker.start(kafka);
    await until(() => consumer.group().kind === 'joined', 90_000);
    await vi.waitUntil(
      () =>
        send(topic, 1, texts(50)).then(
          () => true,
          () => false,
        ),
      { timeout: 60_000 },
    );
    await until(() => target.next(topic, 1) >= 50n, 60_000);
    expect(target.next(topic, 0)).toBe(100n);
    expect(states.map(({ kind }) => kind)).toContain('failing');
  });
});

describe('dead letters', () => {
  it('are in the DLQ topic to the byte, under their coordinates', async () => {
    const topic = await createTopic(1, { 'max.message.bytes': '2000000' });
    expect(await ensureDlqTopic(admin, { topic: `${topic}.dlq`, sourceTopics: [topic] })).toBe(true);
    expect(await ensureDlqTopic(admin, { topic: `${topic}.dlq`, sourceTopics: [topic] })).toBe(false);
    const { resources } = await admin.describeConfigs({
      includeSynonyms: false,
      resources: [{ type: kafkajs.ConfigResourceTypes.TOPIC, name: `${topic}.dlq` }],
    });
    const config = Object.fromEntries(
      resources[0]!.configEntries.map(({ configName, configValue }) => [configName, configValue]),
    );
    expect(config).toMatchObject({
      'cleanup.policy': 'compact,delete',
      'max.message.bytes': String(2_000_000 + 64 * 1024),
    });

    const key = Buffer.from([0, 255, 1]);
    const value = Buffer.concat([Buffer.from('!'), Buffer.from([0xff, 0xfe, 0x00])]);
    const headers = { trace: 'abc', 'lockstep.code': 'from another life' };
    await send(topic, 0, texts(2));
    await producer.send({ topic, messages: [{ key, value, headers, partition: 0 }] });
    await send(topic, 0, texts(2));
    const target = new MemoryTarget();
    join(topic, target);
    await until(() => target.shelves.size > 0 && target.next(topic, 0) === 5n);
    expect(target.deadLetters).toMatchObject([{ offset: 2n, code: 'GARBAGE', sha256: hashOfRecord(key, value) }]);

    const reader = kafka.consumer({ groupId: randomUUID(), maxWaitTimeInMs: 100 });
    await reader.connect();
    await reader.subscribe({ topics: [`${topic}.dlq`], fromBeginning: true });
    const letters: kafkajs.KafkaMessage[] = [];
    await reader.run({ eachMessage: async ({ message }) => void letters.push(message) });
    await until(() => letters.length > 0);
    await reader.disconnect();
    const letter = letters[0]!;
    expect(letter.key?.toString()).toBe(`${topic}:0:0:2`);
    expect(String(letter.headers!['__connect.errors.topic'])).toBe(topic);
    expect(String(letter.headers!['lockstep.code'])).toBe('GARBAGE');
    const original = originalOf({ value: letter.value, headers: letter.headers! });
    expect(original.key).toEqual(key);
    expect(original.value).toEqual(value);
    expect(Object.fromEntries(Object.entries(original.headers).map(([name, each]) => [name, String(each)]))).toEqual(
      headers,
    );
  });
});
