/** A live workload beside the losses: rows of its own, written over and over by what the connector carries. */
import { setTimeout as delay } from 'node:timers/promises';
import type { Random } from '../../src/demo/workload/random.ts';
import type { LossSite } from './site.ts';
import { LOSSY } from './site.ts';

/** Partitions of the workload; those of the losses are below. */
export const FIRST_LIVE = 1_000_000;
const PARTITIONS = 40;
const ROWS = 10;
const TAGS = ['a', 'b', 'c', 'd'];

interface Statement {
  readonly query: string;
  readonly params: readonly unknown[];
  /** Clustering keys of the rows that it touches. */
  readonly rows: readonly number[];
}

export class LiveWrites {
  readonly #site: LossSite;
  readonly #random: Random;
  readonly #perSecond: number;
  #stop: AbortController | null = null;
  #running: Promise<void> = Promise.resolve();
  /** When each row was written or deleted last, ms; by its key, `["pk","ck"]`. */
  readonly #lastMs = new Map<string, number>();
  written = 0;

  constructor(site: LossSite, random: Random, perSecond: number) {
    this.#site = site;
    this.#random = random;
    this.#perSecond = perSecond;
  }

  /** Whether a row was written or deleted at or after this moment, ms. */
  touchedSince(key: string, ms: number): boolean {
    return (this.#lastMs.get(key) ?? 0) >= ms;
  }

  start(): void {
    const stop = new AbortController();
    this.#stop = stop;
    this.#running = this.#write(stop.signal);
    // Seen when the workload is stopped.
    this.#running.catch(() => undefined);
  }

  /** Resolves when nothing is on its way any more. */
  async stop(): Promise<void> {
    this.#stop?.abort();
    this.#stop = null;
    await this.#running;
  }

  async #write(until: AbortSignal): Promise<void> {
    const began = performance.now();
    const before = this.written;
    while (!until.aborted) {
      const due = ((performance.now() - began) / 1000) * this.#perSecond - (this.written - before);
      if (due < 1) {
        await delay(5);
        continue;
      }
      const pk = FIRST_LIVE + this.#random.below(PARTITIONS);
      const { query, params, rows } = this.#statement(pk);
      await this.#site.source.execute(query, [...params], { prepare: true });
      for (const ck of rows) this.#lastMs.set(JSON.stringify([String(pk), String(ck)]), Date.now());
      this.written += 1;
    }
  }

  #statement(pk: number): Statement {
    const random = this.#random;
    const table = `${this.#site.keyspace}.${LOSSY}`;
    const ck = random.below(ROWS);
    const v = `live ${random.below(1_000_000)}`;
    const n = random.below(1_000);
    const one = (query: string, ...params: readonly unknown[]): Statement => ({ query, params, rows: [ck] });
    const tag = new Set([random.pick(TAGS)]);
    const roll = random.below(100);
    if (roll < 35) return one(`INSERT INTO ${table} (pk, ck, v, n) VALUES (?, ?, ?, ?)`, pk, ck, v, n);
    if (roll < 60) return one(`UPDATE ${table} SET v = ?, n = ? WHERE pk = ? AND ck = ?`, v, n, pk, ck);
    if (roll < 70) return one(`UPDATE ${table} SET v = null WHERE pk = ? AND ck = ?`, pk, ck);
    if (roll < 78) return one(`UPDATE ${table} SET tags = tags + ? WHERE pk = ? AND ck = ?`, tag, pk, ck);
    if (roll < 84) return one(`UPDATE ${table} SET tags = tags - ? WHERE pk = ? AND ck = ?`, tag, pk, ck);
    if (roll < 92) return one(`DELETE FROM ${table} WHERE pk = ? AND ck = ?`, pk, ck);
    if (roll < 95) {
      const range = one(`DELETE FROM ${table} WHERE pk = ? AND ck >= ? AND ck < ?`, pk, ck, ck + 2);
      return { ...range, rows: [ck, ck + 1] };
    }
    if (roll < 96) return { ...one(`DELETE FROM ${table} WHERE pk = ?`, pk), rows: [...Array(ROWS).keys()] };
    const ttl = random.between(2, 6);
    return one(`INSERT INTO ${table} (pk, ck, v, n) VALUES (?, ?, ?, ?) USING TTL ?`, pk, ck, v, n, ttl);
  }
}
