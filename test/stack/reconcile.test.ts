/**
 * Comparisons on the real stack. `lockstep reconcile run`: a table with a partition larger than memory holds, collections,
 * TTLs and descending clustering; faults by hand and changes that the capture lost. Repaired, the next run passes, and
 * every fault can be taken back. Counters, static columns. And runs that members share, while members are killed.
 */
import { mkdtemp, readFile, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type cassandra from 'cassandra-driver';
import getPort from 'get-port';
import pg from 'pg';
import { parse, stringify } from 'yaml';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { LockstepService } from '../../src/demo/service/lockstep-service.ts';
import { connectSource } from '../../src/demo/workload/source-client.ts';
import { openStack, type Stack } from '../../src/stack/index.ts';
import { startCaptured, writeAll } from '../support/captured-service.ts';
import { beginCommand, endOf, type Ended } from '../support/lockstep-command.ts';
import { eventually } from '../support/service-stage.ts';

/** Above what is held of an unfinished partition (source-slices.ts), so that it is compared in parts. */
const WIDE_ROWS = 24_000;
const ROWS = 2_000;
const TABLE = 'rc.items';
/** Compared by members together: partitions all over the ring, with a static column. */
const SPREAD = 'rc.spread';
const SPREAD_ROWS = 1_600;
/** What members read a second together: a run of that table takes some ten seconds, long enough to be killed in. */
const SHARED_ROWS_PER_SECOND = 200;
const PAGES = 40;
const TOKEN = 'the-token-of-the-operator';
const INSERT = 'INSERT INTO rc.items (k, c, v, n, tags) VALUES (?, ?, ?, ?, ?)';

let stack: Stack;
let source: cassandra.Client;
let postgres: pg.Pool;
let service: LockstepService;
let configurationFile: string;
let apiPort: number;
let dir: string;

beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), 'lockstep-reconcile-'));
  stack = await openStack({ provider: 'native', dir });
  const endpoints = await stack.up({
    beforeAgent: async ({ cassandra: found }) => {
      source = await connectSource(found);
      await source.execute(
        `CREATE KEYSPACE rc WITH replication = {'class': 'SimpleStrategy', 'replication_factor': 1}`,
      );
      await source.execute(
        `CREATE TABLE rc.items (k int, c timeuuid, v text, n decimal, tags set<text>, PRIMARY KEY (k, c))
         WITH CLUSTERING ORDER BY (c DESC)`,
      );
      const uuid = (i: number): string => `${i.toString(16).padStart(8, '0')}-0000-1000-8000-000000000000`;
      await writeAll(source, WIDE_ROWS, (i) => [INSERT, [-1, uuid(i), `w${i}`, String(i), null]]);
      await writeAll(source, ROWS, (i) => [
        INSERT,
        [i % 400, uuid(i), `v${i}`, `${i}.50`, i % 10 === 0 ? ['a', 'b'] : null],
      ]);
      await source.execute(`INSERT INTO rc.items (k, c, v) VALUES (1, ${uuid(9_000)}, 'lasts') USING TTL 100000`);
      await source.execute(`INSERT INTO rc.items (k, c) VALUES (2, ${uuid(9_001)})`);
      await source.execute('ALTER TABLE rc.items WITH cdc = true');
      await source.execute(
        'CREATE TABLE rc.spread (k int, c int, s text static, v text, PRIMARY KEY (k, c)) WITH cdc = true',
      );
      await source.execute('CREATE TABLE rc.visits (page text, day int, seen counter, PRIMARY KEY (page, day))');
      await writeAll(source, PAGES, (i) => [
        'UPDATE rc.visits SET seen = seen + ? WHERE page = ? AND day = ?',
        [BigInt(i + 1), `page ${i % 7}`, i],
      ]);
    },
  });
  postgres = new pg.Pool({ connectionString: endpoints.postgres.url, max: 2 });
  // As something else keeps it: no bookkeeping.
  await postgres.query('CREATE TABLE visits (page text, day int, seen bigint, PRIMARY KEY (page, day))');
  await postgres.query(
    `INSERT INTO visits SELECT 'page ' || i % 7, i, i + 1 FROM generate_series(0, ${PAGES - 1}) AS i`,
  );
  const reconciliation = {
    captureDelay: '2s',
    counters: [{ source: 'rc.visits', target: 'public.visits' }],
    throttle: { rowsPerSecond: SHARED_ROWS_PER_SECOND, sourceLatency: null },
    rules: [
      {
        name: 'visits-per-page',
        cql: 'SELECT page, sum(seen) AS seen FROM rc.visits GROUP BY page',
        sql: 'SELECT page, sum(seen) AS seen FROM visits GROUP BY page',
        key: ['page'],
        schedule: null,
      },
    ],
  };
  const api = { tokens: [{ name: 'operator', token: TOKEN, scopes: ['read', 'operate'] }] };
  ({ service, configurationFile, apiPort } = await startCaptured(dir, endpoints, 'rc', ['items', 'spread'], {
    reconciliation,
    api,
  }));
  const filled = await lockstep('backfill', '--table', TABLE);
  expect(filled.code, filled.stderr).toBe(0);
}, 500_000);

