/** `lockstep run` while what it leans on goes away and comes back: nothing lost, and readiness tells the truth. */
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { eventually, ServiceStage, stageTable } from '../support/service-stage.ts';

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
  it.each(['kafka', 'postgres'] as const)('%s: nothing is lost, and readiness says so', async (part) => {
    const table = stageTable(`lost_${part}`);
    await stage.createTarget(table);
    await stage.createTopic(table.table.topic, 2);
    const member = await stage.member([table]);
    await member.service.start();
    await member.service.waitUntilReady();
    await stage.write(table, ids(0, 200), 'before');
    await eventually('the first rows', async () => ((await stage.count(table, 'before')) === 200 ? true : undefined));

    if (part === 'postgres') {
      await stage.stack.stopPart(part, 'SIGKILL');
      await stage.write(table, ids(0, 400), 'after');
    } else {
      // On its way when the broker dies.
      await stage.write(table, ids(0, 400), 'after');
      await stage.stack.stopPart(part, 'SIGKILL');
    }
    const { reasons } = await eventually('readiness to notice', async () => {
      const answer = await member.ready();
      return answer.status === 'not_ready' && answer.reasons.join().includes(part) ? answer : undefined;
    });
    expect(reasons.join()).toContain(part);

    await stage.stack.startPart(part);
    await eventually('all rows', async () => ((await stage.count(table, 'after')) === 400 ? true : undefined));
    await eventually('readiness', async () => ((await member.ready()).status === 'ready' ? true : undefined));
    const [letters] = await stage.sql<{ n: string }>('SELECT count(*) AS n FROM _cdc_dead_letters WHERE topic = $1', [
      table.table.topic,
    ]);
    expect(letters).toEqual({ n: '0' });
    expect(member.service.hasDied).toBe(false);
  });
});

describe('PostgreSQL refuses', () => {
  it('a storm of deadlocks and a revoked privilege: no dead letter, no loss, and readiness tells the truth', async () => {
    const table = stageTable('refused');
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
    await stage.sql('CREATE SCHEMA refused AUTHORIZATION applier');
    const postgres = { url: url.href, controlSchema: 'refused' };
    const member = await stage.member([table], { target: { postgres } });
    await member.service.start();
    await member.service.waitUntilReady();
    await stage.write(table, ids(0, 50), 'first');
    await eventually('the first rows', async () => ((await stage.count(table, 'first')) === 50 ? true : undefined));

    // Somebody else's transactions take the rows in the other order, one at a time, until the door has met one.
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
      await stage.write(table, ids(0, 50), `storm${round}`);
      return (await deadlocks()) >= before + 3 ? true : undefined;
    });
    const metrics = await (await fetch(`http://127.0.0.1:${member.apiPort}/metrics`)).text();
    expect(metrics).toMatch(/cdc_retries_total\{kind="PG_40P01"\} [1-9]/);
    storming.abort();
    await storm;
    await eventually('the last of the storm', async () =>
      (await stage.count(table, `storm${round}`)) === 50 ? true : undefined,
    );

    await stage.sql(`REVOKE UPDATE, INSERT ON ${targetTable} FROM applier`);
    await stage.write(table, ids(0, 50), 'revoked');
    const { reasons } = await eventually('readiness to tell', async () => {
      const answer = await member.ready();
      return answer.reasons.join().includes('PG_42501') ? answer : undefined;
    });
    expect(reasons.join()).toContain('permission denied');
    await stage.sql(`GRANT UPDATE, INSERT ON ${targetTable} TO applier`);
    expect((await stage.lockstep(member, 'shards', 'resume', '--topic', topic)).code).toBe(0);
    await eventually('all rows', async () => ((await stage.count(table, 'revoked')) === 50 ? true : undefined));
    await eventually('readiness', async () => ((await member.ready()).status === 'ready' ? true : undefined));
    expect(await stage.sql('SELECT * FROM refused._cdc_dead_letters')).toEqual([]);
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
