/**
 * Heartbeats in the source (DESIGN §7 "Barrier"): one row for each node, in a partition that only this node holds, so that
 * it is in this node's commit log and can come to Kafka through this node's agent alone. What was acknowledged before a
 * heartbeat was written stands before it in the log of at least one of its replicas; when the heartbeats of all nodes have
 * come through, everything from before has.
 *
 * That is why the keyspace must have one replica: of several, another node's agent would bring the row. An agent with
 * more than one queue (`num.of.change.event.queues`) keeps no order between tables, and proves nothing.
 */
import type { Client } from 'cassandra-driver';
import cassandra from 'cassandra-driver';
import { changeIdOf } from '../change/changelog-entry.ts';
import type { ChangeId } from '../change/change-id.ts';
import { LockstepError, messageOf } from '../shared/errors.ts';

/** Columns of the table, with their CQL types. */
export const HEARTBEAT_COLUMNS = { range_key: 'text', node: 'text', beat: 'timestamp' } as const;
export const HEARTBEAT_KEY = 'range_key';

/** Keys that are tried until every node has one. Of 1,000 nodes with equal shares, the last one is found within 10,000. */
const MAX_KEYS = 200_000;
const WRITE_TIMEOUT_MS = 5_000;

const quoted = (name: string): string => `"${name.replaceAll('"', '""')}"`;

function partsOf(table: string): readonly [keyspace: string, name: string] {
  const [keyspace = '', name = ''] = table.split('.');
  return [keyspace, name];
}

/** Keyspace and table of the heartbeats as CQL: one replica in the data centre whose nodes are captured. */
export function heartbeatCql(table: string, dataCenter: string): readonly [keyspace: string, table: string] {
  const [keyspace, name] = partsOf(table);
  const columns = Object.entries(HEARTBEAT_COLUMNS).map(([column, type]) => `${column} ${type}`);
  return [
    `CREATE KEYSPACE IF NOT EXISTS ${quoted(keyspace)} WITH replication = {'class': 'NetworkTopologyStrategy', '${dataCenter.replaceAll("'", "''")}': 1}`,
    `CREATE TABLE IF NOT EXISTS ${quoted(keyspace)}.${quoted(name)} (${columns.join(', ')}, PRIMARY KEY (${HEARTBEAT_KEY})) WITH cdc = true`,
  ];
}

/** A node of the captured data centre and a partition key of its primary range; null where none was found. */
export interface HeartbeatNode {
  /** Address, as operators know it. */
  readonly node: string;
  readonly key: string | null;
}

/** What is asked of the driver's picture of the ring. */
export interface Ring {
  /** Nodes of the data centre, by address. */
  readonly nodes: readonly string[];
  /** The nodes that hold a partition; null where the keyspace is not known. */
  replicas(key: string): readonly string[] | null;
}

/** The ring as the driver sees it. */
export function ringOf(client: Client, table: string, dataCenter: string): Ring {
  const [keyspace] = partsOf(table);
  return {
    nodes: client.hosts
      .values()
      .filter((host) => host.datacenter === dataCenter)
      .map((host) => host.address),
    replicas: (key) =>
      // The driver's types hide that it answers null for a keyspace that it has not heard of.
      (client.metadata.getReplicas(keyspace, Buffer.from(key)) as cassandra.Host[] | null | undefined)?.map(
        (host) => host.address,
      ) ?? null,
  };
}

/** A key for each node, the first that falls into its range, so that nodes keep their keys while the ring stays. */
export function keysOfRing(ring: Ring): readonly HeartbeatNode[] {
  const keyOf = new Map<string, string>();
  for (let n = 0; keyOf.size < ring.nodes.length && n < MAX_KEYS; n++) {
    const replicas = ring.replicas(String(n));
    if (replicas === null) break;
    const [owner] = replicas;
    if (owner !== undefined && ring.nodes.includes(owner) && !keyOf.has(owner)) keyOf.set(owner, String(n));
  }
  return ring.nodes.map((node) => ({ node, key: keyOf.get(node) ?? null }));
}

/** A heartbeat that was written: the change ID that its event will have. */
export interface WrittenHeartbeat {
  readonly node: string;
  readonly id: ChangeId;
}

/**
 * Writes a heartbeat. Its write time tells it from every other, so that its own event is waited for and no clock is
 * compared: `nowMs` needs to be right for nobody.
 *
 * @param microsecond 0 to 999, random: two writers within one millisecond must not take each other's for their own.
 * @throws LockstepError transient, where the node does not take it.
 */
export async function writeHeartbeat(
  client: Client,
  table: string,
  { node, key }: { readonly node: string; readonly key: string },
  nowMs: number,
  microsecond: number,
): Promise<WrittenHeartbeat> {
  const [keyspace, name] = partsOf(table);
  const writeTime = BigInt(nowMs) * 1000n + BigInt(microsecond);
  try {
    await client.execute(
      `INSERT INTO ${quoted(keyspace)}.${quoted(name)} (range_key, node, beat) VALUES (?, ?, ?)`,
      [key, node, new Date(nowMs)],
      {
        prepare: true,
        isIdempotent: true,
        consistency: cassandra.types.consistencies.localOne,
        readTimeout: WRITE_TIMEOUT_MS,
        timestamp: Number(writeTime),
      },
    );
  } catch (cause) {
    throw new LockstepError(`the heartbeat of ${node} can not be written: ${messageOf(cause)}`, {
      code: 'HEARTBEAT_UNWRITTEN',
      kind: 'transient',
      remedy: `bring the node back; lockstep schema apply creates ${table} where it is missing`,
      cause,
    });
  }
  return { node, id: changeIdOf({ table, kind: 'write', key: [key], bounds: null, writeTime }) };
}
