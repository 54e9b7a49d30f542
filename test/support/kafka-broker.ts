/** One real Kafka broker for tests, in a temporary directory, gone when the test ends. Needs Java and the stack's jars. */
import { execFile, spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, open, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import getPort from 'get-port';
import { resolveJars } from '../../src/stack/native/jars.ts';
import { findJava } from '../../src/stack/native/java.ts';
import { renderKafkaConfig } from '../../src/stack/native/parts/kafka.ts';
import type { Kafka } from 'kafkajs';

const run = promisify(execFile);
/** 3 s on an idle machine. */
const START_LIMIT_MS = 180_000;

export class KafkaBroker {
  readonly #dir: string;
  readonly #java: string;
  readonly #classPath: string;
  readonly port: number;
  #process: ChildProcess | null = null;

  private constructor(dir: string, java: string, classPath: string, port: number) {
    this.#dir = dir;
    this.#java = java;
    this.#classPath = classPath;
    this.port = port;
  }

  get address(): string {
    return `127.0.0.1:${this.port}`;
  }

  static async create(): Promise<KafkaBroker> {
    const [jars, java, dir, port] = await Promise.all([
      resolveJars(),
      findJava(),
      mkdtemp(join(tmpdir(), 'lockstep-kafka-')),
      getPort({ host: '127.0.0.1' }),
    ]);
    const controller = await getPort({ host: '127.0.0.1', exclude: [port] });
    const broker = new KafkaBroker(dir, java.command, join(jars.kafka, '*'), port);
    await writeFile(join(dir, 'server.properties'), renderKafkaConfig(join(dir, 'data'), port, controller));
    const storage = ['-cp', broker.#classPath, 'kafka.tools.StorageTool'];
    const { stdout } = await run(broker.#java, [...storage, 'random-uuid']);
    await run(broker.#java, [...storage, 'format', '-t', stdout.trim(), '-c', join(dir, 'server.properties')]);
    return broker;
  }

  /** Starts it over its data and waits until it answers `probe`. */
  async start(kafka: Kafka): Promise<void> {
    const log = await open(join(this.#dir, 'kafka.log'), 'a');
    this.#process = spawn(
      this.#java,
      [
        '-Xmx512m',
        '-Dorg.slf4j.simpleLogger.defaultLogLevel=warn',
        '-cp',
        this.#classPath,
        'kafka.Kafka',
        join(this.#dir, 'server.properties'),
      ],
      { stdio: ['ignore', log.fd, log.fd] },
    );
    await log.close();
    const deadline = Date.now() + START_LIMIT_MS;
    for (;;) {
      const admin = kafka.admin({ retry: { retries: 0 } });
      try {
        await admin.connect();
        await admin.listTopics();
        return;
      } catch (error) {
        if (Date.now() > deadline) throw error;
        await new Promise((resolve) => setTimeout(resolve, 250));
      } finally {
        await admin.disconnect().catch(() => undefined);
      }
    }
  }

  async kill(): Promise<void> {
    const child = this.#process;
    this.#process = null;
    if (child?.exitCode !== null) return;
    const gone = once(child, 'exit');
    child.kill('SIGKILL');
    await gone;
  }

  async destroy(): Promise<void> {
    await this.kill();
    await rm(this.#dir, { recursive: true, force: true });
  }
}
