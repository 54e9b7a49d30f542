/**
 * `lockstep run` as operators run it — processes of their own, a configuration file, signals — over a real Kafka and
 * PostgreSQL of the native stack. No Cassandra: the table's schema is declared and its events are written by the test.
 */
import { spawn, type ChildProcess } from 'node:child_process';
import { rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import getPort from 'get-port';
import kafkajs, { type Kafka, type Producer } from 'kafkajs';
import pg from 'pg';
import { stringify } from 'yaml';
import { planDdl } from '../../src/catalog/ddl.ts';
import { bindTable } from '../../src/catalog/bind.ts';
import { declaredTable } from '../../src/catalog/declared-schema.ts';
import { tableMappingSchema } from '../../src/catalog/table-mapping.ts';
import type { Table } from '../../src/catalog/table.ts';
import { LockstepService, MAIN_FILE } from '../../src/demo/service/lockstep-service.ts';
import type { Stack } from '../../src/stack/index.ts';
import { cell, eventRecord } from '../fixtures/debezium-cassandra/events.ts';
import { beginCommand, endOf, type Ended } from './lockstep-command.ts';
import { openStackOf } from './stack-parts.ts';

/** Awaits a state; the deadline only ends a test that has failed. */
export async function eventually<T>(what: string, look: () => Promise<T | undefined>, limitMs = 90_000): Promise<T> {
  const deadline = performance.now() + limitMs;
  let last: unknown;
  while (performance.now() < deadline) {
    try {
      const seen = await look();
      if (seen !== undefined) return seen;
    } catch (error) {
      last = error;
    }
    await delay(100);
  }
  throw new Error(`not within ${limitMs} ms: ${what}`, { cause: last });
}

/** The service's answer to `/health/ready`. */
export interface ReadyAnswer {
  readonly status: 'ready' | 'not_ready';
  readonly reasons: readonly string[];
}

export interface StageTable {
  readonly table: Table;
  readonly mapping: Record<string, unknown>;
}

/**
 * `shop.<name>` (id int, v text, and what `more` adds) on a topic of its own; `prefix` is that of the capture where there
 * is one.
 */
export function stageTable(name: string, prefix = 'stage', more: Readonly<Record<string, string>> = {}): StageTable {
  const mapping = {
    source: `shop.${name}`,
    topic: `${prefix}.shop.${name}`,
    target: `public.${name}`,
    schema: { columns: { id: 'int', v: 'text', ...more }, partitionKey: ['id'] },
  };
  const parsed = tableMappingSchema.parse(mapping);
  if (parsed.schema === null) throw new Error('the schema is declared above');
  const declared = declaredTable(parsed.source, parsed.schema);
  if (declared.kind === 'refused') throw new AggregateError(declared.errors, 'the schema is refused');
  const binding = bindTable(declared.source, parsed);
  if (binding.kind === 'refused') throw new AggregateError(binding.errors, 'the mapping is refused');
  return { table: binding.table, mapping };
}

/** One member of the group. */
export interface Member {
  readonly service: LockstepService;
  readonly configurationFile: string;
  readonly apiPort: number;
  ready(): Promise<ReadyAnswer>;
}

export class ServiceStage {
  readonly #stack: Stack;
  readonly #dir: string;
  readonly kafka: Kafka;
  readonly producer: Producer;
  #pool: pg.Pool;
  #members: Member[] = [];
  #writeTime = 1_700_000_000_000_000n;

  private constructor(stack: Stack, dir: string, kafka: Kafka, producer: Producer, pool: pg.Pool) {
    this.#stack = stack;
    this.#dir = dir;
    this.kafka = kafka;
    this.producer = producer;
    this.#pool = pool;
  }

  static async open(): Promise<ServiceStage> {
    const { stack, dir } = await openStackOf(['kafka', 'postgres']);
    const { brokers } = stack.endpoints().kafka;
    const kafka = new kafkajs.Kafka({ brokers, clientId: 'stage', logLevel: kafkajs.logLevel.NOTHING });
    // Idempotent: where an answer is late, kafkajs sends again, and tests count records.
    const producer = kafka.producer({
      createPartitioner: kafkajs.Partitioners.DefaultPartitioner,
      idempotent: true,
      maxInFlightRequests: 1,
    });
    await producer.connect();
    const pool = new pg.Pool({ connectionString: stack.endpoints().postgres.url, max: 2 });
    pool.on('error', () => undefined);
    return new ServiceStage(stack, dir, kafka, producer, pool);
  }

  get stack(): Stack {
    return this.#stack;
  }

  async sql<T extends pg.QueryResultRow>(text: string, values: readonly unknown[] = []): Promise<T[]> {
    return (await this.#pool.query<T>(text, [...values])).rows;
  }

  /** A session of its own, for locks that are held. */
  async session(): Promise<pg.Client> {
    const client = new pg.Client({ connectionString: this.#stack.endpoints().postgres.url });
    client.on('error', () => undefined);
    await client.connect();
    return client;
  }

  async createTopic(
    topic: string,
    partitions: number,
    config: readonly { name: string; value: string }[] = [],
  ): Promise<void> {
    const admin = this.kafka.admin();
    await admin.connect();
    try {
      await admin.createTopics({
        topics: [{ topic, numPartitions: partitions, replicationFactor: 1, configEntries: [...config] }],
      });
    } finally {
      await admin.disconnect();
    }
  }

  async createTarget({ table }: StageTable): Promise<void> {
    for (const step of planDdl(table, null, { schemaExists: true, statics: null }).steps) await this.sql(step.sql);
  }

  /** Writes one row an id, each with a newer write time, as the connector would. */
  async write({ table }: StageTable, ids: readonly number[], value: string): Promise<void> {
    const messages = ids.map((id) => {
      const after = { id: cell(String(id)), v: cell(JSON.stringify(`${value}-${id}`)) };
      this.#writeTime += 1n;
      const record = eventRecord({ table, op: 'i', after, tsUs: this.#writeTime });
      return { key: record.key, value: record.value };
    });
    await this.producer.send({ topic: table.topic, messages });
  }

  /** Write times go on from this moment, ms since the epoch. */
  writeFrom(ms: number): void {
    this.#writeTime = BigInt(ms) * 1000n;
  }

  /** A request to a member's API with the token `<name>-token-0123456789abcdef`; with a body it is a POST. */
  async http(member: Member, name: string, path: string, body?: unknown): Promise<{ status: number; body: unknown }> {
    const headers = { authorization: `Bearer ${name}-token-0123456789abcdef`, 'content-type': 'application/json' };
    const response = await fetch(`http://127.0.0.1:${member.apiPort}${path}`, {
      headers,
      signal: AbortSignal.timeout(30_000),
      ...(body === undefined ? {} : { method: 'POST', body: JSON.stringify(body) }),
    });
    return { status: response.status, body: await response.json() };
  }

  /** Starts a command and leaves it running. */
  begin(member: Member, ...args: readonly string[]): ChildProcess {
    return spawn(process.execPath, [MAIN_FILE, ...args, '-c', member.configurationFile], { stdio: 'ignore' });
  }

  /** A command of the command line, with the configuration of a member. */
  lockstep(member: Member, ...args: readonly string[]): Promise<Ended> {
    return endOf(beginCommand(member.configurationFile, ...args));
  }

  /** Rows of the table whose value was written by `write(…, value)`. */
  async count({ table }: StageTable, value: string): Promise<number> {
    const [row] = await this.sql<{ n: string }>(`SELECT count(*) AS n FROM ${table.targetTable} WHERE v LIKE $1`, [
      `${value}-%`,
    ]);
    return Number(row?.n);
  }

  /** Writes a configuration and makes a member of it, not started. */
  async member(tables: readonly StageTable[], more: Record<string, unknown> = {}): Promise<Member> {
    const apiPort = await getPort({ host: '127.0.0.1' });
    const name = `member-${this.#members.length}`;
    const configurationFile = join(this.#dir, `${name}.yaml`);
    await writeFile(
      configurationFile,
      stringify({
        kafka: { brokers: this.#stack.endpoints().kafka.brokers, groupId: 'stage', sessionTimeout: '6s' },
        target: { postgres: { url: this.#stack.endpoints().postgres.url } },
        tables: tables.map(({ mapping }) => mapping),
        ...more,
        api: { host: '127.0.0.1', port: apiPort, ...(more['api'] as object | undefined) },
      }),
    );
    const service = new LockstepService({ configurationFile, logFile: join(this.#dir, `${name}.log`), apiPort });
    const member: Member = {
      service,
      configurationFile,
      apiPort,
      async ready() {
        const response = await fetch(`http://127.0.0.1:${apiPort}/health/ready`, {
          signal: AbortSignal.timeout(2_000),
        });
        return (await response.json()) as ReadyAnswer;
      },
    };
    this.#members.push(member);
    return member;
  }

  /** Stops all members; the next test makes its own. */
  async stopMembers(): Promise<void> {
    await Promise.all(this.#members.splice(0).map(({ service }) => service.stop()));
  }

  async close(): Promise<void> {
    await this.stopMembers();
    await this.producer.disconnect().catch(() => undefined);
    await this.#pool.end().catch(() => undefined);
    await this.#stack.destroy();
    await rm(this.#dir, { recursive: true, force: true });
  }
}
