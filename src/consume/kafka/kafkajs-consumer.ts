/**
 * The Kafka port over kafkajs.
 *
 * kafkajs gives up after its retries and, for errors that it calls not retriable, for good. Here neither ends anything:
 * whatever happens, this member is taken down and a new one is made after a back-off, until the signal aborts.
 */
import type { Admin, Consumer, Kafka } from 'kafkajs';
import type { Logger } from 'pino';
import { LockstepError, messageOf } from '../../shared/errors.ts';
import type { GroupHandler, KafkaPort, LogRange, TopicPartition } from './kafka-port.ts';
import { deliverFilteredBatches, fetchedBatch } from './kafkajs-batch.ts';
import { logRangesOf } from './log-ranges.ts';
import { PositionMirror } from '../position-mirror.ts';
import { backoffMs, isAborted, systemTimers } from '../timers.ts';
import type { Timers } from '../timers.ts';

export interface KafkajsPortOptions {
  readonly kafka: Kafka;
  readonly groupId: string;
  readonly logger: Logger;
  /** Bytes of one fetch over all partitions. Records may be compressed ten to one, so this bounds memory ten times. */
  readonly fetchBytes?: number;
  /** The group gives our partitions away after this long without a heartbeat. */
  readonly sessionTimeoutMs?: number;
  readonly timers?: Timers;
}

/** 4 MiB was no faster (the same CPU per record) and cost 60–80 MB more of resident memory. */
const DEFAULT_FETCH_BYTES = 2 * 1024 * 1024;
const MAX_BYTES_PER_PARTITION = 1024 * 1024;
const MIN_BYTES_PER_PARTITION = 64 * 1024;
const DEFAULT_SESSION_TIMEOUT_MS = 15_000;
/** How long an idle fetch waits at the broker. kafkajs finishes it before a seek, a stop or a rebalance; data ends it. */
const MAX_WAIT_MS = 100;
/** Handlers at work beside one another; more than the partitions of one fetch does no harm. */
const MIN_CONCURRENCY = 32;
const RESTART_MIN_MS = 500;
const RESTART_MAX_MS = 15_000;
/** A topic that grew is noticed by the group's leader when its metadata is this old; the rebalance follows at once. */
const METADATA_MAX_AGE_MS = 10_000;
/**
 * Failed fetches in a row, over all lives in the group, after which a new member with connections of its own follows: after
 * a connection that was cut at the wrong moment kafkajs was seen to join the group again and again, and each of its fetches
 * to run into its timeout, for ever ⚠ (prove, seed 3313886636).
 */
const MAX_FAILED_FETCHES = 3;
/** Topics that do not exist (yet, or any more) are looked for this often. */
const MISSING_TOPIC_POLL_MS = 5_000;
/** Leaving the group waits for the fetch in flight; a broker that is gone must not hold up the stop. */
const LEAVE_LIMIT_MS = 2_000;

interface Member {
  readonly consumer: Consumer;
  joined: boolean;
}