afterAll(async () => {
  await service.stop();
  await postgres.end();
  await source.shutdown();
  await stack.destroy();
});

const lockstep = (...args: readonly string[]): Promise<Ended> => endOf(beginCommand(configurationFile, ...args));

interface Report {
  readonly verdict: string;
  readonly [name: string]: unknown;
}

type Run = Report & { readonly code: number | null };

const run = (strategy: string, ...args: readonly string[]): Promise<Run> => runOf(TABLE, strategy, ...args);

async function runOf(table: string, strategy: string, ...args: readonly string[]): Promise<Run> {
  const answer = await lockstep('reconcile', 'run', '--table', table, '--strategy', strategy, '--json', ...args);
  try {
    return { ...(JSON.parse(answer.stdout) as Report), code: answer.code };
  } catch (cause) {
    throw new Error(`exit code ${answer.code}: ${answer.stderr}`, { cause });
  }
}

const ALL = WIDE_ROWS + ROWS + 2;

it.each(['ROW_COUNT', 'CHECKSUM'])(
  '%s passes where both sides are equal, with equal digests over every row',
  async (strategy) => {
    const report = await run(strategy);
    expect(report).toMatchObject({
      code: 0,
      verdict: 'PASS',
      coverage: 1,
      cassandra_row_count: ALL,
      postgres_row_count: ALL,
      compared: ALL,
      mismatch_count: 0,
    });
    expect(report['cassandra_digest']).toBe(report['postgres_digest']);
  },
  240_000,
);

it('finds each fault with its cause, repairs it, passes afterwards, and can take it back', async () => {
  const spoil = [
    `DELETE FROM items WHERE k = 7 AND v = 'v7'`,
    `DELETE FROM items WHERE k = -1 AND v = 'w12345'`,
    `UPDATE items SET v = 'by hand' WHERE v = 'v20'`,
    `UPDATE items SET tags = '["x"]' WHERE v = 'v30'`,
    `INSERT INTO items (k, c, v) VALUES (9999, '00000001-0000-1000-8000-000000000001', 'rogue')`,
    // In the partition that is compared in parts, with a token, as a lost delete would leave it.
    `INSERT INTO items (k, c, v, _cdc_versions, _cdc_token, _cdc_order)
       SELECT k, '00ffffff-0000-1000-8000-000000000000', 'extra', ARRAY[5::bigint], _cdc_token, _cdc_order || '\\x00'
       FROM items WHERE v = 'w1'`,
  ];
  for (const statement of spoil) await postgres.query(statement);

  const found = await run('CHECKSUM');
  expect(found).toMatchObject({
    code: 1,
    verdict: 'DRIFT',
    mismatches_by_type: { MISSING_IN_POSTGRES: 2, DATA_MISMATCH: 2, MISSING_IN_CASSANDRA: 2 },
    unproven: 0,
  });
  const listed = await lockstep('reconcile', 'findings', '--status', 'PENDING', '--json');
  expect(listed.code).toBe(1);
  const { findings } = JSON.parse(listed.stdout) as { findings: { cause: string; columns: string[] }[] };
  expect(findings.map(({ cause, columns }) => [cause, ...columns].join(' ')).sort()).toEqual([
    'missed-delete',
    'missed-insert',
    'missed-insert',
    'missed-update tags',
    'rogue-insert',
    'rogue-update v',
  ]);

  const repaired = await run('CHECKSUM', '--repair');
  expect(repaired).toMatchObject({ code: 1, repaired: { applied: 6, stale: 0, review: 0, failed: 0 } });
  const passed = await run('CHECKSUM');
  expect(passed).toMatchObject({ code: 0, verdict: 'PASS', cassandra_row_count: ALL, postgres_row_count: ALL });
  expect(passed['cassandra_digest']).toBe(passed['postgres_digest']);

  const [byHand] = (
    await postgres.query<{ id: string }>(
      `SELECT id FROM _cdc_findings WHERE cause = 'rogue-update' AND status = 'AUTO_RESOLVED'`,
    )
  ).rows;
  const undone = await lockstep('reconcile', 'undo', String(byHand?.id), '--reason', 'wanted');
  expect(undone.code, undone.stderr).toBe(0);
  expect((await postgres.query(`SELECT 1 FROM items WHERE v = 'by hand'`)).rowCount).toBe(1);
  expect(await run('CHECKSUM')).toMatchObject({ code: 0, verdict: 'PASS', ignored: 1 });
}, 400_000);

