/** Delivery windows on real systems: what was passed over behind Kafka, and what never reached it. */
import cassandra from 'cassandra-driver';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { changeIdOf } from '../../src/change/changelog-entry.ts';
import { changelogStatement, changelogTableCql, readChangelog } from '../../src/source/changelog-table.ts';
import { eventually, ServiceStage, stageTable } from '../support/service-stage.ts';

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

describe('the changelog table of the source', () => {
  it('holds each change of a batch with the ID that its event will have, and is read by window', async () => {
    await stage.stack.startPart('cassandra');
    const client = new cassandra.Client({ ...stage.stack.endpoints().cassandra, encoding: { useBigIntAsLong: true } });
    try {
      await client.connect();
      await client.execute(
        `CREATE KEYSPACE logged WITH replication = {'class': 'SimpleStrategy', 'replication_factor': 1}`,
      );
      await client.execute('CREATE TABLE logged.items (id int PRIMARY KEY, v text)');
      await client.execute(changelogTableCql('logged'));
      const base = 1_800_000_000_000;
      const expected = new Map<string, number>();
      for (const i of ids(0, 300)) {
        // Half a second apart: three buckets of a minute, all slices.
        const writeTime = BigInt(base + i * 500) * 1000n;
        const change = { table: 'logged.items', kind: 'write' as const, key: [String(i)], bounds: null, writeTime };
        const entry = changelogStatement('logged', change);
        await client.batch(
          [
            { query: 'INSERT INTO logged.items (id, v) VALUES (?, ?)', params: [i, 'x'] },
            { query: entry.query, params: [...entry.params] },
          ],
          { prepare: true, logged: true, timestamp: Number(writeTime) },
        );
        expected.set(changeIdOf(change), base + i * 500);
      }
      const { rows } = await client.execute(
        'SELECT change_id, writetime(row_key) AS at FROM logged.lockstep_changelog',
      );
      expect(rows).toHaveLength(300);
      // The entry has the very write time of the data: that is what makes it an account.
      for (const row of rows as unknown as { change_id: Buffer; at: bigint }[]) {
        expect(row.at).toBe(BigInt(expected.get(row.change_id.toString('hex')) ?? 0) * 1000n);
      }
      const [from, to] = [base + 20_000, base + 90_000];
      const read = new Set<string>();
      const never = new AbortController().signal;
      const range = {
        from: from.toString(16).padStart(12, '0').padEnd(32, '0'),
        to: to.toString(16).padStart(12, '0').padEnd(32, '0'),
      };
      for await (const page of readChangelog(client, 'logged', 'logged.items', range, never)) {
        for (const { id } of page) read.add(id);
      }
      const within = [...expected].filter(([, ms]) => ms >= from && ms < to).map(([id]) => id);
      expect([...read].sort()).toEqual(within.sort());
    } finally {
      await client.shutdown();
    }
  });
});
