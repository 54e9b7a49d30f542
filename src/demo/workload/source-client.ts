import cassandra from 'cassandra-driver';

/** Where Cassandra is. */
export interface SourceAddress {
  readonly contactPoints: readonly string[];
  readonly localDataCenter: string;
}

/** A write that Cassandra has not answered by then is sent again. */
const REQUEST_TIMEOUT_MS = 12_000;

/**
 * The demo's own session. 64-bit integers and varints as bigint, `undefined` as "leave this column alone", which is
 * what makes an INSERT of some columns differ from one that nulls the others.
 */
export async function connectSource(address: SourceAddress): Promise<cassandra.Client> {
  const client = new cassandra.Client({
    contactPoints: [...address.contactPoints],
    // Nodes share their port, and the driver hears only the addresses of those that it was not told of.
    protocolOptions: { port: Number(address.contactPoints[0]?.split(':')[1] ?? 9042) },
    localDataCenter: address.localDataCenter,
    encoding: { map: Map, set: Set, useBigIntAsLong: true, useBigIntAsVarint: true, useUndefinedAsUnset: true },
    socketOptions: { readTimeout: REQUEST_TIMEOUT_MS },
    // The shop has more kinds of updates than the driver expects of an application.
    maxPrepared: 10_000,
  });
  await client.connect();
  return client;
}