/** The port over kafkajs. Codecs are registered by the caller (`registerCodecs`), because they are global to kafkajs. */
export function createKafkajsPort(options: KafkajsPortOptions): KafkaPort {
  const { kafka, groupId, logger } = options;
  const timers = options.timers ?? systemTimers;
  const fetchBytes = options.fetchBytes ?? DEFAULT_FETCH_BYTES;
  const sessionTimeout = options.sessionTimeoutMs ?? DEFAULT_SESSION_TIMEOUT_MS;
  deliverFilteredBatches();

  let member: Member | null = null;
  let admin: Promise<Admin> | null = null;
  const mirror = new PositionMirror(async (positions) => {
    if (member?.joined === true) await member.consumer.commitOffsets(positions);
  }, logger);

  async function withAdmin<T>(action: string, work: (admin: Admin) => Promise<T>): Promise<T> {
    try {
      admin ??= (async () => {
        const fresh = kafka.admin({ retry: { retries: 2, initialRetryTime: 100, maxRetryTime: 1_000 } });
        await fresh.connect();
        return fresh;
      })();
      return await work(await admin);
    } catch (cause) {
      const broken = admin;
      admin = null;
      void broken?.then((old) => old.disconnect()).catch(() => undefined);
      throw new LockstepError(action, { code: 'KAFKA_UNAVAILABLE', kind: 'transient', cause });
    }
  }

  async function logRanges(topic: string): Promise<readonly LogRange[]> {
    return withAdmin(`reading the offsets of ${topic}`, (client) => logRangesOf(client, topic));
  }

  /** Partitions over the topics that exist; kafkajs refuses to start while a single one of its topics is missing. */
  async function existing(topics: readonly string[]): Promise<{ topics: string[]; partitions: number }> {
    const names = new Set(await withAdmin('listing topics', (client) => client.listTopics()));
    const present = topics.filter((topic) => names.has(topic));
    if (present.length === 0) return { topics: present, partitions: 0 };
    const { topics: described } = await withAdmin('describing topics', (client) =>
      client.fetchTopicMetadata({ topics: present }),
    );
    return { topics: present, partitions: described.reduce((sum, topic) => sum + topic.partitions.length, 0) };
  }

  function newConsumer(partitions: number): Consumer {
    // A broker fills its answer in the order of the request: if the partitions' shares exceeded the whole, the last ones
    // would get nothing while the first have a backlog.
    const share = Math.floor(fetchBytes / Math.max(1, partitions));
    const maxBytesPerPartition = Math.min(MAX_BYTES_PER_PARTITION, Math.max(MIN_BYTES_PER_PARTITION, share));
    return kafka.consumer({
      groupId,
      sessionTimeout,
      heartbeatInterval: Math.floor(sessionTimeout / 5),
      rebalanceTimeout: sessionTimeout * 2,
      allowAutoTopicCreation: false,
      metadataMaxAge: METADATA_MAX_AGE_MS,
      minBytes: 1,
      maxBytes: Math.max(fetchBytes, maxBytesPerPartition * partitions),
      maxBytesPerPartition,
      maxWaitTimeInMs: MAX_WAIT_MS,
      retry: { retries: 3, initialRetryTime: 100, maxRetryTime: 1_000, restartOnFailure: () => Promise.resolve(false) },
    });
  }

  /** One life of a member: resolves when the signal aborts or topics appear, rejects when it broke. */
  async function live(topics: readonly string[], handler: GroupHandler, signal: AbortSignal): Promise<void> {
    const present = await existing(topics);
    const missing = topics.filter((topic) => !present.topics.includes(topic));
    if (missing.length > 0) logger.warn({ missing }, 'topics do not exist: waiting for them');
    if (present.topics.length === 0) throw missingTopics(missing);
    const consumer = newConsumer(present.partitions);
    const self: Member = { consumer, joined: false };
    const over = new AbortController();
    try {
      const crashed = new Promise<never>((_, reject) => {
        consumer.on(consumer.events.CRASH, ({ payload }) => reject(payload.error));
      });
      crashed.catch(() => undefined);
      // A fetch that failed is followed by none of these events. kafkajs tries again without a word, and a topic that was
      // deleted and created again meanwhile answers the old offset as soon as it is long enough ⚠: so every shard is
      // loaded and compared anew. The event comes before the fetch is put together, so `hold` is in time.
      let assignment: readonly TopicPartition[] = [];
      const fetching = new Set<number>();
      let failedFetches = 0;
      consumer.on(consumer.events.FETCH_START, ({ payload }) => {
        if (fetching.has(payload.nodeId) && self.joined) {
          failedFetches += 1;
          if (failedFetches >= MAX_FAILED_FETCHES) over.abort();
          handler.onAssigned(assignment);
        }
        fetching.add(payload.nodeId);
      });
      consumer.on(consumer.events.FETCH, ({ payload }) => {
        failedFetches = 0;
        fetching.delete(payload.nodeId);
      });
      consumer.on(consumer.events.GROUP_JOIN, ({ payload }) => {
        self.joined = true;
        const partitions = Object.entries(payload.memberAssignment).flatMap(([topic, ids]) =>
          ids.map((partition) => ({ topic, partition })),
        );
        mirror.keepOnly(partitions);
        assignment = partitions;
        fetching.clear();
        handler.onAssigned(partitions);
        handler.onState({ kind: 'joined', partitions: partitions.length });
      });
      await consumer.connect();
      await consumer.subscribe({ topics: present.topics, fromBeginning: true });
      member = self;
      await consumer.run({
        autoCommit: false,
        eachBatchAutoResolve: true,
        partitionsConsumedConcurrently: Math.max(MIN_CONCURRENCY, present.partitions),
        eachBatch: (payload) => handler.onBatch(fetchedBatch(payload.batch), () => payload.heartbeat()),
      });
      const waits: Promise<unknown>[] = [crashed, aborted(signal, over.signal)];
      if (missing.length > 0) waits.push(appeared(missing, AbortSignal.any([signal, over.signal])));
      await Promise.race(waits);
      if (failedFetches >= MAX_FAILED_FETCHES) {
        throw new LockstepError(`${failedFetches} fetches in a row failed`, { code: 'KAFKA_FETCH', kind: 'transient' });
      }
    } finally {
      over.abort();
      if (signal.aborted) await mirror.flush();
      self.joined = false;
      member = null;
      handler.onAssigned([]);
      // disconnect() stops the fetches and leaves the group first.
      await Promise.race([consumer.disconnect().catch(() => undefined), timers.pause(LEAVE_LIMIT_MS)]);
    }
  }

  async function appeared(missing: readonly string[], signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      await timers.pause(MISSING_TOPIC_POLL_MS, signal);
      const found = await existing(missing).catch(() => null);
      if (found !== null && found.topics.length > 0) return;
    }
  }

  return {
    async run(topics, handler, signal) {
      let attempt = 0;
      while (!signal.aborted) {
        handler.onState({ kind: 'connecting' });
        const startedMs = timers.elapsedMs();
        try {
          await live(topics, handler, signal);
        } catch (error) {
          if (isAborted(signal)) break;
          // A member that lived longer than the longest back-off begins anew.
          if (timers.elapsedMs() - startedMs > RESTART_MAX_MS) attempt = 0;
          const retryMs = backoffMs(attempt, RESTART_MIN_MS, RESTART_MAX_MS, timers.random());
          attempt += 1;
          const reason = messageOf(error);
          logger.warn({ reason, attempt, retryMs }, 'lost Kafka: a new member of the group follows');
          handler.onState({ kind: 'failing', reason, attempt, retryMs });
          await timers.pause(retryMs, signal);
        }
      }
      handler.onState({ kind: 'stopped' });
    },
    seek({ topic, partition }, offset) {
      if (member?.joined !== true) return;
      member.consumer.seek({ topic, partition, offset: String(offset) });
      member.consumer.resume([{ topic, partitions: [partition] }]);
    },
    hold({ topic, partition }) {
      if (member?.joined === true) member.consumer.pause([{ topic, partitions: [partition] }]);
    },
    logRanges,
    mirror: (partition, next) => mirror.note(partition, next),
    async close() {
      mirror.close();
      await admin?.then((client) => client.disconnect()).catch(() => undefined);
      admin = null;
    },
  };
}

function missingTopics(topics: readonly string[]): LockstepError {
  return new LockstepError(`no topic exists: ${topics.join(', ')}`, {
    code: 'TOPIC_MISSING',
    kind: 'transient',
    remedy: 'Create the topics, or start the capture agent, which creates them with the first change.',
  });
}

function aborted(...signals: readonly AbortSignal[]): Promise<void> {
  const any = AbortSignal.any([...signals]);
  return new Promise((resolve) => {
    if (any.aborted) resolve();
    else any.addEventListener('abort', () => resolve(), { once: true });
  });
}
