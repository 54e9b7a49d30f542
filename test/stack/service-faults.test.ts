/** `lockstep run` while what it leans on goes away and comes back: nothing lost, and readiness tells the truth. */
import { setTimeout as delay } from 'node:timers/promises';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { eventually, ServiceStage, stageTable, type Member } from '../support/service-stage.ts';
import { expectAlerts, READER, toldBy, whenWell } from '../support/told.ts';

let stage: ServiceStage;
beforeAll(async () => {
  stage = await ServiceStage.open();
});
afterEach(() => stage.stopMembers());
afterAll(() => stage.close());

const ids = (from: number, to: number): number[] => Array.from({ length: to - from }, (_, i) => from + i);

describe('what no waiting mends ends the start with exit code 78, before anything is consumed', () => {
  it.each([
    [
      'a topic that does not exist',
      'no_topic',
      null,
      /tables: shop\.no_topic: topic: .*stage\.shop\.no_topic.*TOPIC_MISSING/,
    ],
    [
      'a compacted topic',
      'compacted',
      [{ name: 'cleanup.policy', value: 'compact' }],
      /tables: shop\.compacted: topic: .*compacted.*TOPIC_COMPACTED/,
    ],
  ] as const)('%s', async (_what, name, config, message) => {
    const table = stageTable(name);
    await stage.createTarget(table);
    if (config !== null) await stage.createTopic(table.table.topic, 1, config);
    const { service } = await stage.member([table]);
    const { code, log } = await service.runToEnd();
    expect(code).toBe(78);
    expect(log).toMatch(message);
    expect(log).toMatch(/remedy/);
  });
});

describe('a system that goes away while running', () => {
  it('Kafka: nothing is lost, and readiness says so', async () => {
    const table = stageTable('lost_kafka');
    await stage.createTarget(table);
    await stage.createTopic(table.table.topic, 2);
    const member = await stage.member([table]);
    await member.service.start();
    await member.service.waitUntilReady();
    await stage.write(table, ids(0, 200), 'before');
    await eventually('the first rows', async () => ((await stage.count(table, 'before')) === 200 ? true : undefined));

    // On its way when the broker dies.
    await stage.write(table, ids(0, 400), 'after');
    await stage.stack.stopPart('kafka', 'SIGKILL');
    const { reasons } = await eventually('readiness to notice', async () => {
      const answer = await member.ready();
      return answer.status === 'not_ready' && answer.reasons.join().includes('kafka') ? answer : undefined;
    });
    expect(reasons.join()).toContain('kafka');
    const { code, stderr } = await stage.lockstep(member, 'shards', 'reset', '--topic', table.table.topic);
    expect([code, stderr]).toEqual([1, expect.stringContaining('KAFKA_UNREACHABLE')]);
    expect(stderr).toContain(stage.stack.endpoints().kafka.brokers.join(', '));

    await stage.stack.startPart('kafka');
    await eventually('all rows', async () => ((await stage.count(table, 'after')) === 400 ? true : undefined));
    await eventually('readiness', async () => ((await member.ready()).status === 'ready' ? true : undefined));
    const [letters] = await stage.sql<{ n: string }>('SELECT count(*) AS n FROM _cdc_dead_letters WHERE topic = $1', [
      table.table.topic,
    ]);
    expect(letters).toEqual({ n: '0' });
    expect(member.service.hasDied).toBe(false);
  });
});

/** How long PostgreSQL is away; the minute by `LOCKSTEP_OUTAGE_SECONDS=60`. */
const OUTAGE_MS = Number(process.env['LOCKSTEP_OUTAGE_SECONDS'] ?? 15) * 1000;

async function expectWell(member: Member): Promise<void> {
  const told = await whenWell(stage, member);
  expect(told.metrics).not.toMatch(/cdc_dead_letters_total\{.*\} [1-9]/);
  expectAlerts(told);
}

