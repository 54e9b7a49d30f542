import type { ShardSnapshot } from '../../consume/index.ts';
import type { Metrics } from './metrics.ts';

const STATES = ['closed', 'open', 'half-open'] as const;

/** Shows the dead-letter breakers of this member's shards as they are at each scrape; those of other shards go. */
export function showBreakers(metrics: Metrics, shards: () => readonly ShardSnapshot[]): void {
  const { breakerState, breakerShare } = metrics.stream;
  metrics.beforeScrape(() => {
    breakerState.reset();
    breakerShare.reset();
    for (const { topic, partition, breaker } of shards()) {
      for (const state of STATES) breakerState.set({ topic, partition, state }, state === breaker.state ? 1 : 0);
      breakerShare.set({ topic, partition }, breaker.share);
    }
  });
}
