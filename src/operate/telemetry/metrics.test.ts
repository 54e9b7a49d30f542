import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { createMetrics } from './metrics.ts';
import { METRIC_SECTIONS, RECONCILIATION_METRICS, STREAM_METRICS } from './metric-definitions.ts';
import { metricReference } from './metric-reference.ts';

/** The metrics that others build on, as they were published. */
const PUBLISHED: Readonly<Record<string, readonly string[]>> = {
  cdc_records_consumed_total: ['topic'],
  cdc_changes_total: ['table', 'outcome'],
  cdc_changes_superseded_total: ['table'],
  cdc_apply_batch_seconds: [],
  cdc_apply_batch_changes: [],
  cdc_backlog_depth: ['topic', 'partition'],
  cdc_staleness_seconds: ['table'],
  cdc_retries_total: ['kind'],
  cdc_shard_state: ['topic', 'partition', 'state'],
  cdc_dead_letters_total: ['table', 'reason'],
  cdc_dead_letters_pending: ['table'],
  cdc_duplicates_total: ['table'],
  cdc_rereads_total: ['table'],
  cdc_bytes_in_flight: [],
  cdc_window_missing_total: ['table'],
  cdc_window_oldest_unverified_seconds: ['table'],
  cdc_replayed_total: ['table', 'outcome'],
};

const ALL = [...Object.values(STREAM_METRICS), ...Object.values(RECONCILIATION_METRICS)];

describe('metrics', () => {
  it('have the names and labels that were published', () => {
    const defined = new Map(ALL.map(({ name, labels }): [string, readonly string[]] => [name, labels]));
    for (const [name, labels] of Object.entries(PUBLISHED)) expect([name, defined.get(name)]).toEqual([name, labels]);
  });

  it('are all in the registry, with those of the process', async () => {
    const text = await createMetrics().render();
    for (const { name } of ALL) expect(text).toContain(`# TYPE ${name} `);
    expect(text).toContain('# TYPE process_resident_memory_bytes gauge');
  });

  it('refresh ages before each scrape', async () => {
    const metrics = createMetrics();
    let age = 0;
    metrics.beforeScrape(() => {
      metrics.stream.stalenessSeconds.set({ table: 'shop.orders' }, (age += 1));
    });
    expect(await metrics.render()).toContain('cdc_staleness_seconds{table="shop.orders"} 1');
    expect(await metrics.render()).toContain('cdc_staleness_seconds{table="shop.orders"} 2');
  });

  it('are what docs/metrics.md says (npm run docs)', () => {
    const path = join(import.meta.dirname, '..', '..', '..', 'docs', 'metrics.md');
    expect(readFileSync(path, 'utf8')).toBe(metricReference(METRIC_SECTIONS));
  });
});
