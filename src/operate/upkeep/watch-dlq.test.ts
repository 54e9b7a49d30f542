import { expect, it } from 'vitest';
import type { KeepingSummary } from '../../deadletter/letter-keeping.ts';
import { createMetrics } from '../telemetry/metrics.ts';
import { showKeeping } from './watch-dlq.ts';

const summary: KeepingSummary = {
  topic: 'dlq',
  retentionMs: null,
  retentionBytes: 1_000,
  records: 12,
  bytes: 800,
  open: 10,
  oldestOpenMs: 50_000,
  gone: { count: 1, ids: [4n] },
  leaving: { count: 2, ids: [5n, 6n] },
  firstLeavesMs: 90_000,
};

it('open letters are kept, leaving or gone; a member that does not look shows nothing', async () => {
  const metrics = createMetrics();
  showKeeping(metrics, summary, 110_000);
  const text = await metrics.render();
  expect(text.split('\n').filter((line) => line.startsWith('cdc_dlq_'))).toEqual([
    'cdc_dlq_open_letters{record="kept"} 7',
    'cdc_dlq_open_letters{record="leaving"} 2',
    'cdc_dlq_open_letters{record="gone"} 1',
    'cdc_dlq_oldest_open_seconds 60',
    'cdc_dlq_retention_seconds +Inf',
    'cdc_dlq_records 12',
    'cdc_dlq_bytes 800',
    'cdc_dlq_nearly_full 1',
  ]);
  showKeeping(metrics, null, 110_000);
  expect((await metrics.render()).split('\n').filter((line) => line.startsWith('cdc_dlq_'))).toEqual([]);
});