it('compares a sample, and says what it may have missed', async () => {
  const report = await run('SAMPLE', '--sample-size', '200');
  expect(report).toMatchObject({ code: 0, verdict: 'PASS', sample: { drifted: 0, confidence: 0.95 } });
  expect(report['compared']).toBeGreaterThanOrEqual(200);
}, 240_000);

it('passes beside a live workload: what is under way is no drift', async () => {
  const stop = new AbortController();
  const writing = (async () => {
    for (let i = 0; !stop.signal.aborted; i++) {
      await source.execute(
        `UPDATE rc.items SET v = ? WHERE k = ? AND c = 00000001-0000-1000-8000-000000000000`,
        [`live${i}`, 10_000 + (i % 50)],
        { prepare: true },
      );
    }
  })();
  try {
    const report = await run('CHECKSUM');
    expect(report['mismatch_count'], JSON.stringify(report)).toBe(0);
    expect(report.verdict).not.toBe('DRIFT');
  } finally {
    stop.abort();
    await writing;
  }
  expect(await run('CHECKSUM')).toMatchObject({ code: 0, verdict: 'PASS' });
}, 400_000);

it('compares counters with the copy that something else keeps; what drifts is found, and no repair writes over a sum', async () => {
  const equal = await runOf('rc.visits', 'CHECKSUM');
  expect(equal, JSON.stringify(equal)).toMatchObject({ code: 0, verdict: 'PASS', compared: PAGES });
  await postgres.query('UPDATE visits SET seen = seen - 1 WHERE day = 3');
  await postgres.query('DELETE FROM visits WHERE day = 4');
  await postgres.query(`INSERT INTO visits VALUES ('nowhere', 1, 1)`);
  const copy = async () => (await postgres.query('SELECT * FROM visits ORDER BY page, day')).rows as unknown[];
  const before = await copy();
  expect(await runOf('rc.visits', 'CHECKSUM', '--repair')).toMatchObject({
    code: 1,
    verdict: 'DRIFT',
    mismatches_by_type: { DATA_MISMATCH: 1, MISSING_IN_POSTGRES: 1, MISSING_IN_CASSANDRA: 1 },
    repaired: { applied: 0 },
  });
  expect(await copy()).toEqual(before);
}, 240_000);

async function api<T>(path: string, body?: object): Promise<T & { status: number }> {
  const answer = await fetch(`http://127.0.0.1:${apiPort}${path}`, {
    headers: { authorization: `Bearer ${TOKEN}`, 'content-type': 'application/json' },
    ...(body === undefined ? {} : { method: 'POST', body: JSON.stringify(body) }),
  });
  return { ...((await answer.json()) as T), status: answer.status };
}

