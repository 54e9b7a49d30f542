/** Delivery windows on real systems: what was passed over behind Kafka, and what never reached it. */
import { readdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import cassandra from 'cassandra-driver';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { changeIdOf } from '../../src/change/changelog-entry.ts';
import { readLog } from '../../src/consume/index.ts';
import { changelogStatement, readChangelog } from '../../src/source/changelog-table.ts';
import { eventually, ServiceStage, stageTable, type Member } from '../support/service-stage.ts';

/** Of the stack's capture agent. */
const TOPIC_PREFIX = 'cass1';

let stage: ServiceStage;
beforeAll(async () => {
  stage = await ServiceStage.open();
});
afterEach(() => stage.stopMembers());
afterAll(() => stage.close());

const ids = (from: number, to: number): number[] => Array.from({ length: to - from }, (_, i) => from + i);

interface WindowSums {
  readonly changelog: number;
  readonly processed: number;
  readonly missing: number;
  readonly replayed: number;
  readonly drift: number;
}

async function sums(table: string): Promise<WindowSums> {
  const [row] = await stage.sql<Record<keyof WindowSums, string>>(
    `SELECT coalesce(sum(changelog), 0) AS changelog, coalesce(sum(processed), 0) AS processed,
       coalesce(sum(missing), 0) AS missing, coalesce(sum(replayed), 0) AS replayed, count(*) FILTER (WHERE verdict = 'DRIFT') AS drift
     FROM _cdc_windows AS w JOIN _cdc_tables AS t ON t.id = w.table_id WHERE t.source = $1`,
    [table],
  );
  return {
    changelog: Number(row?.changelog),
    processed: Number(row?.processed),
    missing: Number(row?.missing),
    replayed: Number(row?.replayed),
    drift: Number(row?.drift),
  };
}

describe('the topic as changelog', () => {
  it('finds the changes that a moved position has passed over, and nothing else, and replays them', async () => {
    const table = stageTable('windowed');
    await stage.createTarget(table);
    await stage.createTopic(table.table.topic, 1);
    const settings = {
      reconciliation: { windows: { changelog: 'kafka', size: '1s', horizons: ['1s'], skew: '10m' } },
    };
    const member = await stage.member([table], settings);
    await member.service.start();
    await member.service.waitUntilReady();
    stage.writeFrom(Date.now());
    await stage.write(table, ids(0, 50), 'first');
    await eventually('the first rows', async () => ((await stage.count(table, 'first')) === 50 ? true : undefined));
    await member.service.stop();

    // Somebody "repairs" a position by hand: 20 records are never read.
    await stage.write(table, ids(50, 70), 'lost');
    await stage.sql('UPDATE _cdc_offsets SET next_offset = next_offset + 20 WHERE topic = $1', [table.table.topic]);
    await stage.write(table, ids(70, 100), 'last');

    await member.service.start();
    await eventually('the last rows', async () => ((await stage.count(table, 'last')) === 30 ? true : undefined));
    const found = await eventually('the windows to be verified', async () => {
      const seen = await sums(table.table.name);
      return seen.changelog === 100 && seen.replayed > 0 && seen.drift === 0 ? seen : undefined;
    });
    // Found, replayed through the door, and then proven: the ledger has an outcome for each of them.
    expect(found).toMatchObject({ changelog: 100, processed: 100, missing: 0, replayed: 20 });
    expect(await stage.count(table, 'lost')).toBe(20);
    const [replayed] = await stage.sql<{ n: string }>(
      `SELECT sum(processed) AS n FROM _cdc_ledger WHERE topic = $1 AND origin = 'replay'`,
      [table.table.topic],
    );
    expect(replayed).toEqual({ n: '20' });
    const windows = await stage.lockstep(member, 'reconcile', 'windows', '--verdict', 'PASS', '--json');
    expect(windows.code).toBe(0);
    const { windows: listed } = JSON.parse(windows.stdout) as { windows: { replayed: number }[] };
    expect(listed.reduce((sum, each) => sum + each.replayed, 0)).toBe(20);
  });
});

describe('heartbeats and the changelog table of the source, through the real capture', () => {
  const items = stageTable('items', TOPIC_PREFIX);
  const { name: table } = items.table;
  let client: cassandra.Client;
  let member: Member;
  let last = 0;

  /** A change with its entry in the changelog, in one logged batch; write times rise. */
  async function change(kind: 'write' | 'row-delete', id: number, query: string, params: unknown[]): Promise<void> {
    last = Math.max(last + 1, Date.now());
    const writeTime = BigInt(last) * 1000n;
    const entry = changelogStatement('shop', { table, kind, key: [String(id)], bounds: null, writeTime });
    await client.batch(
      [
        { query, params },
        { query: entry.query, params: [...entry.params] },
      ],
      { prepare: true, logged: true, timestamp: Number(writeTime) },
    );
  }
  async function write(rows: readonly number[], value: string): Promise<void> {
    for (const id of rows) {
      await change('write', id, 'INSERT INTO shop.items (id, v) VALUES (?, ?)', [id, `${value}-${id}`]);
    }
  }

  /** Windows that are due and have not passed, with their reasons. */
  const open = () =>
    stage.sql<{ verdict: string; reason: string | null; missing: string }>(
      `SELECT verdict, reason, missing FROM _cdc_windows AS w JOIN _cdc_tables AS t ON t.id = w.table_id
       WHERE t.source = $1 AND verdict <> 'PASS' ORDER BY start_ms`,
      [table],
    );
  const allPassed = async (changelog: number): Promise<WindowSums | undefined> => {
    const seen = await sums(table);
    return seen.changelog === changelog && (await open()).length === 0 ? seen : undefined;
  };

  beforeAll(async () => {
    await stage.stack.startPart('cassandra');
    const { cassandra: address } = stage.stack.endpoints();
    client = new cassandra.Client({ ...address, encoding: { useBigIntAsLong: true } });
    await client.connect();
    await client.execute(
      `CREATE KEYSPACE shop WITH replication = {'class': 'SimpleStrategy', 'replication_factor': 1}`,
    );
    await client.execute('CREATE TABLE shop.items (id int PRIMARY KEY, v text) WITH cdc = true');
    await stage.createTopic(items.table.topic, 2);
    member = await stage.member([items], {
      source: { cassandra: address },
      reconciliation: {
        // Without heartbeats nothing that a change in the capture would explain could be proven.
        captureDelay: null,
        heartbeats: { topic: `${TOPIC_PREFIX}.lockstep.heartbeat`, every: '1s' },
        windows: { changelog: 'cassandra', size: '2s', horizons: ['3s', '8s'] },
      },
    });
    const applied = await stage.lockstep(member, 'schema', 'apply', '--json');
    expect(applied.code, applied.stderr).toBe(0);
    expect(JSON.parse(applied.stdout)).toMatchObject({
      source: [{ table: 'lockstep.heartbeat' }, { table: 'shop.lockstep_changelog' }],
    });
    await stage.stack.startPart('agent');
  }, 240_000);
  beforeEach(async () => {
    await member.service.start();
    await member.service.waitUntilReady();
  });
  afterEach(() => member.service.stop());
  afterAll(() => client.shutdown());

  it('prove the first horizon for real, and every difference of the end state', async () => {
    await write(ids(0, 50), 'heard');
    const passed = await eventually('the windows to pass', () => allPassed(50));
    expect(passed).toMatchObject({ processed: 50, missing: 0, replayed: 0 });
    await eventually('a heartbeat in the metrics', async () => {
      const metrics = await (await fetch(`http://127.0.0.1:${member.apiPort}/metrics`)).text();
      const [, delay] = /cdc_heartbeat_delay_seconds\{node="127\.0\.0\.1:\d+"\} ([\d.]+)/.exec(metrics) ?? [];
      return Number(delay) < 10 ? true : undefined;
    });
    const { stdout } = await stage.lockstep(member, 'doctor', '--json');
    const { checks } = JSON.parse(stdout) as { checks: { id: string; status: string }[] };
    expect(checks.filter(({ id }) => id.endsWith('.heartbeats')).map(({ status }) => status)).toEqual(['ok', 'ok']);

    // A missed insert looks like one that is still in the capture: only the heartbeats tell.
    await stage.sql('DELETE FROM items WHERE id = 7');
    const run = ['reconcile', 'run', '--table', table, '--strategy', 'CHECKSUM', '--json'];
    const found = await stage.lockstep(member, ...run, '--repair');
    expect(JSON.parse(found.stdout)).toMatchObject({ verdict: 'DRIFT', mismatch_count: 1, unproven: 0 });
    expect((await stage.lockstep(member, ...run)).code).toBe(0);
  }, 180_000);

  it('keep windows open while an agent is away, naming its node, and let them pass when it is back', async () => {
    await stage.stack.stopPart('agent', 'SIGKILL');
    await write(ids(50, 60), 'late');
    const silent = await eventually('windows that say what is silent', async () => {
      const windows = await open();
      return windows.reduce((sum, { missing }) => sum + Number(missing), 0) === 10 ? windows : undefined;
    });
    for (const { verdict, reason } of silent) {
      expect(verdict).toBe('INCONCLUSIVE');
      expect(reason).toMatch(/no heartbeat has come through the capture of 127\.0\.0\.1:\d+ since/);
    }
    await stage.stack.startPart('agent');
    expect(await eventually('the windows to pass', () => allPassed(60))).toMatchObject({ missing: 0, replayed: 0 });
  }, 180_000);

  it('find what was removed from the topic before it was read, and replay it from the source', async () => {
    await member.service.stop();
    await write(ids(60, 75), 'removed');
    const admin = stage.kafka.admin();
    await admin.connect();
    try {
      const positions = await stage.sql<{ partition: number; next_offset: string }>(
        'SELECT partition, next_offset FROM _cdc_offsets WHERE topic = $1',
        [items.table.topic],
      );
      const captured = await eventually('the capture of all of them', async () => {
        const ends = await admin.fetchTopicOffsets(items.table.topic);
        const stretches = ends.map(({ partition, high }) => ({
          partition,
          from: BigInt(positions.find((each) => each.partition === partition)?.next_offset ?? 0),
          to: BigInt(high),
        }));
        const seen = new Set<string>();
        for await (const records of readLog(stage.kafka, items.table.topic, stretches, AbortSignal.timeout(30_000))) {
          for (const { value } of records) for (const [id] of String(value).matchAll(/removed-\d+/g)) seen.add(id);
        }
        return seen.size === 15 ? ends : undefined;
      });
      const partitions = captured.map(({ partition, high }) => ({ partition, offset: high }));
      await admin.deleteTopicRecords({ topic: items.table.topic, partitions });
    } finally {
      await admin.disconnect();
    }
    await member.service.start();
    const found = await eventually('the windows to pass', () => allPassed(75));
    expect(found).toMatchObject({ processed: 75, missing: 0 });
    // The connector sends many events twice: what came once more was not missing.
    expect(found.replayed).toBeGreaterThan(0);
    expect(await stage.count(items, 'removed')).toBe(15);
    const metrics = await (await fetch(`http://127.0.0.1:${member.apiPort}/metrics`)).text();
    expect(metrics).toContain(`cdc_window_missing_total{table="${table}"} ${found.replayed}`);
    expect(metrics).toContain(`cdc_window_missing_changes{table="${table}"} 0`);
    expect(metrics).toContain(`cdc_replayed_total{table="${table}",outcome="repaired"} ${found.replayed}`);
  }, 240_000);

  it('find what the capture lost with its segments, deletes and nulls too, and replay it', async () => {
    const before = await sums(table);
    await stage.stack.stopPart('agent', 'SIGKILL');
    await write(ids(75, 80), 'lost');
    await change('write', 1, 'UPDATE shop.items SET v = ? WHERE id = ?', ['changed', 1]);
    await change('write', 2, 'UPDATE shop.items SET v = ? WHERE id = ?', [null, 2]);
    await change('row-delete', 3, 'DELETE FROM shop.items WHERE id = ?', [3]);
    // The segments until now are to be gone; what comes later is in another one, because these are filled.
    const raw = join(stage.stack.dir, 'cassandra', 'cdc_raw');
    const isLog = (name: string): boolean => name.endsWith('.log');
    const segments = (await readdir(raw)).filter(isLog);
    await client.execute('CREATE TABLE shop.filler (id int PRIMARY KEY, b blob)');
    for (let id = 0; (await readdir(raw)).filter((name) => isLog(name) && !segments.includes(name)).length < 2; id++) {
      await client.execute('INSERT INTO shop.filler (id, b) VALUES (?, ?)', [id, Buffer.alloc(900_000)], {
        prepare: true,
      });
    }
    const lost = (await readdir(raw)).filter((name) => segments.some((log) => name.startsWith(log.slice(0, -4))));
    expect(lost.length).toBeGreaterThan(0);
    await Promise.all(lost.map((name) => rm(join(raw, name))));
    await stage.stack.startPart('agent');
    await write(ids(80, 82), 'after');

    const found = await eventually('the windows to pass', () => allPassed(85));
    expect(found).toMatchObject({ processed: 85, missing: 0 });
    expect(found.replayed).toBeGreaterThan(before.replayed);
    expect(await stage.sql('SELECT id, v FROM items WHERE id IN (1, 2, 3) ORDER BY id')).toEqual([
      { id: 1, v: 'changed' },
      { id: 2, v: null },
    ]);
    const same = await stage.lockstep(member, 'reconcile', 'run', '--table', table, '--strategy', 'CHECKSUM', '--json');
    expect(JSON.parse(same.stdout)).toMatchObject({ verdict: 'PASS', cassandra_row_count: 81 });
  }, 240_000);

  it('find an entry by its window under the ID and with the very write time of its change', async () => {
    await client.execute('CREATE TABLE shop.others (id int PRIMARY KEY, v text)');
    const base = 1_800_000_000_000;
    const expected = new Map<string, number>();
    for (const i of ids(0, 300)) {
      // Half a second apart: three buckets of a minute, all slices.
      const writeTime = BigInt(base + i * 500) * 1000n;
      const change = { table: 'shop.others', kind: 'write' as const, key: [String(i)], bounds: null, writeTime };
      const entry = changelogStatement('shop', change);
      await client.batch(
        [
          { query: 'INSERT INTO shop.others (id, v) VALUES (?, ?)', params: [i, 'x'] },
          { query: entry.query, params: [...entry.params] },
        ],
        { prepare: true, logged: true, timestamp: Number(writeTime) },
      );
      expected.set(changeIdOf(change), base + i * 500);
    }
    const { rows } = await client.execute(
      'SELECT table_name, change_id, writetime(row_key) AS at FROM shop.lockstep_changelog',
    );
    const entries = (rows as unknown as { table_name: string; change_id: Buffer; at: bigint }[]).filter(
      (row) => row.table_name === 'shop.others',
    );
    expect(entries).toHaveLength(300);
    // The entry has the very write time of the data: that is what makes it an account.
    for (const row of entries) {
      expect(row.at).toBe(BigInt(expected.get(row.change_id.toString('hex')) ?? 0) * 1000n);
    }
    const [from, to] = [base + 20_000, base + 90_000];
    const read = new Set<string>();
    const never = new AbortController().signal;
    const range = {
      from: from.toString(16).padStart(12, '0').padEnd(32, '0'),
      to: to.toString(16).padStart(12, '0').padEnd(32, '0'),
    };
    for await (const page of readChangelog(client, 'shop', 'shop.others', range, never)) {
      for (const { id } of page) read.add(id);
    }
    const within = [...expected].filter(([, ms]) => ms >= from && ms < to).map(([id]) => id);
    expect([...read].sort()).toEqual(within.sort());
  });
});
