import type { Clock } from '../../shared/clock.ts';

/** Systems that the service leans on. */
export type DependencyName = 'kafka' | 'postgres' | 'cassandra';

export type DependencyState = 'connecting' | 'up' | 'down';

export interface Dependency {
  readonly name: DependencyName;
  readonly state: DependencyState;
  /** Why it is not up. */
  readonly reason: string | null;
  /** Since when it has been in this state, ms since the epoch. */
  readonly sinceMs: number;
}

/** The state of one shard as readiness sees it. */
export interface ShardReadiness {
  readonly topic: string;
  readonly partition: number;
  readonly state: string;
  /** Why it stands still, or null. */
  readonly reason: string | null;
  readonly stopped: boolean;
}

/** Answer of `/health/ready`. */
export interface Readiness {
  readonly ready: boolean;
  readonly reasons: readonly string[];
  readonly dependencies: readonly Dependency[];
  readonly shards: readonly ShardReadiness[];
}

/** Keeps the last known state of each dependency; whoever talks to one reports here. */
export class DependencyBoard {
  readonly #clock: Clock;
  readonly #onChange: (dependency: Dependency) => void;
  readonly #states = new Map<DependencyName, Dependency>();

  constructor(names: readonly DependencyName[], clock: Clock, onChange: (dependency: Dependency) => void) {
    this.#clock = clock;
    this.#onChange = onChange;
    for (const name of names)
      this.#set({ name, state: 'connecting', reason: 'not reached yet', sinceMs: clock.nowMs() });
  }

  /** Reports a contact that succeeded. */
  up(name: DependencyName): void {
    this.#report(name, 'up', null);
  }

  /** Reports a contact that failed, with its reason. */
  down(name: DependencyName, reason: string): void {
    this.#report(name, 'down', reason);
  }

  list(): readonly Dependency[] {
    return [...this.#states.values()];
  }

  #report(name: DependencyName, state: DependencyState, reason: string | null): void {
    const before = this.#states.get(name);
    // Reports about what this configuration does not use (no source connection) are of no interest.
    if (before === undefined) return;
    const unchanged = before.state === state;
    if (unchanged && before.reason === reason) return;
    this.#set({ name, state, reason, sinceMs: unchanged ? before.sinceMs : this.#clock.nowMs() }, unchanged);
  }

  #set(dependency: Dependency, quiet = false): void {
    this.#states.set(dependency.name, dependency);
    if (!quiet) this.#onChange(dependency);
  }
}

/**
 * Ready = started, every dependency is up and no shard of this member is stopped.
 * `notStarted` says what the service still waits for, null once it consumes.
 */
export function readinessOf(
  notStarted: string | null,
  dependencies: readonly Dependency[],
  shards: readonly ShardReadiness[],
): Readiness {
  const reasons = [
    ...(notStarted === null ? [] : [notStarted]),
    ...dependencies
      .filter(({ state }) => state !== 'up')
      .map(({ name, state, reason }) => `${name} is ${state}: ${reason ?? 'no reason known'}`),
    ...shards
      .filter(({ stopped }) => stopped)
      .map(
        (shard) => `shard ${shard.topic}/${shard.partition} is ${shard.state}: ${shard.reason ?? 'no reason known'}`,
      ),
  ];
  return { ready: reasons.length === 0, reasons, dependencies, shards };
}
