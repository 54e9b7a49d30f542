/** Lockstep in a process of its own: started, killed, started again, looked at through its metrics. */
import { closeSync, openSync } from 'node:fs';
import { open } from 'node:fs/promises';
import { dirname, extname } from 'node:path';
import { fileURLToPath } from 'node:url';
import { DemoError } from '../demo-error.ts';
import { waitFor } from '../waiting.ts';
import { spawnGuarded, stopGuarded, type GuardedProcess, type ProcessEnd } from './guarded-process.ts';
import { parseMetrics, type MetricSamples } from './metrics-text.ts';

/** The program that this demo is a command of: main.ts from source, main.js when compiled. */
export const MAIN_FILE = fileURLToPath(new URL(`../../main${extname(import.meta.url)}`, import.meta.url));

/** A start reads schemas and joins the group; a killed predecessor keeps its partitions for 6 s. */
const READY_LIMIT_MS = 60_000;
const STOP_LIMIT_MS = 15_000;
/** A scrape that takes longer is given up; the next one comes soon. */
const SCRAPE_LIMIT_MS = 800;
/** As much of the log as tells what went wrong. */
const LOG_TAIL_BYTES = 2_000;

/** Options of {@link LockstepService}. */
export interface ServiceOptions {
  readonly configurationFile: string;
  readonly logFile: string;
  readonly apiPort: number;
  /** Default {@link MAIN_FILE}. */
  readonly program?: string;
}

/** One Lockstep over its starts and restarts. */
export class LockstepService {
  readonly #options: ServiceOptions;
  #process: GuardedProcess | null = null;
  #expectedEnd = false;
  #starts = 0;

  constructor(options: ServiceOptions) {
    this.#options = options;
  }

  /** Starts after the first one. */
  get restarts(): number {
    return Math.max(0, this.#starts - 1);
  }

  get pid(): number | null {
    return this.#process?.pid ?? null;
  }

  /** Starts the process. It must not be running. */
  async start(): Promise<void> {
    const { configurationFile, logFile, program = MAIN_FILE } = this.#options;
    const log = openSync(logFile, 'a');
    let child: GuardedProcess;
    try {
      child = await spawnGuarded({
        program: process.execPath,
        args: [program, 'run', '-c', configurationFile],
        log,
        cwd: dirname(configurationFile),
      });
    } finally {
      closeSync(log);
    }
    this.#process = child;
    this.#expectedEnd = false;
    this.#starts += 1;
    void child.ended.then(() => {
      if (this.#process === child) this.#process = null;
    });
  }

  /** Runs it until it ends by itself. */
  async runToEnd(): Promise<{ readonly code: number | null; readonly log: string }> {
    await this.start();
    this.#expectedEnd = true;
    const end = await this.#process?.ended;
    return { code: end?.code ?? null, log: await this.log() };
  }

  /** Sends a signal; resolves when the process has ended, for whatever reason. */
  async signal(signal: NodeJS.Signals): Promise<ProcessEnd | null> {
    const child = this.#process;
    if (child === null) return null;
    this.#expectedEnd = true;
    child.kill(signal);
    return child.ended;
  }

  /** The end of its log. */
  log(): Promise<string> {
    return tailOf(this.#options.logFile);
  }

  /** Whether it ended without having been told to. */
  get hasDied(): boolean {
    return this.#process === null && this.#starts > 0 && !this.#expectedEnd;
  }

  /** Throws the explanation when the process ended by itself. */
  async assertAlive(): Promise<void> {
    if (!this.hasDied) return;
    throw new DemoError(
      'DEMO_SERVICE',
      `lockstep run ended by itself; its last words:\n${await this.log()}`,
      `Look at ${this.#options.logFile}.`,
    );
  }

  /** Waits until it says that it is ready. */
  async waitUntilReady(signal?: AbortSignal): Promise<void> {
    const ready = await waitFor(
      async () => {
        await this.assertAlive();
        return this.#answers('/health/ready');
      },
      { limitMs: READY_LIMIT_MS, everyMs: 100, signal },
    );
    if (!ready) {
      throw new DemoError(
        'DEMO_SERVICE',
        `lockstep run is not ready after ${READY_LIMIT_MS / 1000} s; its last words:\n${await this.log()}`,
        `Look at ${this.#options.logFile}.`,
      );
    }
  }

  /** SIGKILL: no chance to finish anything. Returns when it is gone. */
  async crash(): Promise<number | null> {
    const child = this.#process;
    if (child === null) return null;
    this.#expectedEnd = true;
    child.kill('SIGKILL');
    await child.ended;
    return child.pid;
  }

  /** SIGTERM: drains and ends. */
  async stop(): Promise<void> {
    this.#expectedEnd = true;
    if (this.#process !== null) await stopGuarded(this.#process, STOP_LIMIT_MS);
  }

  /** The metrics now, or null while nobody answers. */
  async scrape(): Promise<MetricSamples | null> {
    if (this.#process === null) return null;
    try {
      const response = await this.#get('/metrics');
      return response.ok ? parseMetrics(await response.text()) : null;
    } catch {
      return null;
    }
  }

  async #answers(path: string): Promise<boolean> {
    try {
      const response = await this.#get(path);
      await response.arrayBuffer();
      return response.ok;
    } catch {
      return false;
    }
  }

  #get(path: string): Promise<Response> {
    return fetch(`http://127.0.0.1:${this.#options.apiPort}${path}`, { signal: AbortSignal.timeout(SCRAPE_LIMIT_MS) });
  }
}

async function tailOf(path: string): Promise<string> {
  try {
    const file = await open(path);
    try {
      const { size } = await file.stat();
      const length = Math.min(size, LOG_TAIL_BYTES);
      const { buffer } = await file.read(Buffer.alloc(length), 0, length, size - length);
      return buffer.toString('utf8');
    } finally {
      await file.close();
    }
  } catch {
    return '(no log)';
  }
}
