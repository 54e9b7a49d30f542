/** The source's side of a comparison, at a pace that leaves source and stream their room. */
import type { Table } from '../../catalog/table.ts';
import type { RangeParts } from '../../reconcile/end-state/compare-range.ts';
import type { PageMemory } from '../../source/page-size.ts';
import { scanUnread } from '../../source/row-scan.ts';
import type { ScanSession } from '../../source/scan-session.ts';
import type { Pacing } from '../../target/paced-door.ts';
import { SCAN_PATIENCE } from '../connect/one-table.ts';
import { processPacing } from '../connect/process-pacing.ts';
import type { RateLimit } from '../connect/rate-limit.ts';

/** A page that took this long comes from a busy source: it is given the time of the page to rest, ms. */
const SLOW_PAGE_MS = 1_000;
const LONGEST_REST_MS = 10_000;

/** @param rate Shared by all scans that may not be quicker together. */
export function comparisonScan(
  session: ScanSession,
  table: Table,
  rate: RateLimit,
  { elapsedMs, pause }: Pacing = processPacing,
): RangeParts['scanSource'] {
  const pageMemory: PageMemory = { rows: null };
  return async function* (range, signal) {
    const pages = scanUnread(session, table, {
      ...SCAN_PATIENCE,
      range,
      from: null,
      signal,
      elapsedMs,
      passesOver: true,
      pageMemory,
    });
    for (;;) {
      const askedMs = elapsedMs();
      const page = await pages.next();
      if (page.done === true) return;
      const tookMs = elapsedMs() - askedMs;
      if (tookMs > SLOW_PAGE_MS) await pause(Math.min(tookMs, LONGEST_REST_MS), signal);
      await rate.wait(page.value.rows.length, signal);
      yield page.value;
    }
  };
}
