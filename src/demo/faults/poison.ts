/** A record that can never become a change. */
import type { Producer } from 'kafkajs';
import type { Random } from '../workload/random.ts';

/** Where the poison lies. */
export interface Poison {
  readonly topic: string;
  readonly partition: number;
  readonly offset: string;
}

const POISON_BYTES = 333;

/** Produces bytes that are neither UTF-8 nor JSON. */
export async function injectPoison(
  producer: Producer,
  topic: string,
  partition: number,
  random: Random,
): Promise<Poison> {
  // 0xff never occurs in UTF-8.
  const value = Buffer.concat([Buffer.from([0xff, 0x00, 0xfe]), random.bytes(POISON_BYTES)]);
  const [sent] = await producer.send({
    topic,
    messages: [{ partition, key: Buffer.from('poison \u0000 \u{1f480}'), value }],
  });
  return { topic, partition, offset: sent?.baseOffset ?? '?' };
}
