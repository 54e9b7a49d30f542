/** The commit log of a Cassandra of the stack, as far as what the connector loses is bounded by it. */
import type cassandra from 'cassandra-driver';

/** `commitlog_segment_size` of both stacks; what the connector skips ends with its segment. */
const SEGMENT_BYTES = 4 * 1024 * 1024;
const BLOB_BYTES = 64 * 1024;
const AT_ONCE = 8;

/** A table beside the captured ones that only fills the log. */
export function ballastDdl(keyspace: string): string {
  return `CREATE TABLE IF NOT EXISTS ${keyspace}.ballast (k int PRIMARY KEY, v blob) WITH cdc = false`;
}

/** Fills the segment under way and the next one: what is written then is in another segment than what was before. */
export async function nextSegment(source: cassandra.Client, keyspace: string): Promise<void> {
  const v = Buffer.alloc(BLOB_BYTES, 0xab);
  const blobs = (2 * SEGMENT_BYTES) / BLOB_BYTES;
  let next = 0;
  const writer = async (): Promise<void> => {
    for (let k = next++; k < blobs; k = next++) {
      await source.execute(`INSERT INTO ${keyspace}.ballast (k, v) VALUES (?, ?)`, [k, v], { prepare: true });
    }
  };
  await Promise.all(Array.from({ length: AT_ONCE }, writer));
}
