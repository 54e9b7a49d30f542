import { expect, it } from 'vitest';
import type { EndedJob } from '../../target/stores/job-store.ts';
import { loadConfigurationDefaults } from '../../../test/support/configuration-defaults.ts';
import { createMetrics } from '../telemetry/metrics.ts';
import { countJob, showJob, showThresholds } from './comparison-metrics.ts';

function job(more: Partial<EndedJob> & { readonly report?: unknown } = {}): EndedJob {
  return {
    id: 'x',
    kind: 'reconcile',
    parameters: { table: 'shop.orders', strategy: 'CHECKSUM' },
    status: 'COMPLETED',
    cursor: 0n,
    total: 0,
    counts: {},
    state: null,
    error: null,
    requestedBy: 'ann',
    startedMs: 1_000,
    heartbeatMs: 1_000,
    completedMs: 4_000,
    verdict: 'DRIFT',
    report: {
      drift_percentage: 2.5,
      cassandra_row_count: 40,
      postgres_row_count: 39,
      coverage: 1,
      dry_run: false,
      mismatches_by_type: { DATA_MISMATCH: 1 },
      repaired: { applied: 1, stale: 0, review: 0, failed: 0 },
      repaired_by_type: { DATA_MISMATCH: 1 },
    },
    ...more,
  };
}

it('a comparison shows what it found, and a pass when it was', async () => {
  const metrics = createMetrics();
  showJob(metrics, job());
  const text = await metrics.render();
  expect(text).toContain('cdc_reconciliation_drift_percentage{table="shop.orders"} 2.5');
  expect(text).toContain('cdc_reconciliation_postgres_rows{table="shop.orders"} 39');
  expect(text).not.toContain('last_clean_pass_timestamp_seconds{');
  showJob(metrics, job({ verdict: 'PASS' }));
  expect(await metrics.render()).toContain(
    'cdc_reconciliation_last_clean_pass_timestamp_seconds{table="shop.orders"} 4',
  );
});

it('a dry run corrects nothing, a failed job has no figures', async () => {
  const metrics = createMetrics();
  const dry = job();
  countJob(metrics, { ...dry, report: { ...(dry.report as object), dry_run: true } });
  countJob(metrics, job({ status: 'FAILED', report: null, verdict: null }));
  let text = await metrics.render();
  expect(text).not.toContain('auto_corrections_total{');
  expect(text).toContain(
    'cdc_reconciliation_jobs_completed_total{table="shop.orders",strategy="CHECKSUM",status="FAILED"} 1',
  );
  countJob(metrics, job());
  text = await metrics.render();
  expect(text).toContain(
    'cdc_reconciliation_auto_corrections_total{table="shop.orders",correction_type="DATA_MISMATCH"} 1',
  );
  expect(text).toContain('cdc_reconciliation_duration_seconds_sum{strategy="CHECKSUM"} 6');
});

it('the thresholds of the alerts are those of the configuration, from the first scrape on', async () => {
  const { reconciliation } = loadConfigurationDefaults();
  const metrics = createMetrics();
  showThresholds(metrics, reconciliation);
  let text = await metrics.render();
  expect(text).toContain('cdc_reconciliation_drift_warning_threshold 1\n');
  expect(text).toContain('cdc_reconciliation_drift_critical_threshold 5\n');
  showThresholds(metrics, { ...reconciliation, driftWarningThreshold: 0.5, driftCriticalThreshold: 2 });
  text = await metrics.render();
  expect(text).toContain('cdc_reconciliation_drift_warning_threshold 0.5\n');
  expect(text).toContain('cdc_reconciliation_drift_critical_threshold 2\n');
});