it('lets a person decide about findings, over HTTP and by command', async () => {
  // Above the source's bytes: a second copy of the insert, of the same write time, leaves it.
  await postgres.query(`UPDATE items SET v = 'was edited ' || v WHERE v IN ('v41', 'v42', 'v43')`);
  expect(await run('CHECKSUM')).toMatchObject({ verdict: 'DRIFT', mismatches_by_type: { DATA_MISMATCH: 3 } });
  const idOf = async (v: string): Promise<string> => {
    const { rows } = await postgres.query<{ id: string }>(
      `SELECT id FROM _cdc_findings WHERE status = 'PENDING' AND target_image::text LIKE '%edited ' || $1 || '%'`,
      [v],
    );
    return rows[0]!.id;
  };
  const shown = async (v: string): Promise<number | null> =>
    (await postgres.query('SELECT 1 FROM items WHERE v = $1', [v])).rowCount;

  const resolve = `/reconciliation/mismatches/${await idOf('v41')}/resolve`;
  const wanted = { action: 'APPLY_SOURCE', resolution_notes: 'nobody should have edited it' };
  expect(await api(resolve, { ...wanted, dry_run: true })).toMatchObject({ status: 200, outcome: 'applied' });
  expect(await shown('was edited v41')).toBe(1);
  expect(await api(resolve, wanted)).toMatchObject({
    status: 200,
    outcome: 'applied',
    mismatch: { resolution_status: 'MANUAL_RESOLVED' },
  });
  expect(await shown('v41')).toBe(1);
  expect(await api(resolve, wanted)).toMatchObject({ status: 409, code: 'FINDING_RESOLVED' });

  const byCommand = async (id: string, ...decision: readonly string[]): Promise<void> => {
    const ended = await lockstep('reconcile', 'resolve', id, ...decision, '--why', 'agreed');
    expect(ended.code, ended.stderr).toBe(0);
  };
  await byCommand(await idOf('v42'), '--action', 'KEEP_TARGET');
  const patch = join(dir, 'fix.json');
  await writeFile(patch, JSON.stringify({ v: 'as agreed' }));
  await byCommand(await idOf('v43'), '--action', 'CUSTOM_FIX', '--patch', patch);
  expect([await shown('was edited v42'), await shown('as agreed')]).toEqual([1, 1]);
  const report = await run('CHECKSUM');
  expect(report).toMatchObject({ code: 0, verdict: 'PASS', mismatch_count: 0 });
  // Beside both perhaps what the undo of an earlier test left.
  expect(report['ignored']).toBeGreaterThanOrEqual(2);
}, 240_000);

it('checks a business rule when it is asked to, over HTTP and by command; what it found is decided about in the same way', async () => {
  expect(await api('/reconciliation/rules/trigger', { rules: ['nothing like it'] })).toMatchObject({
    status: 400,
    code: 'RULE_UNKNOWN',
  });
  expect(await api('/reconciliation/rules/trigger', {})).toMatchObject({ status: 202 });
  type Standing = { verdict: string | null; open_findings: number; accepted_findings: number };
  const standing = async () => (await api<{ rules: Standing[] }>('/reconciliation/rules')).rules[0];
  const ran = await eventually('the rule to have run', async () => {
    const now = await standing();
    return now?.verdict == null ? undefined : now;
  });
  // The counter that is one behind, the one that is missing, and the page that nobody has visited.
  expect(ran).toMatchObject({ verdict: 'DRIFT', open_findings: 3, accepted_findings: 0 });
  const { findings } = await api<{ findings: { mismatch_id: number }[] }>('/reconciliation/rules/findings');
  const [first, second] = findings.map((finding) => `rule-${finding.mismatch_id}`);
  expect(
    await api(`/reconciliation/mismatches/${first}/resolve`, { action: 'KEEP_TARGET', resolution_notes: 'agreed' }),
  ).toMatchObject({ status: 200, outcome: 'closed' });
  const kept = await lockstep('reconcile', 'resolve', String(second), '--action', 'KEEP_TARGET', '--why', 'agreed');
  expect(kept.code, kept.stderr).toBe(0);

  const again = await lockstep('reconcile', 'rules', '--json');
  expect(again.code, again.stderr).toBe(1);
  expect(await standing()).toMatchObject({ verdict: 'DRIFT', open_findings: 1, accepted_findings: 2 });
}, 240_000);

