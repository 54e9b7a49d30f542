/** What goes wrong in one run: drawn once, so that some runs are calm and others get everything at once. */
import type { Random } from '../../src/demo/workload/random.ts';
import type { ModelSchema } from '../model/schema.ts';
import type { StatementFault } from './postgres/server.ts';

export type FaultEvent = 'crash' | 'stop' | 'rebalance' | 'failover' | 'restore' | 'sweep' | 'read' | 'replay' | 'grow';

export interface FaultPlan {
  /** A CHECK that the target has until everything is healed. */
  readonly forbidden: { readonly column: number; readonly value: string } | null;
  /** See `Scheduler.slowness`. */
  readonly slowness: number;
  readonly statementFault: () => StatementFault;
  /** Whether the database fails over within a moment of a commit: what was half done then is what a failover breaks. */
  readonly failsOver: () => boolean;
  readonly dlqFails: () => boolean;
  readonly sourceFails: () => boolean;
  readonly events: (endMs: number) => readonly { readonly ms: number; readonly kind: FaultEvent }[];
}

/** Transient ones, each with its own way through the service. */
const STATES = ['40001', '40P01', '55P03', '57014', '25006', '53200'];

/** How many of each are drawn at most, with the chance that there are any. */
const EVENTS: Readonly<Record<FaultEvent, readonly [chance: number, most: number]>> = {
  crash: [0.4, 3],
  stop: [0.15, 1],
  rebalance: [0.4, 3],
  failover: [0.3, 6],
  restore: [0.1, 1],
  sweep: [1, 6],
  read: [1, 12],
  replay: [0.5, 12],
  grow: [0.35, 1],
};

export function faultPlan(random: Random, schema: ModelSchema): FaultPlan {
  const rate = (rates: readonly number[]): number => random.pick(rates);
  const cuts = rate([0, 0, 0.01, 0.03]);
  const errors = rate([0, 0, 0.01, 0.03]);
  const dlq = rate([0, 0.3]);
  const source = rate([0, 0.3]);
  const failovers = rate([0, 0, 0.05, 0.2]);
  let failoversLeft = random.between(1, 5);
  const column = random.below(schema.regular.length);
  const forbidden = random.chance(0.25) ? { column, value: random.pick(schema.regular[column]!.domain) } : null;
  return {
    forbidden,
    slowness: rate([0, 0.03, 0.12]),
    statementFault: () => {
      const dice = random.next();
      if (dice < cuts) return { kind: 'cut' };
      return dice < cuts + errors ? { kind: 'error', state: random.pick(STATES) } : null;
    },
    failsOver: () => {
      if (failoversLeft === 0 || !random.chance(failovers)) return false;
      failoversLeft -= 1;
      return true;
    },
    dlqFails: () => random.chance(dlq),
    sourceFails: () => random.chance(source),
    events: (endMs) =>
      (Object.entries(EVENTS) as [FaultEvent, readonly [number, number]][]).flatMap(([kind, [chance, most]]) =>
        random.chance(chance)
          ? Array.from({ length: random.between(1, most) }, () => ({ kind, ms: random.below(endMs + 1_000) }))
          : [],
      ),
  };
}