describe('PostgreSQL away, then full of deadlocks, then forbidding', () => {
  it('no dead letter and no loss; readiness, status, metrics, alerts and commands tell the truth', async () => {
    const table = stageTable('faulty');
    const { topic, targetTable } = table.table;
    await stage.createTarget(table);
    await stage.createTopic(topic, 1);
    await stage.sql(`CREATE ROLE applier LOGIN PASSWORD 'applier'`);
    await stage.sql('GRANT ALL ON SCHEMA public TO applier');
    await stage.sql('GRANT ALL ON ALL TABLES IN SCHEMA public TO applier');
    const url = new URL(stage.stack.endpoints().postgres.url);
    url.username = 'applier';
    url.password = 'applier';
    // Control tables of its own: those of other tests are not the role's.
    await stage.sql('CREATE SCHEMA faulty AUTHORIZATION applier');
    const postgres = { url: url.href, controlSchema: 'faulty' };
    const member = await stage.member([table], { target: { postgres }, api: { tokens: [READER] } });
    await member.service.start();
    await member.service.waitUntilReady();
    // As a live source writes: staleness is told of by the age of what was written.
    stage.writeFrom(Date.now());
    let written = 0;
    const write = async (of: readonly number[], value: string): Promise<void> => {
      await stage.write(table, of, value);
      written += of.length;
    };
    await write(ids(0, 50), 'first');
    await eventually('the first rows', async () => ((await stage.count(table, 'first')) === 50 ? true : undefined));
    await expectWell(member);

    // Away, for real.
    const awayMs = performance.now();
    await stage.stack.stopPart('postgres', 'SIGKILL');
    await write(ids(0, 200), 'away');
    const away = await eventually('readiness to notice', async () => {
      const told = await toldBy(stage, member);
      return told.reasons.includes('postgres is down') && told.metrics.includes('state="retrying"} 1')
        ? told
        : undefined;
    });
    expect(away).toMatchObject({ status: 'not_ready', postgres: { state: 'down' }, table: { stopped_shards: 0 } });
    expect(away.postgres.reason).toBeTruthy();
    expect(away.metrics).toContain('cdc_dependency_up{dependency="postgres"} 0');
    expect(away.metrics).toMatch(/cdc_retries_total\{kind="PG_\w+"\} [1-9]/);
    expectAlerts(away, 'CdcDependencyDown', 'CdcShardRetrying');
    for (const command of ['list', 'redrive']) {
      const { code, stderr } = await stage.lockstep(member, 'dlq', command);
      expect([command, code]).toEqual([command, 1]);
      expect(stderr).toContain(`PostgreSQL at postgres://applier:***@${url.host}`);
    }
    while (performance.now() - awayMs < OUTAGE_MS) {
      await write(ids(0, 200), 'away');
      expect((await member.ready()).status).toBe('not_ready');
      await delay(Math.min(1_000, OUTAGE_MS));
    }
    await stage.stack.startPart('postgres');
    await eventually('what came meanwhile', async () =>
      (await stage.count(table, 'away')) === 200 ? true : undefined,
    );
    await expectWell(member);

    // Somebody else's transactions take the rows in the other order, one at a time, until the door has met some.
    const deadlocks = async (): Promise<number> => {
      const [row] = await stage.sql<{ n: string }>(
        'SELECT deadlocks AS n FROM pg_stat_database WHERE datname = current_database()',
      );
      return Number(row?.n);
    };
    const before = await deadlocks();
    const storming = new AbortController();
    const storm = (async () => {
      const client = await stage.session();
      // Whoever asks first is the victim: mostly the door, which waits for us from the start.
      await client.query(`SET deadlock_timeout = '10s'`);
      while (!storming.signal.aborted) {
        await client.query('BEGIN');
        try {
          for (let id = 49; id >= 0; id -= 1) {
            await client.query(`UPDATE ${targetTable} SET v = v WHERE id = $1`, [id]);
          }
        } catch {
          // Its victim this time.
        }
        await client.query('ROLLBACK');
      }
      await client.end();
    })();
    let round = 0;
    await eventually('deadlocks', async () => {
      round += 1;
      await write(ids(0, 50), `storm${round}`);
      return (await deadlocks()) >= before + 3 ? true : undefined;
    });
    const stormy = await toldBy(stage, member);
    expect(stormy.metrics).toMatch(/cdc_retries_total\{kind="PG_40P01"\} [1-9]/);
    // A deadlock is retried: nothing is down and nothing has stopped.
    expect(stormy).toMatchObject({ status: 'ready', postgres: { state: 'up' }, table: { stopped_shards: 0 } });
    storming.abort();
    await storm;
    await eventually('the last of the storm', async () =>
      (await stage.count(table, `storm${round}`)) === 50 ? true : undefined,
    );
    await expectWell(member);

    await stage.sql(`REVOKE UPDATE, INSERT ON ${targetTable} FROM applier`);
    await write(ids(0, 50), 'revoked');
    const revoked = await eventually('readiness to tell', async () => {
      const told = await toldBy(stage, member);
      return told.reasons.includes('PG_42501') ? told : undefined;
    });
    expect(revoked.reasons).toContain('permission denied');
    expect(revoked).toMatchObject({ status: 'not_ready', postgres: { state: 'up' }, table: { stopped_shards: 1 } });
    expect(revoked.metrics).toContain(`cdc_shard_state{topic="${topic}",partition="0",state="PG_42501"} 1`);
    expectAlerts(revoked, 'CdcShardStopped');
    const listed = await stage.lockstep(member, 'shards', 'list');
    expect(listed.code).toBe(1);
    expect(listed.stdout).toMatch(/faulty\/0 is PG_42501 since .*permission denied/);
    await stage.sql(`GRANT UPDATE, INSERT ON ${targetTable} TO applier`);
    expect((await stage.lockstep(member, 'shards', 'resume', '--topic', topic)).code).toBe(0);
    await eventually('all rows', async () => ((await stage.count(table, 'revoked')) === 50 ? true : undefined));
    await expectWell(member);

    expect(await stage.sql('SELECT * FROM faulty._cdc_dead_letters')).toEqual([]);
    // Every record that was written has an outcome, and no offset was passed over.
    const [account] = await stage.sql<{ next: string; counted: string; gaps: string }>(
      `SELECT (SELECT sum(next_offset) FROM faulty._cdc_offsets) AS next, (SELECT count(*) FROM faulty._cdc_gaps) AS gaps,
         (SELECT sum(next_offset - from_offset) FROM faulty._cdc_ledger WHERE origin = 'stream') AS counted`,
    );
    expect(account).toEqual({ next: String(written), counted: String(written), gaps: '0' });
    const [rows] = await stage.sql<{ n: string; newest: string }>(
      `SELECT count(*) AS n, count(*) FILTER (WHERE v = CASE WHEN id < 50 THEN 'revoked-' ELSE 'away-' END || id) AS newest
       FROM ${targetTable}`,
    );
    expect(rows).toEqual({ n: '200', newest: '200' });
  });
});

