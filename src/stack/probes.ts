/** Health checks, the same whoever runs the parts: does a client on this machine get an answer, now? None of them throws. */
import { connect } from 'node:net';
import { Kafka, logLevel } from 'kafkajs';
import pg from 'pg';

/** A probe that takes longer is a no. */
const PROBE_LIMIT_MS = 1_000;

/** Whether a broker answers there with at least itself. */
export async function kafkaAnswers(broker: string): Promise<boolean> {
  const admin = new Kafka({
    brokers: [broker],
    clientId: 'lockstep-stack',
    logLevel: logLevel.NOTHING,
    connectionTimeout: PROBE_LIMIT_MS,
    requestTimeout: PROBE_LIMIT_MS,
    retry: { retries: 0 },
  }).admin();
  try {
    await admin.connect();
    const { brokers } = await admin.describeCluster();
    return brokers.length > 0;
  } catch {
    return false;
  } finally {
    await admin.disconnect().catch(() => undefined);
  }
}

/** An OPTIONS request of the CQL protocol v4: version, flags, stream (2), opcode, length (4). */
const OPTIONS_REQUEST = Buffer.from([0x04, 0, 0, 0, 0x05, 0, 0, 0, 0]);
/** The opcode of the answer, SUPPORTED. */
const SUPPORTED = 0x06;

/**
 * Whether a CQL server answers there. Cassandra opens this port last, when it serves. A bare request, since a
 * driver would read the whole schema at every look.
 */
export async function cassandraAnswers(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect({ host: '127.0.0.1', port, timeout: PROBE_LIMIT_MS });
    const answer = (healthy: boolean): void => {
      socket.destroy();
      resolve(healthy);
    };
    socket.once('connect', () => socket.write(OPTIONS_REQUEST));
    socket.once('data', (data) => {
      answer(data[4] === SUPPORTED);
    });
    for (const event of ['error', 'timeout', 'end'] as const) socket.once(event, () => { answer(false); });
  });
}

/** Whether the agent says that all its processors run. It can't tell that it lost a change. */
export async function agentAnswers(healthUrl: string): Promise<boolean> {
  try {
    const response = await fetch(healthUrl, { signal: AbortSignal.timeout(PROBE_LIMIT_MS) });
    const body = await response.text();
    return response.ok && /true/i.test(body);
  } catch {
    return false;
  }
}

async function query(url: string, sql: string): Promise<pg.QueryResult> {
  const client = new pg.Client({
    connectionString: url,
    connectionTimeoutMillis: PROBE_LIMIT_MS,
    query_timeout: PROBE_LIMIT_MS * 10,
    application_name: 'lockstep-stack',
  });
  client.on('error', () => undefined);
  try {
    await client.connect();
    return await client.query(sql);
  } finally {
    await client.end().catch(() => undefined);
  }
}

/** Whether the server accepts a session on Lockstep's database. */
export async function postgresAnswers(url: string): Promise<boolean> {
  return query(url, 'SELECT 1').then(() => true, () => false);
}

/**
 * Makes the database, which only a running server can. Tried whenever a start finds no healthy server, so the start
 * after an interrupted first one makes it too; "not yet listening" and "exists" are left to the next look.
 */
export async function makeDatabase(adminUrl: string, name: string): Promise<void> {
  await query(adminUrl, `CREATE DATABASE ${name}`).catch(() => undefined);
}
