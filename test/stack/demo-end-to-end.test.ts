/** The demo for real: it passes under faults, its proof can fail, and nothing of it outlives it. */
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readdir, readFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import type cassandra from 'cassandra-driver';
import pg from 'pg';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { demoKafka } from '../../src/demo/kafka/kafka.ts';
import { prove, type ProofSubject } from '../../src/demo/proof/prove.ts';
import { DLQ_TOPIC } from '../../src/demo/service/configuration-file.ts';
import { KEYSPACE, SHOP_TABLES, TARGET_SCHEMA, topicOf } from '../../src/demo/shop/schema.ts';
import { connectSource } from '../../src/demo/workload/source-client.ts';
import { openStack, type Stack } from '../../src/stack/index.ts';

const MAIN = fileURLToPath(new URL('../../src/main.ts', import.meta.url));

/** From empty data, on a machine that does other things too. */
const DEMO_LIMIT_MS = 600_000;

interface DemoDocument {
  readonly verdict: string;
  readonly tables: Readonly<Record<string, { rows_source: number; rows_target: number; mismatches: number }>>;
  readonly changes: number;
  readonly changes_written: number;
  readonly changes_replayed: number;
  readonly duplicates: number;
  readonly restarts: number;
  readonly dead_letters: number;
  readonly staleness_ms: { readonly p50: number; readonly p99: number };
  readonly losses: readonly {
    readonly lost: boolean;
    readonly rows: number;
    readonly found: number;
    readonly repaired: number;
    readonly by: string;
  }[];
  readonly checks: readonly { readonly name: string; readonly ok: boolean; readonly found: string }[];
}

let dir: string;
let stack: Stack;

beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), 'lockstep-demo-'));
  stack = await openStack({ provider: 'native', dir });
});

afterAll(async () => {
  await stack.destroy();
});

