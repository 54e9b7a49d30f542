/** What operators do with shards, through the command line, while a member runs. */
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

async function shards(member: Member, topic: string) {
  const { stdout, code } = await stage.lockstep(member, 'shards', 'list', '--topic', topic, '--json');
  const { shards: list } = JSON.parse(stdout) as {
    shards: { partition: number; incarnation: number; state: string; next_offset: string; owner: string | null }[];
  };
  return { list, code };
}

describe('a topic that was deleted and created again', () => {
  it('stops its shards; nothing is skipped or applied until somebody accepts it, then all of it is', async () => {
    const table = stageTable('recreated');
    const { topic } = table.table;
    await stage.createTarget(table);
    await stage.createTopic(topic, 2);
    const member = await stage.member([table]);
    await member.service.start();
    await member.service.waitUntilReady();
    await stage.write(table, ids(0, 40), 'old');
    await eventually('the old records', async () => ((await stage.count(table, 'old')) === 40 ? true : undefined));
    const before = await shards(member, topic);
    expect(before).toMatchObject({ code: 0, list: [{ state: 'running', incarnation: 1 }, { state: 'running' }] });
    // Nobody resets what runs.
    expect((await stage.lockstep(member, 'shards', 'reset', '--topic', topic)).code).toBe(2);
    await member.service.stop();

    const admin = stage.kafka.admin();
    await admin.connect();
    await admin.deleteTopics({ topics: [topic] });
    await eventually('the topic to be gone', async () =>
      (await admin.listTopics()).includes(topic) ? undefined : true,
    );
    await eventually('the topic to be back', () => stage.createTopic(topic, 2).then(() => true as const));
    await admin.disconnect();
    // As many records and more in each partition, so that old positions point into the middle of the new log.
    await stage.write(table, ids(0, 200), 'new');
    await member.service.start();
    await eventually('both shards to stop', async () => {
      const { list } = await shards(member, topic);
      return list.every(({ state }) => state === 'TOPIC_RECREATED') ? true : undefined;
    });
    expect(await stage.count(table, 'new')).toBe(0);
    expect((await shards(member, topic)).code).toBe(1);

    const reset = await stage.lockstep(member, 'shards', 'reset', '--topic', topic, '--json');
    expect(reset.code).toBe(0);
    expect(JSON.parse(reset.stdout)).toEqual({ topic, incarnation: 2 });
    await eventually('all records of the new topic', async () =>
      (await stage.count(table, 'new')) === 200 ? true : undefined,
    );
    expect((await shards(member, topic)).list).toMatchObject([
      { state: 'running', incarnation: 2 },
      { state: 'running', incarnation: 2 },
    ]);
  });
});

describe('a stopped shard', () => {
  it('goes on within seconds after lockstep shards resume, and the ledger says what became of its changes', async () => {
    const table = stageTable('resumed');
    const { topic, targetTable } = table.table;
    await stage.createTarget(table);
    await stage.createTopic(topic, 1);
    const member = await stage.member([table]);
    await member.service.start();
    await member.service.waitUntilReady();
    await stage.sql(`ALTER TABLE ${targetTable} RENAME TO elsewhere`);
    await stage.write(table, ids(0, 10), 'late');
    await eventually('the shard to stop', async () => {
      const { list } = await shards(member, topic);
      return list[0]?.state === 'running' ? undefined : true;
    });
    await stage.sql(`ALTER TABLE elsewhere RENAME TO ${targetTable}`);
    const asked = await stage.lockstep(member, 'shards', 'resume', '--topic', topic, '--json');
    expect(JSON.parse(asked.stdout)).toEqual({ topic, asked: 1 });
    // Its own probe comes after 30 s.
    await eventually('the rows', async () => ((await stage.count(table, 'late')) === 10 ? true : undefined), 20_000);

    const [segment] = await stage.sql<{ id: string }>(
      `SELECT encode(substr(ids, 1, 16), 'hex') AS id FROM _cdc_ledger WHERE topic = $1 AND processed > 0 LIMIT 1`,
      [topic],
    );
    const found = await stage.lockstep(member, 'ledger', 'find', segment?.id ?? '', '--json');
    expect(found.code).toBe(0);
    expect(JSON.parse(found.stdout)).toMatchObject({
      found: true,
      segments: [{ table: table.table.name, outcome: 'processed', origin: 'stream', topic, partition: 0 }],
    });
    const unknown = await stage.lockstep(member, 'ledger', 'find', 'f'.repeat(32), '--json');
    expect([unknown.code, JSON.parse(unknown.stdout)]).toMatchObject([1, { found: false, segments: [] }]);
  });
});