describe('two members of one group', () => {
  it('one is killed: the other takes its partitions over, nothing is lost', async () => {
    const table = stageTable('shared');
    await stage.createTarget(table);
    await stage.createTopic(table.table.topic, 4);
    const [one, two] = [await stage.member([table]), await stage.member([table])];
    await Promise.all([one.service.start(), two.service.start()]);
    await Promise.all([one.service.waitUntilReady(), two.service.waitUntilReady()]);
    await eventually('both to own partitions', async () => {
      const owners = await stage.sql<{ n: string }>(
        'SELECT count(DISTINCT owner) AS n FROM _cdc_offsets WHERE topic = $1',
        [table.table.topic],
      );
      return owners[0]?.n === '2' ? true : undefined;
    });
    await stage.write(table, ids(0, 500), 'one');
    await one.service.crash();
    await stage.write(table, ids(0, 500), 'two');
    await eventually('all rows', async () => ((await stage.count(table, 'two')) === 500 ? true : undefined));
    const [position] = await stage.sql<{ n: string }>(
      'SELECT sum(next_offset) AS n FROM _cdc_offsets WHERE topic = $1',
      [table.table.topic],
    );
    expect(position).toEqual({ n: '1000' });
  });
});

describe('signals', () => {
  it('SIGTERM waits for the transaction in flight, a second one does not', async () => {
    const table = stageTable('signals');
    await stage.createTarget(table);
    await stage.createTopic(table.table.topic, 1);
    const { service } = await stage.member([table]);
    await service.start();
    await service.waitUntilReady();

    const blocker = await stage.session();
    await blocker.query('BEGIN');
    await blocker.query(`LOCK TABLE ${table.table.targetTable} IN ACCESS EXCLUSIVE MODE`);
    await stage.write(table, [1], 'blocked');
    await eventually('the batch to wait for the lock', async () => {
      const waiting = await stage.sql(`SELECT 1 FROM pg_stat_activity WHERE wait_event_type = 'Lock'`);
      return waiting.length > 0 ? true : undefined;
    });
    const ended = service.signal('SIGTERM');
    await eventually('the drain to begin', async () => ((await service.log()).includes('stopping') ? true : undefined));
    expect(service.pid).not.toBeNull();
    void service.signal('SIGTERM');
    expect(await ended).toEqual({ code: 143, signal: null });
    await blocker.end();

    await service.start();
    await eventually('the row', async () => ((await stage.count(table, 'blocked')) === 1 ? true : undefined));
    expect(await service.signal('SIGTERM')).toEqual({ code: 0, signal: null });
  });
});
