/** Health checks, the same whoever runs the parts: does a client on this machine get an answer, now? None of them throws. */
import { connect } from 'node:net';
import pg from 'pg';

/** A probe that takes longer is a no. */
const PROBE_LIMIT_MS = 1_000;

/** Sends one request and says whether the first bytes of the answer are those of a healthy server. */
async function ask(
  port: number,
  request: Buffer,
  isAnswer: (answer: Buffer) => boolean,
  host = '127.0.0.1',
): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect({ host, port, timeout: PROBE_LIMIT_MS });
    const settle = (healthy: boolean): void => {
      socket.destroy();
      resolve(healthy);
    };
    socket.once('connect', () => socket.write(request));
    socket.once('data', (answer) => {
      settle(isAnswer(answer));
    });
    for (const event of ['error', 'timeout', 'end'] as const) {
      socket.once(event, () => {
        settle(false);
      });
    }
  });
}

/**
 * A Kafka Metadata request, version 1, for no topic: length (4), API key 3 (2), version (2), correlation ID (4), client ID
 * (length and text), number of topics (4). A bare request, since a client logs, retries and keeps timers at every look.
 */
const METADATA_REQUEST = ((): Buffer => {
  const clientId = Buffer.from('lockstep-stack');
  const request = Buffer.alloc(18 + clientId.length);
  request.writeInt32BE(request.length - 4, 0);
  request.writeInt16BE(3, 4);
  request.writeInt16BE(1, 6);
  request.writeInt32BE(1, 8);
  request.writeInt16BE(clientId.length, 12);
  clientId.copy(request, 14);
  return request;
})();

/** Whether a broker answers there and knows of at least one broker, itself: it does once it may be written to. */
export async function kafkaAnswers(port: number): Promise<boolean> {
  // Length (4), correlation ID (4), number of brokers (4).
  return ask(port, METADATA_REQUEST, (answer) => answer.length >= 12 && answer.readInt32BE(8) > 0);
}

/** An OPTIONS request of the CQL protocol v4: version, flags, stream (2), opcode, length (4). */
const OPTIONS_REQUEST = Buffer.from([0x04, 0, 0, 0, 0x05, 0, 0, 0, 0]);
/** The opcode of the answer, SUPPORTED. */
const SUPPORTED = 0x06;

/**
 * Whether a CQL server answers there. Cassandra opens this port last, when it serves. A bare request, since a
 * driver would read the whole schema at every look.
 */
export async function cassandraAnswers(port: number, host?: string): Promise<boolean> {
  return ask(port, OPTIONS_REQUEST, (answer) => answer[4] === SUPPORTED, host);
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
  return query(url, 'SELECT 1').then(
    () => true,
    () => false,
  );
}

/**
 * Makes the database, which only a running server can. Tried whenever a start finds no healthy server, so the start
 * after an interrupted first one makes it too; "not yet listening" and "exists" are left to the next look.
 */
export async function makeDatabase(adminUrl: string, name: string): Promise<void> {
  await query(adminUrl, `CREATE DATABASE ${name}`).catch(() => undefined);
}