function startDemo(args: readonly string[]): { child: ChildProcess; said: () => { out: string; err: string } } {
  const child = spawn(process.execPath, [MAIN, 'demo', '--provider', 'native', '--dir', dir, ...args], {
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const said = { out: '', err: '' };
  child.stdout.on('data', (data: Buffer) => (said.out += data.toString('utf8')));
  child.stderr.on('data', (data: Buffer) => (said.err += data.toString('utf8')));
  return { child, said: () => said };
}

/** Processes that name the demo's directory on their command line or in their working directory (Linux). */
async function processesOfDemo(): Promise<string[]> {
  const found: string[] = [];
  for (const pid of await readdir('/proc')) {
    if (!/^\d+$/.test(pid) || Number(pid) === process.pid) continue;
    const command = await readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => '');
    if (command.includes(dir)) found.push(`${pid} ${command.replaceAll('\0', ' ')}`);
  }
  return found;
}

async function awaitNoProcess(limitMs: number): Promise<string[]> {
  const deadline = performance.now() + limitMs;
  for (;;) {
    const left = await processesOfDemo();
    if (left.length === 0 || performance.now() >= deadline) return left;
    await delay(100);
  }
}

describe('lockstep demo', () => {
  it(
    'proves the end state after two crashes, records delivered again, a poison record, and losses that it finds and repairs',
    async () => {
      const { child, said } = startDemo(['--seconds', '15', '--keep', '--json']);
      const [code] = (await once(child, 'close')) as [number | null];
      const { out, err } = said();
      expect(out, err).not.toBe('');
      const document = JSON.parse(out) as DemoDocument;
      // A demo that could not be carried out says why instead.
      expect(document, out).toHaveProperty('checks');
      expect(document.checks.filter(({ ok }) => !ok)).toEqual([]);
      expect(document, err).toMatchObject({ verdict: 'PASS', restarts: 2, dead_letters: 1 });
      expect(code).toBe(0);
      expect(document.duplicates).toBeGreaterThan(0);
      expect(document.losses).toHaveLength(6);
      for (const { lost, rows, found, repaired } of document.losses) {
        expect({ lost, found, repaired }).toEqual({ lost: true, found: rows, repaired: rows });
      }
      expect(document.losses.filter(({ by }) => by === 'delivery windows')).toHaveLength(4);
      // Two range deletes, an insert, an update and a delete.
      expect(document.changes_replayed).toBe(5);
      expect(document.changes).toBe(document.changes_written);
      expect(document.staleness_ms.p99).toBeGreaterThanOrEqual(document.staleness_ms.p50);
      expect(Object.keys(document.tables)).toEqual(SHOP_TABLES.map((table) => `${KEYSPACE}.${table}`));
      for (const table of Object.values(document.tables)) {
        expect(table.rows_source).toBeGreaterThan(0);
        expect(table.rows_target).toBe(table.rows_source);
        expect(table.mismatches).toBe(0);
      }
      expect(await awaitNoProcess(1_000)).toEqual([]);
    },
    DEMO_LIMIT_MS,
  );

  describe('its proof', () => {
    let source: cassandra.Client;
    let postgres: pg.Client;
    let subject: ProofSubject;

    beforeAll(async () => {
      // Over the data that the demo left.
      const endpoints = await stack.up();
      source = await connectSource(endpoints.cassandra);
      postgres = new pg.Client({ connectionString: endpoints.postgres.url });
      await postgres.connect();
      subject = {
        source,
        postgresUrl: endpoints.postgres.url,
        kafka: demoKafka(endpoints.kafka.brokers),
        controlSchema: TARGET_SCHEMA,
        dlqTopic: DLQ_TOPIC,
        tables: SHOP_TABLES.map((table) => ({
          keyspace: KEYSPACE,
          table,
          target: { schema: TARGET_SCHEMA, table },
          topic: topicOf(endpoints.agent.topicPrefix, table),
        })),
      };
    });

    afterAll(async () => {
      await postgres.end();
      await source.shutdown();
      await stack.down();
    });

    const counts = async () => {
      const { verdict, tables } = await prove(subject, { recheckLimitMs: 0 });
      const found = Object.entries(tables).map(([name, { missing, extra, differing }]) => [
        name,
        { missing, extra, differing },
      ]);
      return { verdict, tables: Object.fromEntries(found) as Record<string, unknown> };
    };
    const none = { missing: 0, extra: 0, differing: 0 };

    it('sees one changed value, one lost row and one row too many', async () => {
      expect((await counts()).tables).toEqual({
        'shop.orders': none,
        'shop.sessions': none,
        'shop.products': none,
        'shop.customers': none,
      });
      const doctored = [
        // The last bit of a value in a wide row.
        `UPDATE products SET score = coalesce(score, 0) + 0.5
         WHERE sku = (SELECT sku FROM products WHERE score IS NULL OR abs(score) < 1e6 ORDER BY sku LIMIT 1)`,
        'DELETE FROM orders WHERE ctid = (SELECT ctid FROM orders LIMIT 1)',
        `INSERT INTO customers (id, name) VALUES ('ffffffff-ffff-4fff-8fff-ffffffffffff', 'nobody')`,
      ];
      for (const statement of doctored) expect((await postgres.query(statement)).rowCount).toBe(1);
      expect(await counts()).toEqual({
        verdict: 'DRIFT',
        tables: {
          'shop.orders': { ...none, missing: 1 },
          'shop.sessions': none,
          'shop.products': { ...none, differing: 1 },
          'shop.customers': { ...none, extra: 1 },
        },
      });
    });

    it('sees a ledger segment that is gone, a replayed change and a dead letter that are gone', async () => {
      const before = await prove(subject, { recheckLimitMs: 0 });
      await postgres.query(
        `DELETE FROM _cdc_ledger WHERE (topic, partition, from_offset) IN
           (SELECT topic, partition, from_offset FROM _cdc_ledger WHERE topic LIKE '%orders' ORDER BY from_offset DESC LIMIT 1)`,
      );
      // What a window has replayed is in no topic: the changelog alone tells of it.
      expect((await postgres.query(`DELETE FROM _cdc_ledger WHERE origin = 'replay'`)).rowCount).toBeGreaterThan(0);
      await postgres.query('DELETE FROM _cdc_dead_letters');
      const after = await prove(subject, { recheckLimitMs: 0 });
      const failed = ({ checks }: typeof after) => checks.flatMap(({ name, ok }) => (ok ? [] : [name]));
      expect(failed(after)).toEqual(
        expect.arrayContaining([
          'every offset is in exactly one ledger segment',
          'exactly the records that are no events were set aside',
          'the ledger holds every change of the changelog',
        ]),
      );
      // The agent, started again, sends records again that nobody has read: of offsets nothing is said here.
      expect(failed(before)).not.toContain('exactly the records that are no events were set aside');
      expect(failed(before)).not.toContain('the ledger holds every change of the changelog');
    });
  });

  it.each([
    ['SIGINT', 1],
    ['SIGKILL', null],
  ] as const)(
    'leaves nothing running after %s',
    async (signal, code) => {
      const { child, said } = startDemo(['--seconds', '60', '--json']);
      while (!said().err.includes('writing 400 changes/s')) {
        expect(child.exitCode, said().err).toBeNull();
        await delay(50);
      }
      expect((await processesOfDemo()).length).toBeGreaterThan(4);
      child.kill(signal);
      await once(child, 'close');
      expect(child.exitCode).toBe(code);
      expect(await awaitNoProcess(20_000)).toEqual([]);
    },
    DEMO_LIMIT_MS,
  );
});