describe('a comparison that members share', () => {
  const members: LockstepService[] = [];

  beforeAll(async () => {
    await writeAll(source, SPREAD_ROWS, (i) => [
      'INSERT INTO rc.spread (k, c, v) VALUES (?, ?, ?)',
      [i % 400, Math.floor(i / 400), `v${i}`],
    ]);
    await eventually('the rows to arrive', async () => {
      const { rowCount } = await postgres.query('SELECT 1 FROM spread');
      return rowCount === SPREAD_ROWS ? true : undefined;
    });
    // Of the ring's ranges each has some of these: a range that got lost would show in their number.
    await postgres.query(`UPDATE spread SET v = 'by hand' WHERE c = 0 AND k % 10 = 0`);
    await source.execute(`UPDATE rc.spread SET s = 'no event tells of it' WHERE k = 7`);
    const port = await getPort({ host: '127.0.0.1' });
    const configuration = parse(await readFile(configurationFile, 'utf8')) as { api: { port: number } };
    configuration.api.port = port;
    const second = join(dir, 'second.yaml');
    await writeFile(second, stringify(configuration), { mode: 0o600 });
    const other = new LockstepService({ configurationFile: second, apiPort: port, logFile: join(dir, 'second.log') });
    members.push(service, other);
    await other.start();
    await other.waitUntilReady();
  }, 180_000);
  afterAll(async () => {
    await members[1]?.stop();
  });

  interface Parts {
    readonly scanned: number;
    readonly due: number;
    readonly status: string;
    readonly verdict: string | null;
  }

  async function partsOf(job: string): Promise<Parts> {
    const { rows } = await postgres.query<Parts>(
      `SELECT count(*) FILTER (WHERE r.status = 'SCANNED')::int AS scanned, count(*) FILTER (WHERE r.status = 'DUE')::int AS due,
         j.status, j.verdict
       FROM _cdc_jobs AS j JOIN _cdc_job_ranges AS r ON r.job_id = j.id WHERE j.id = $1 GROUP BY j.status, j.verdict`,
      [job],
    );
    return rows[0]!;
  }
  /** Ranges that were taken after this moment, by the server's clock, and are being scanned. */
  async function takenSince(moment: string): Promise<number> {
    const { rowCount } = await postgres.query(
      `SELECT 1 FROM lockstep_jobs.job WHERE name = 'comparison-part' AND state = 'active' AND started_on > $1`,
      [moment],
    );
    return rowCount ?? 0;
  }
  const now = async (): Promise<string> =>
    (await postgres.query<{ now: string }>('SELECT now()::text AS now')).rows[0]!.now;

  it('goes on where every worker was killed, where one alone was killed too, and ends with the verdict over all of it', async () => {
    const request = { tables: ['spread'], validation_strategy: 'CHECKSUM' };
    const triggered = await api<{ job_ids: string[] }>('/reconciliation/trigger', request);
    expect(triggered.status).toBe(202);
    const [job = ''] = triggered.job_ids;

    await eventually('some ranges to be scanned', async () => ((await partsOf(job)).scanned >= 3 ? true : undefined));
    await Promise.all(members.map((member) => member.crash()));
    const killed = await partsOf(job);
    expect(killed).toMatchObject({ status: 'RUNNING', verdict: null });
    expect(killed.due).toBeGreaterThan(2);
    const first = await postgres.query<{ side: string; part: number; ended_at: string }>(
      `SELECT side, part, ended_at::text FROM _cdc_job_ranges WHERE job_id = $1 AND status = 'SCANNED'`,
      [job],
    );

    const again = await now();
    await Promise.all(members.map((member) => member.start()));
    await eventually('both to scan again', async () => ((await takenSince(again)) === 2 ? true : undefined));
    await members[1]?.crash();
    expect(await partsOf(job)).toMatchObject({ status: 'RUNNING', verdict: null });
    const alone = await now();

    const ended = await eventually('the run to end', async () => {
      const parts = await partsOf(job);
      return parts.status === 'RUNNING' ? undefined : parts;
    });
    expect(ended).toMatchObject({ status: 'COMPLETED', verdict: 'DRIFT', due: 0 });
    const { rows } = await postgres.query<{ report: Report; workers: number }>(
      `SELECT report, (SELECT count(DISTINCT worker)::int FROM _cdc_job_ranges WHERE job_id = id AND ended_at > $2) AS workers
       FROM _cdc_jobs WHERE id = $1`,
      [job, alone],
    );
    // What the killed one held was taken over by the other, and nothing was left out.
    expect(rows).toMatchObject([
      {
        workers: 1,
        report: {
          coverage: 1,
          cassandra_row_count: SPREAD_ROWS,
          mismatch_count: 41,
          mismatches_by_type: { DATA_MISMATCH: 40, MISSING_IN_POSTGRES: 1 },
          not_checked: [],
        },
      },
    ]);
    for (const { side, part, ended_at: endedAt } of first.rows) {
      const { rows: kept } = await postgres.query<{ ended_at: string }>(
        'SELECT ended_at::text FROM _cdc_job_ranges WHERE job_id = $1 AND side = $2 AND part = $3',
        [job, side, part],
      );
      expect(kept, 'what was stored is not scanned again').toEqual([{ ended_at: endedAt }]);
    }
  }, 180_000);

  it('finds the static value that no event tells of, and repairs it with the rest', async () => {
    expect(await runOf(SPREAD, 'CHECKSUM', '--repair')).toMatchObject({ verdict: 'DRIFT', repaired: { applied: 41 } });
    expect((await postgres.query('SELECT k, s FROM spread__static')).rows).toEqual([
      { k: 7, s: 'no event tells of it' },
    ]);
    expect(await runOf(SPREAD, 'CHECKSUM')).toMatchObject({ code: 0, verdict: 'PASS', compared: SPREAD_ROWS + 1 });
  }, 180_000);
});