describe('a shard of which most records fail', () => {
  it('opens its breaker, says so everywhere, and goes on by itself when a probe finds the cause gone', async () => {
    const table = stageTable('refusing');
    const { topic, targetTable } = table.table;
    await stage.createTarget(table);
    await stage.createTopic(topic, 1);
    const member = await stage.member([table], { api: { tokens: [READER] } });
    await member.service.start();
    await member.service.waitUntilReady();
    stage.writeFrom(Date.now());
    await stage.write(table, ids(0, 100), 'before');
    await eventually('the first rows', async () => ((await stage.count(table, 'before')) === 100 ? true : undefined));

    // Somebody's migration of the target, and records that are as good as ever.
    await stage.sql(`ALTER TABLE ${targetTable} ADD CONSTRAINT mistaken CHECK (v LIKE 'before-%') NOT VALID`);
    await stage.write(table, ids(0, 1_000), 'after');
    const open = await eventually('the breaker to open', async () => {
      const told = await toldBy(stage, member);
      return told.reasons.includes('DEAD_LETTER_BREAKER_OPEN') ? told : undefined;
    });
    expect(open).toMatchObject({ status: 'not_ready', postgres: { state: 'up' } });
    expect(open.reasons).toContain('PG_23514');
    expect(open.table).toMatchObject({
      stopped_shards: 1,
      breakers: [{ state: 'open', partition: 0, share: expect.closeTo(0.5, 1) as number }],
    });
    const shard = `topic="${topic}",partition="0"`;
    expect(open.metrics).toContain(`cdc_dead_letter_breaker_state{${shard},state="open"} 1`);
    expect(open.metrics).toContain(`cdc_shard_state{${shard},state="DEAD_LETTER_BREAKER_OPEN"} 1`);
    expectAlerts(open, 'CdcDeadLetterBreakerOpen', 'CdcShardStopped');
    const listed = await stage.lockstep(member, 'shards', 'list', '--topic', topic);
    expect([listed.code, listed.stdout]).toEqual([1, expect.stringContaining('DEAD_LETTER_BREAKER_OPEN')]);

    // Stopped is stopped: nothing more is set aside, whatever comes.
    const setAside = async () => {
      const { stdout } = await stage.lockstep(member, 'dlq', 'list', '--table', table.table.name, '--json');
      return (JSON.parse(stdout) as { total: number }).total;
    };
    const before = await setAside();
    // It is asked before anything is produced; of smaller batches some went by until half had failed.
    expect(before).toBeLessThanOrEqual(150);
    await stage.write(table, ids(0, 100), 'later');
    await stage.sql(`ALTER TABLE ${targetTable} DROP CONSTRAINT mistaken`);
    // Nobody resumes it: its own probe does, within half a minute.
    await eventually('all rows', async () => ((await stage.count(table, 'later')) === 100 ? true : undefined));
    const well = await whenWell(stage, member);
    expect(well.metrics).toContain(`cdc_dead_letter_breaker_state{${shard},state="closed"} 1`);
    expect(await setAside()).toBe(before);
    const redriven = await stage.lockstep(member, 'dlq', 'redrive', '--table', table.table.name, '--json');
    expect([redriven.code, JSON.parse(redriven.stdout)]).toMatchObject([0, { total: before, counts: { failed: 0 } }]);
    expect(await stage.count(table, 'after')).toBe(900);
  });
});
