/**
 * Seconds by which the target is behind the source, between commits too. A commit tells how old its newest change was;
 * afterwards the figure must grow while records wait (a stopped shard, an unreachable Kafka) and must not stand for ever
 * at the age of one old change when there is nothing to wait for.
 */

/** Without waiting records, the figure of the last commit is kept this long (several scrapes), then it is 0. */
const KEEP_MS = 60_000;

interface Committed {
  readonly seconds: number;
  readonly atMs: number;
}

export class StalenessTracker {
  readonly #committed = new Map<string, Committed>();
  readonly #backlog = new Map<string, Map<string, number>>();
  readonly #oldestReread = new Map<string, number>();
  readonly #startedMs: number;
  #disconnectedSinceMs: number | null = null;

  constructor(nowMs: number) {
    this.#startedMs = nowMs;
  }

  /** A batch of the table was committed; its newest change was `seconds` old then. */
  committed(table: string, seconds: number, nowMs: number): void {
    this.#committed.set(table, { seconds, atMs: nowMs });
  }

  /** Records that wait in one shard of the table. */
  backlog(table: string, shard: string, depth: number): void {
    const shards = this.#backlog.get(table) ?? new Map<string, number>();
    this.#backlog.set(table, shards.set(shard, depth));
  }

  /** The shard went to another member, which counts its records from now on. */
  released(table: string, shard: string): void {
    this.#backlog.get(table)?.delete(shard);
  }

  /** Whether Kafka answers. While it does not, nobody knows what waits, so every table counts as behind. */
  connected(isConnected: boolean, nowMs: number): void {
    if (isConnected) this.#disconnectedSinceMs = null;
    else this.#disconnectedSinceMs ??= nowMs;
  }

  /** When the oldest queued re-read of the table was queued, or null where none waits. */
  rereads(table: string, oldestMs: number | null): void {
    if (oldestMs === null) this.#oldestReread.delete(table);
    else this.#oldestReread.set(table, oldestMs);
  }

  /** Age of the oldest queued re-read. */
  oldestRereadSeconds(table: string, nowMs: number): number {
    const oldestMs = this.#oldestReread.get(table);
    return oldestMs === undefined ? 0 : Math.max(0, nowMs - oldestMs) / 1000;
  }

  /** Seconds behind the source now: what waits in Kafka, and what waits to be read again. */
  seconds(table: string, nowMs: number): number {
    return Math.max(this.#streamSeconds(table, nowMs), this.oldestRereadSeconds(table, nowMs));
  }

  #streamSeconds(table: string, nowMs: number): number {
    const committed = this.#committed.get(table);
    const waiting = [...(this.#backlog.get(table)?.values() ?? [])].some((depth) => depth > 0);
    const since = (ms: number) => Math.max(0, nowMs - ms) / 1000;
    if (waiting) return committed === undefined ? since(this.#startedMs) : committed.seconds + since(committed.atMs);
    const disconnected = this.#disconnectedSinceMs === null ? 0 : since(this.#disconnectedSinceMs);
    if (committed === undefined || nowMs - committed.atMs > KEEP_MS) return disconnected;
    return Math.max(committed.seconds, disconnected);
  }
}
