/** The native stack for real: it captures, survives the loss of each part, and leaves nothing behind when its owner dies. */
import { spawn, type ChildProcessByStdio } from 'node:child_process';
import { existsSync } from 'node:fs';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { once } from 'node:events';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Readable, Writable } from 'node:stream';
import { setTimeout as delay } from 'node:timers/promises';
import { pathToFileURL } from 'node:url';
import cassandra from 'cassandra-driver';
import { Kafka, logLevel } from 'kafkajs';
import pg from 'pg';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { openStack, PART_NAMES, type Stack, type StackEndpoints, type StackEvent } from '../../src/stack/index.ts';

/** Awaits a state; the deadline only ends a test that has failed. */
async function eventually<T>(what: string, look: () => Promise<T | undefined>, limitMs = 60_000): Promise<T> {
  const deadline = performance.now() + limitMs;
  let last: unknown;
  while (performance.now() < deadline) {
    try {
      const seen = await look();
      if (seen !== undefined) return seen;
    } catch (error) {
      last = error;
    }
    await delay(50);
  }
  throw new Error(`not within ${limitMs} ms: ${what}`, { cause: last });
}

function isRunning(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}

async function cql<T>(endpoints: StackEndpoints, work: (client: cassandra.Client) => Promise<T>): Promise<T> {
  const client = new cassandra.Client({ ...endpoints.cassandra });
  try {
    await client.connect();
    return await work(client);
  } finally {
    await client.shutdown();
  }
}

async function sql<T extends pg.QueryResultRow>(endpoints: StackEndpoints, text: string): Promise<T[]> {
  const client = new pg.Client({ connectionString: endpoints.postgres.url });
  client.on('error', () => undefined);
  try {
    await client.connect();
    return (await client.query<T>(text)).rows;
  } finally {
    await client.end().catch(() => undefined);
  }
}

const TOPIC = 'cass1.stack_test.rows';

async function createSchema(endpoints: StackEndpoints): Promise<void> {
  await cql(endpoints, async (client) => {
    await client.execute(
      "CREATE KEYSPACE IF NOT EXISTS stack_test WITH replication = {'class': 'SimpleStrategy', 'replication_factor': 1}",
    );
    await client.execute('CREATE TABLE IF NOT EXISTS stack_test.rows (id int PRIMARY KEY, value text) WITH cdc = true');
  });
}

const insert = (endpoints: StackEndpoints, id: number): Promise<unknown> =>
  cql(endpoints, (client) => client.execute(`INSERT INTO stack_test.rows (id, value) VALUES (${id}, 'v${id}')`));

/** Reads the topic from its start until a record with that key is seen. */
async function captured(endpoints: StackEndpoints, id: number): Promise<unknown> {
  const kafka = new Kafka({ brokers: endpoints.kafka.brokers, logLevel: logLevel.NOTHING });
  const admin = kafka.admin();
  await admin.connect();
  await eventually(`topic ${TOPIC}`, async () => ((await admin.listTopics()).includes(TOPIC) ? true : undefined));
  await admin.disconnect();
  const consumer = kafka.consumer({
    groupId: `stack-test-${id}-${process.hrtime.bigint()}`,
    maxWaitTimeInMs: 50,
    allowAutoTopicCreation: false,
  });
  let foundRecord: (value: unknown) => void = () => undefined;
  const found = new Promise<unknown>((resolve) => (foundRecord = resolve));
  try {
    await eventually('subscription', async () => {
      await consumer.connect();
      await consumer.subscribe({ topic: TOPIC, fromBeginning: true });
      return true;
    });
    await consumer.run({
      eachMessage: async ({ message }) => {
        const key: unknown = JSON.parse(message.key?.toString() ?? 'null');
        if ((key as { id?: number } | null)?.id === id) foundRecord(JSON.parse(message.value?.toString() ?? 'null'));
      },
    });
    return await Promise.race([
      found,
      delay(60_000, undefined, { ref: false }).then(() =>
        Promise.reject(new Error(`row ${id} did not reach ${TOPIC}`)),
      ),
    ]);
  } finally {
    await consumer.disconnect();
  }
}

