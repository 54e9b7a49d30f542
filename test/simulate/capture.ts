/** The capture agent: events some time after their statements, often twice, sometimes with poison between them. */
import type { Random } from '../../src/demo/workload/random.ts';
import { envelopeOf } from '../model/envelope.ts';
import type { History } from '../model/generate.ts';
import type { Mutation } from '../model/mutation.ts';
import type { SimulatedKafka } from './kafka.ts';

const MAX_DELAY_MS = 1_500;
/** Copies come a second apart, or after a restart of the agent much later. */
const COPY_AFTER_MS = 3_000;

/** Kafka's partitioner, as far as it matters: one key, one partition. */
function partitionOf(key: string, partitions: number): number {
  let hash = 7;
  for (const character of key) hash = (hash * 31 + character.codePointAt(0)!) % 1_000_003;
  return hash % partitions;
}

export interface CaptureHooks {
  /** The source has it from now on. */
  readonly onExecuted: (mutation: Mutation) => void;
  readonly onEmitted: (mutation: Mutation) => void;
}

/** Schedules all events of the history; answers with the time after which no more come, ms from now. */
export function emitHistory(history: History, kafka: SimulatedKafka, random: Random, hooks: CaptureHooks): number {
  const { schema, statements } = history;
  const { scheduler } = kafka;
  let endMs = 1;
  const at = (ms: number, run: () => void): void => {
    endMs = Math.max(endMs, ms + 1);
    scheduler.after(ms, run);
  };
  for (const [place, { mutation, atMs }] of statements.entries()) {
    const emit = (ms: number): void =>
      at(ms, () => {
        const { key, value } = envelopeOf(schema, mutation, scheduler.nowMs, place);
        hooks.onEmitted(mutation);
        kafka.append(partitionOf(key, kafka.partitionsOfProducer()), { mutation, fate: 'applies' }, key, value);
      });
    at(atMs, () => hooks.onExecuted(mutation));
    const firstMs = atMs + random.below(MAX_DELAY_MS);
    emit(firstMs);
    if (random.chance(0.3)) emit(firstMs + random.below(COPY_AFTER_MS));
  }
  for (let left = random.chance(0.3) ? random.between(1, 3) : 0; left > 0; left -= 1) {
    at(random.below(endMs), () => poison(history, kafka, random));
  }
  return endMs;
}

function poison({ schema, statements }: History, kafka: SimulatedKafka, random: Random): void {
  const { mutation } = random.pick(statements);
  const { key, value } = envelopeOf(schema, mutation, kafka.scheduler.nowMs, 0);
  const partition = partitionOf(key, kafka.partitionsOfProducer());
  const text = schema.regular.findIndex(({ type }) => type === 'text');
  switch (random.below(5)) {
    case 0:
      kafka.append(partition, { mutation: null, fate: 'nothing' }, key, null);
      return;
    case 1:
      kafka.append(partition, { mutation: null, fate: 'never' }, key, value.slice(0, random.below(value.length)));
      return;
    case 2:
      kafka.append(partition, { mutation: null, fate: 'never' }, key, value.replace('"op":"', '"op":"x'));
      return;
    case 3:
      kafka.append(partition, { mutation: null, fate: 'never' }, null, value);
      return;
    default: {
      if (text < 0 || !('cells' in mutation)) return;
      // U+0000, which PostgreSQL's text can't hold: read, refused, and accounted for by its change ID.
      const cells = mutation.cells.map((cell, i) => (i === text ? 'a\0b' : cell));
      const refused: Mutation = { ...mutation, cells };
      const envelope = envelopeOf(schema, refused, kafka.scheduler.nowMs, 0);
      kafka.append(partition, { mutation: refused, fate: 'never' }, envelope.key, envelope.value);
    }
  }
}
