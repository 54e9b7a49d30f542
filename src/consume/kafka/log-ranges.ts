import type { Admin } from 'kafkajs';
import type { LogRange } from './kafka-port.ts';

/** What the log of each partition of a topic holds, by partition. Rejects with what kafkajs throws. */
export async function logRangesOf(
  admin: Pick<Admin, 'fetchTopicOffsets'>,
  topic: string,
): Promise<readonly LogRange[]> {
  const offsets = await admin.fetchTopicOffsets(topic);
  return offsets
    .map(({ partition, low, high }) => ({ partition, start: BigInt(low), end: BigInt(high) }))
    .sort((a, b) => a.partition - b.partition);
}
