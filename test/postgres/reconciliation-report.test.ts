import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, beforeEach, describe, expect, inject, it } from 'vitest';
import { FindingStore } from '../../src/target/stores/finding-store.ts';
import { JobStore } from '../../src/target/stores/job-store.ts';
import { ReportStore } from '../../src/target/stores/report-store.ts';
import { WindowStore, type WindowUpdate } from '../../src/target/stores/window-store.ts';
import { COMPARED } from '../support/two-sides.ts';
import { openDoorRig, type DoorRig } from '../support/door-rig.ts';

const SCHEMA = 'reconciliation_report';
const HOUR_MS = 3_600_000;
const TO_MS = Date.now() + HOUR_MS;
const SPAN = { fromMs: TO_MS - 24 * HOUR_MS, toMs: TO_MS };
const TABLE = COMPARED.name;

let rig: DoorRig;
let store: ReportStore;
beforeAll(async () => {
  rig = await openDoorRig(inject('postgresUrl'), [COMPARED], { schema: SCHEMA });
  store = new ReportStore(rig.pool, SCHEMA);
});
afterAll(() => rig.close());
beforeEach(async () => {
  await rig.pool.query(`TRUNCATE ${SCHEMA}._cdc_findings, ${SCHEMA}._cdc_windows`);
  await rig.pool.query(`DELETE FROM ${SCHEMA}._cdc_jobs`);
});

/** A run that began some hours before the end of the span and took a minute. */
async function ran(
  hoursAgo: number,
  strategy: string,
  verdict: 'PASS' | 'DRIFT' | null,
  table = TABLE,
): Promise<string> {
  const jobs = new JobStore(rig.pool, SCHEMA);
  const id = randomUUID();
  await jobs.create({
    id,
    kind: 'reconcile',
    parameters: { table, strategy, dry_run: false },
    total: 0,
    requestedBy: 'me',
  });
  if (verdict === null) await jobs.finish(id, 'FAILED', 'no answer');
  else await jobs.conclude(id, verdict, { compared: 5, coverage: 1 });
  const began = TO_MS - hoursAgo * HOUR_MS;
  await rig.pool.query(
    `UPDATE ${SCHEMA}._cdc_jobs SET started_at = to_timestamp($2 / 1000.0), completed_at = to_timestamp($2 / 1000.0) + interval '1 minute' WHERE id = $1`,
    [id, began],
  );
  return id;
}

describe('runs of a report', () => {
  it('are those of the span, and the newest verdict of each strategy however old', async () => {
    const [now, failed] = [await ran(1, 'ROW_COUNT', 'PASS'), await ran(2, 'CHECKSUM', null)];
    const [old, older] = [await ran(50, 'CHECKSUM', 'DRIFT'), await ran(60, 'CHECKSUM', 'PASS')];
    const other = await ran(70, 'SAMPLE', 'PASS', 'shop.other');
    await ran(55, 'CHECKSUM', null);
    await ran(-5, 'CHECKSUM', 'PASS');
    const runs = await store.runs('reconcile', 'table', SPAN);
    expect(runs.filter(({ subject }) => subject === TABLE).map(({ id }) => id)).toEqual([now, failed, old]);
    expect(runs.find(({ subject }) => subject === 'shop.other')?.id).toBe(other);
    expect(runs.map(({ id }) => id)).not.toContain(older);
    expect(runs.find(({ id }) => id === failed)).toMatchObject({
      verdict: null,
      status: 'FAILED',
      error: 'no answer',
      report: null,
    });
    expect(runs.find(({ id }) => id === now)).toMatchObject({
      verdict: 'PASS',
      report: { compared: 5 },
      dryRun: false,
    });
    expect(await store.runs('redrive', 'table', SPAN)).toEqual([]);
  });
});

describe('findings of a report', () => {
  it('are counted by cause and status; what was settled before the span is left out, what is open is not', async () => {
    const findings = new FindingStore(rig.pool, SCHEMA);
    const tableId = rig.target.tables[0]!.id;
    const found = (row: number, cause: string) => ({
      rowKey: `["${row}","1"]`,
      type: 'DATA_MISMATCH',
      cause,
      columns: [],
      sourceImage: null,
      targetImage: null,
      sourceChecksum: null,
      targetChecksum: null,
    });
    await findings.record(tableId, randomUUID(), [
      found(1, 'missed-update'),
      found(2, 'missed-update'),
      found(3, 'corrupt'),
      found(4, 'corrupt'),
    ]);
    const set = (row: number, status: string, daysAgo: number) =>
      rig.pool.query(
        `UPDATE ${SCHEMA}._cdc_findings SET status = $2, first_seen_at = now() - make_interval(days => $3),
           last_seen_at = now() - make_interval(days => $3), resolved_at = CASE WHEN $2 = 'PENDING' THEN NULL ELSE now() END
         WHERE row_key = $1`,
        [`["${row}","1"]`, status, daysAgo],
      );
    await set(2, 'AUTO_RESOLVED', 0);
    await set(3, 'PENDING', 9);
    await set(4, 'SUPERSEDED', 9);
    const counts = (await store.findings(SPAN)).map(({ cause, status, count }) => [cause, status, count]);
    expect(counts.sort()).toEqual([
      ['corrupt', 'PENDING', 1],
      ['missed-update', 'AUTO_RESOLVED', 1],
      ['missed-update', 'PENDING', 1],
    ]);
    expect(Math.abs((await store.lastRepairs()).get(TABLE)! - Date.now())).toBeLessThan(60_000);
  });
});

describe('windows of a report', () => {
  const minute = (hoursAgo: number, more: Partial<WindowUpdate> = {}): WindowUpdate => {
    const startMs = TO_MS - hoursAgo * HOUR_MS;
    const counts = { changelog: 10, processed: 7, filtered: 2, deadLettered: 1, missing: 0, unexpected: 0 };
    const more0 = { late: 0, replayed: 0, reopened: false, verdict: 'PASS' as const, reason: null };
    return { table: TABLE, startMs, endMs: startMs + 60_000, rounds: 1, ...counts, ...more0, ...more };
  };

  it('are summed by verdict, and stand in the part of the span in which they begin', async () => {
    const windows = new WindowStore(rig.pool, SCHEMA);
    for (const each of [
      minute(23.5),
      minute(23.4, { verdict: 'DRIFT', changelog: 13, missing: 3 }),
      minute(1),
      minute(30),
      minute(-1),
      // begins before the span, ends in it
      minute(24 + 30 / 3600, { verdict: 'INCONCLUSIVE', late: 4 }),
    ]) {
      await windows.save(each);
    }
    const sums = await store.windowSums(SPAN);
    expect(
      sums.map(({ verdict, windows: n, changelog, missing, late }) => [verdict, n, changelog, missing, late]),
    ).toEqual([
      ['DRIFT', 1, 13, 3, 0],
      ['INCONCLUSIVE', 1, 10, 0, 4],
      ['PASS', 2, 20, 0, 0],
    ]);
    expect(sums[2]).toMatchObject({ processed: 14, filtered: 4, deadLettered: 2, startMs: TO_MS - 23.5 * HOUR_MS });
    expect(await store.windowSlots(SPAN, 24)).toEqual([
      { table: TABLE, slot: 0, pass: 1, drift: 1, inconclusive: 1 },
      { table: TABLE, slot: 23, pass: 1, drift: 0, inconclusive: 0 },
    ]);
  });
});