describe('the native stack', () => {
  let base: string;
  let stack: Stack;
  let endpoints: StackEndpoints;
  const events: StackEvent[] = [];

  beforeAll(async () => {
    // mkdtemp makes a directory that only we may enter; PostgreSQL, which may run as another user, must cope.
    base = await mkdtemp(join(tmpdir(), 'lockstep-stack-'));
    stack = await openStack({ provider: 'native', dir: join(base, 'stack') });
    endpoints = await stack.up({ onProgress: (event) => events.push(event), beforeAgent: createSchema });
  });

  afterAll(async () => {
    await stack.destroy();
    await rm(base, { recursive: true, force: true });
  });

  it('comes up with every part healthy, and says so', async () => {
    const status = await stack.status();
    expect(status.healthy).toBe(true);
    for (const name of PART_NAMES) {
      expect(status.parts[name]).toMatchObject({ state: 'running', healthy: true });
      expect(existsSync(status.parts[name].log)).toBe(true);
    }
    expect(
      events
        .filter((event) => event.kind === 'healthy')
        .map((event) => event.part)
        .toSorted(),
    ).toEqual([...PART_NAMES].toSorted());
  });

  it('carries a row from CQL to Kafka', async () => {
    await insert(endpoints, 1);
    expect(await captured(endpoints, 1)).toMatchObject({
      op: 'i',
      after: { id: { value: 1 }, value: { value: 'v1' } },
    });
  });

  it('listens on the loopback interface only', async () => {
    const sockets = (
      await Promise.all(['/proc/net/tcp', '/proc/net/tcp6'].map((file) => readFile(file, 'utf8').catch(() => '')))
    ).join('\n');
    const ports = Object.values(
      (JSON.parse(await readFile(join(stack.dir, 'state.json'), 'utf8')) as { ports: Record<string, number> }).ports,
    );
    const exposed = sockets
      .split('\n')
      .map((line) => line.trim().split(/\s+/))
      .filter(([, local, , state]) => state === '0A' && ports.includes(parseInt(local?.split(':')[1] ?? '', 16)))
      .map(([, local]) => local?.split(':')[0])
      .filter((address) => address !== '0100007F' && address !== '0000000000000000FFFF00000100007F');
    // The agent's health server has no setting for its interface.
    expect(exposed.length).toBeLessThanOrEqual(1);
  });

  it('loses nothing that PostgreSQL committed before a SIGKILL', async () => {
    await sql(endpoints, 'CREATE TABLE kept AS SELECT generate_series(1, 1000) AS id');
    await stack.stopPart('postgres', 'SIGKILL');
    expect((await stack.status()).parts.postgres.state).toBe('stopped');
    await stack.startPart('postgres');
    expect(await sql(endpoints, 'SELECT count(*)::int AS rows FROM kept')).toEqual([{ rows: 1000 }]);
  });

  it.each(['kafka', 'cassandra', 'agent'] as const)('captures again after %s was killed and started', async (part) => {
    const id = 100 + PART_NAMES.indexOf(part);
    await stack.stopPart(part, 'SIGKILL');
    expect((await stack.status()).parts[part].healthy).toBe(false);
    await stack.startPart(part);
    expect((await stack.status()).healthy).toBe(true);
    await eventually('a write', async () => {
      await insert(endpoints, id);
      return true;
    });
    expect(await captured(endpoints, id)).toMatchObject({ after: { id: { value: id } } });
  });

  it('starts again over its data, on its ports', async () => {
    await stack.down();
    const stopped = await stack.status();
    expect(stopped.running).toBe(false);
    expect(await stack.up()).toEqual(endpoints);
    expect(
      await cql(
        endpoints,
        async (client): Promise<unknown> =>
          (await client.execute('SELECT value FROM stack_test.rows WHERE id = 1')).first()['value'],
      ),
    ).toBe('v1');
    expect(await sql(endpoints, 'SELECT count(*)::int AS rows FROM kept')).toEqual([{ rows: 1000 }]);
    expect(await captured(endpoints, 1)).toMatchObject({ op: 'i' });
  });
});

/** A process of its own that opens the native stack in `dir` and goes on with `program`. It ends with this one. */
function spawnOwner(dir: string, program: string): ChildProcessByStdio<Writable, Readable, null> {
  const face = pathToFileURL(join(import.meta.dirname, '..', '..', 'src', 'stack', 'index.ts')).href;
  const whole = `
    process.stdin.resume().on('end', () => process.exit(1));
    const { openStack } = await import(${JSON.stringify(face)});
    const stack = await openStack({ provider: 'native', dir: ${JSON.stringify(dir)} });
    ${program}`;
  return spawn(process.execPath, ['--no-warnings', '--input-type=module', '-e', whole], {
    stdio: ['pipe', 'pipe', 'inherit'],
  });
}

describe('an owner that is killed', () => {
  it('takes every process of its stack with it', async () => {
    const base = await mkdtemp(join(tmpdir(), 'lockstep-owner-'));
    const dir = join(base, 'stack');
    const owner = spawnOwner(dir, 'await stack.up(); console.log(JSON.stringify(await stack.status()));');
    let output = '';
    owner.stdout.on('data', (chunk: Buffer) => (output += chunk.toString()));
    await eventually('the stack of the owner', async () => (output.endsWith('\n') ? true : undefined), 200_000);
    const { parts } = JSON.parse(output) as { parts: Record<string, { pid: number }> };
    const pids = Object.values(parts).map((part) => part.pid);
    expect(pids.every(isRunning)).toBe(true);

    owner.kill('SIGKILL');
    await once(owner, 'exit');
    await eventually('the end of its processes', async () => (pids.some(isRunning) ? undefined : true), 30_000);

    const stack = await openStack({ provider: 'native', dir });
    expect((await stack.status()).parts.kafka.state).toBe('exited');
    await stack.destroy();
    await rm(base, { recursive: true, force: true });
  });

  it('takes them too while it is still starting', async () => {
    const base = await mkdtemp(join(tmpdir(), 'lockstep-owner-'));
    const dir = join(base, 'stack');
    const owner = spawnOwner(
      dir,
      `await stack.up({ lifetime: 'detached', onProgress: (event) => { if (event.kind === 'healthy') process.kill(process.pid, 'SIGKILL'); } });`,
    );
    await once(owner, 'exit');
    const stack = await openStack({ provider: 'native', dir });
    await eventually(
      'the end of its processes',
      async () => ((await stack.status()).running ? undefined : true),
      30_000,
    );
    await stack.destroy();
    await rm(base, { recursive: true, force: true });
  });
});
