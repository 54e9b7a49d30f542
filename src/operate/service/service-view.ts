import type { Configuration } from '../../config/index.ts';
import type { Consumer } from '../../consume/index.ts';
import type { Clock } from '../../shared/clock.ts';
import type { PostgresShardStore } from '../../target/postgres-shard-store.ts';
import type { StatusDocument, StatusSource, TableStatus } from '../http/status-routes.ts';
import { streamMappings } from '../heartbeats/heartbeat-table-mapping.ts';
import { packageVersion } from './package-version.ts';
import { readinessOf, type DependencyBoard, type Readiness } from './readiness.ts';
import type { RereadBoard } from './reread-board.ts';
import { backlogOf, breakerDocument, isStopped, shardReadiness, shardView, type ShardView } from './shard-view.ts';
import type { StalenessTracker } from '../telemetry/staleness.ts';

interface ServiceViewOptions {
  readonly configuration: Configuration;
  readonly owner: string;
  readonly clock: Clock;
  readonly dependencies: DependencyBoard;
  readonly staleness: StalenessTracker;
  readonly rereads: RereadBoard;
}

/** What the service shows of itself over HTTP: readiness, status, shards. Holds no state of its own but its phase. */
export class ServiceView implements StatusSource {
  readonly #options: ServiceViewOptions;
  readonly #startedMs: number;
  readonly #version = packageVersion();
  #phase: StatusDocument['status'] = 'starting';
  #waitsFor: string | null = null;
  #consumer: Consumer | null = null;
  #store: PostgresShardStore | null = null;

  constructor(options: ServiceViewOptions) {
    this.#options = options;
    this.#startedMs = options.clock.nowMs();
  }

  /** The start failed at something and will try it again. */
  waitsFor(reason: string): void {
    this.#waitsFor = reason;
  }

  /** Everything is in place; the consumer runs from now on. */
  started(consumer: Consumer, store: PostgresShardStore): void {
    this.#consumer = consumer;
    this.#store = store;
    this.#phase = 'running';
  }

  stopping(): void {
    this.#phase = 'stopping';
  }

  readiness(): Readiness {
    const shards = this.#consumer?.shards().map(shardReadiness) ?? [];
    return readinessOf(this.#notStarted(), this.#options.dependencies.list(), shards);
  }

  #notStarted(): string | null {
    if (this.#phase === 'stopping') return 'the service is stopping';
    if (this.#consumer === null) return this.#waitsFor === null ? 'starting' : `starting, waits: ${this.#waitsFor}`;
    const group = this.#consumer.group();
    return group.kind === 'joined' ? null : `consumer group: ${group.kind}`;
  }

  status(): StatusDocument {
    const { configuration, owner, clock, dependencies } = this.#options;
    const nowMs = clock.nowMs();
    return {
      status: this.#phase,
      version: this.#version,
      member: owner,
      started_at: new Date(this.#startedMs).toISOString(),
      uptime_seconds: Math.floor((nowMs - this.#startedMs) / 1000),
      group: { id: configuration.kafka.groupId, state: this.#consumer?.group().kind ?? 'connecting' },
      dependencies: Object.fromEntries(dependencies.list().map(({ name, state, reason }) => [name, { state, reason }])),
      tables: configuration.tables.map((table) => this.#tableStatus(table, nowMs)),
    };
  }

  #tableStatus({ source, topic, target }: Configuration['tables'][number], nowMs: number): TableStatus {
    const shards = (this.#consumer?.shards() ?? []).filter((shard) => shard.topic === topic);
    return {
      table: source,
      topic,
      target,
      shards: shards.length,
      stopped_shards: shards.filter(({ state }) => isStopped(state)).length,
      breakers: shards.map(({ partition, breaker }) => ({ partition, ...breakerDocument(breaker) })),
      backlog: String(shards.reduce((sum, shard) => sum + (backlogOf(shard) ?? 0n), 0n)),
      staleness_seconds: this.#options.staleness.seconds(source, nowMs),
      rereads_queued: this.#options.rereads.of(source).rows,
      reread_oldest_seconds: this.#options.staleness.oldestRereadSeconds(source, nowMs),
    };
  }

  async shards(): Promise<readonly ShardView[] | null> {
    const consumer = this.#consumer;
    const store = this.#store;
    if (consumer === null || store === null) return null;
    const own = new Map(consumer.shards().map((shard) => [`${shard.topic}/${shard.partition}`, shard]));
    const views: ShardView[] = [];
    for (const { topic, source } of streamMappings(this.#options.configuration)) {
      for (const stored of await store.list(topic)) {
        views.push(shardView(stored, source, own.get(`${topic}/${stored.shard.partition}`)));
      }
    }
    return views;
  }
}
