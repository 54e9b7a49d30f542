/** Everything that the source topics hold, read once and kept: the account of what the connector delivered. */
import type { Kafka } from 'kafkajs';
import { logRanges, type LogRange } from '../../../src/demo/kafka/kafka.ts';
import { readRecords } from '../../../src/demo/kafka/read-records.ts';
import { coordinates, type LogAccount } from '../../../src/demo/proof/log-account.ts';
import { recordHash } from '../../../src/demo/proof/record-hash.ts';
import type { ProofColumn } from '../../../src/demo/proof/source-rows.ts';
import type { Statement, TimedEffect } from '../generate/statement.ts';
import { changeOf, readEvent, type CapturedEvent } from './captured-event.ts';

/** A topic and the table whose changes it has. */
export interface AuditedTopic {
  readonly topic: string;
  readonly columns: readonly ProofColumn[];
}

/** The events of one topic. */
export class TopicLog {
  readonly events: CapturedEvent[] = [];
  /** Write times of events by the row or partition that they are about, and whether they delete it. */
  readonly #times = new Map<string, Set<bigint>>();

  add(event: CapturedEvent): void {
    this.events.push(event);
    this.#note(placeOf(classOf(event.kind), event.row ?? event.partition), event.timeUs);
    // Where a row is a partition, either kind of delete is the other.
    this.#note(placeOf(classOf(event.kind), event.partition), event.timeUs);
  }

  #note(place: string, timeUs: bigint): void {
    const times = this.#times.get(place) ?? new Set();
    this.#times.set(place, times.add(timeUs));
  }

  /** Under which an effect's events are found. */
  placeOf(effect: TimedEffect): string {
    const key = effect.kind === 'write' || effect.kind === 'row-delete' ? effect.row : effect.partition;
    return placeOf(effect.kind === 'write' ? 'write' : 'delete', key);
  }

  timesAt(place: string): ReadonlySet<bigint> {
    return this.#times.get(place) ?? NO_TIMES;
  }

  /** Whether an effect of a statement is in the topic, or something of its own statement has covered it. */
  has(effect: TimedEffect, { effects }: Statement): boolean {
    if (this.#holds(effect)) return true;
    // At equal times a tombstone wins, so what a delete of the same batch covers is never emitted.
    return effects.some(
      (other) =>
        other !== effect &&
        other.kind !== 'write' &&
        other.partition === effect.partition &&
        other.timeUs === effect.timeUs &&
        this.#holds(other),
    );
  }

  #holds(effect: TimedEffect): boolean {
    if (effect.timeUs === null) return true;
    const times = this.timesAt(this.placeOf(effect));
    if (times.has(effect.timeUs)) return true;
    return effect.kind === 'write' && effect.empties === true && times.has(effect.timeUs - 1n);
  }
}

const NO_TIMES: ReadonlySet<bigint> = new Set();

type EventClass = 'write' | 'delete';

const classOf = (kind: CapturedEvent['kind']): EventClass =>
  kind === 'insert' || kind === 'update' ? 'write' : 'delete';
const placeOf = (eventClass: EventClass, key: string): string => `${eventClass} ${key}`;

/** See the header. */
export class EventLog {
  readonly #kafka: Kafka;
  readonly #topics: readonly AuditedTopic[];
  readonly #logs: ReadonlyMap<string, TopicLog>;
  readonly #ranges = new Map<string, LogRange>();
  readonly #records = new Map<string, { readonly offset: bigint; readonly change: string | null }[]>();
  readonly #foreign = new Map<string, string>();

  constructor(kafka: Kafka, topics: readonly AuditedTopic[]) {
    this.#kafka = kafka;
    this.#topics = topics;
    this.#logs = new Map(topics.map(({ topic }) => [topic, new TopicLog()]));
  }

  get topics(): readonly string[] {
    return this.#topics.map(({ topic }) => topic);
  }

  get size(): number {
    return [...this.#logs.values()].reduce((sum, { events }) => sum + events.length, 0);
  }

  of(topic: string): TopicLog {
    const log = this.#logs.get(topic);
    if (log === undefined) throw new Error(`${topic} is not audited`);
    return log;
  }

  /** What the logs hold now. */
  ends(): Promise<LogRange[]> {
    return logRanges(this.#kafka, this.topics);
  }

  /** Reads what has come since the last time. */
  async readOn(signal?: AbortSignal): Promise<void> {
    const ranges = await this.ends();
    const columnsOf = new Map(this.#topics.map(({ topic, columns }) => [topic, columns]));
    const fresh = ranges.map((range) => {
      const before = this.#ranges.get(shardOf(range));
      return before === undefined ? range : { ...range, start: before.end };
    });
    await readRecords(
      this.#kafka,
      fresh,
      (record) => {
        const event = readEvent(columnsOf.get(record.topic) ?? [], record);
        const change = event === null ? null : `${record.topic}\n${changeOf(event)}`;
        const records = this.#records.get(shardOf(record)) ?? [];
        records.push({ offset: record.offset, change });
        this.#records.set(shardOf(record), records);
        if (event !== null) this.of(record.topic).add(event);
        else {
          const place = coordinates(record.topic, record.partition, record.offset);
          this.#foreign.set(place, recordHash(record.key, record.value));
        }
      },
      signal,
    );
    for (const range of ranges) this.#ranges.set(shardOf(range), range);
  }

  /** The account that the ledger is checked against. */
  get account(): LogAccount {
    return {
      shards: [...this.#ranges.values()].map((range) => ({
        ...range,
        records: this.#records.get(shardOf(range)) ?? [],
      })),
      foreign: this.#foreign,
    };
  }
}

const shardOf = ({ topic, partition }: { readonly topic: string; readonly partition: number }): string =>
  `${topic}/${partition}`;
