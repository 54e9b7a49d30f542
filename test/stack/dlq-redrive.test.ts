/** Dead letters from the first failure to the redrive, through the command line, on a real Kafka and PostgreSQL. */
import { once } from 'node:events';
import { writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { cell, eventRecord } from '../fixtures/debezium-cassandra/events.ts';
import { eventually, ServiceStage, stageTable, type Member, type StageTable } from '../support/service-stage.ts';

let stage: ServiceStage;
beforeAll(async () => {
  stage = await ServiceStage.open();
});
afterEach(() => stage.stopMembers());
afterAll(() => stage.close());

const ids = (from: number, to: number): number[] => Array.from({ length: to - from }, (_, i) => from + i);

const TOKENS = [
  { name: 'reader', token: 'reader-token-0123456789abcdef', scopes: ['read'] },
  { name: 'operator', token: 'operator-token-0123456789abcdef', scopes: ['read', 'operate'] },
];

interface Redriven {
  readonly job_id: string;
  readonly status: string;
  readonly total: number;
  readonly counts: Readonly<Record<string, number>>;
  readonly failures: Readonly<Record<string, number>>;
}

async function redrive(
  member: Member,
  ...args: readonly string[]
): Promise<Redriven & { readonly code: number | null }> {
  const { code, stdout, stderr } = await stage.lockstep(member, 'dlq', 'redrive', '--json', ...args);
  if (stdout === '') throw new Error(stderr);
  return { code, ...(JSON.parse(stdout) as Redriven) };
}

async function letters(member: Member, ...args: readonly string[]) {
  const { stdout } = await stage.lockstep(member, 'dlq', 'list', '--json', ...args);
  return JSON.parse(stdout) as {
    total: number;
    records: { id: string; code: string; offset: string; status: string; attempts: number }[];
  };
}

describe('dead letters', () => {
  it('are listed, understood, predicted and redriven by range; a killed redrive goes on where it was', async () => {
    const table = stageTable('redriven');
    const { topic, targetTable } = table.table;
    await stage.createTarget(table);
    await stage.sql(`ALTER TABLE ${targetTable} ADD CONSTRAINT short CHECK (length(v) < 12)`);
    await stage.createTopic(topic, 1);
    const member = await stage.member([table], {
      deadLetter: { breaker: { maxRatio: 1, minRecords: 100_000 } },
      tables: [{ ...table.mapping, columns: { v: { sensitive: true } } }],
      api: { tokens: TOKENS },
    });
    await member.service.start();
    await member.service.waitUntilReady();

    await stage.write(table, ids(0, 100), 'good');
    // Offsets 100…139 break the rule; 140…144 are no events; two of the guilty rows are written again, well.
    await stage.write(table, ids(200, 240), 'far-too-long');
    await stage.producer.send({ topic, messages: ids(0, 5).map(() => ({ key: 'x', value: 'no json' })) });
    await eventually('the letters', async () => {
      const { total } = await letters(member);
      if (total === 45) return true;
      throw new Error(`${total} letters`);
    });
    // Not before: in one batch with what they replace they would stand for both.
    await stage.write(table, [200, 201], 'newer');
    await eventually('the newer rows', async () => ((await stage.count(table, 'newer')) === 2 ? true : undefined));
    expect(await stage.count(table, 'good')).toBe(100);

    const byCode = Map.groupBy((await letters(member, '--limit', '1000')).records, ({ code }) => code);
    expect(new Map([...byCode].map(([code, list]) => [code, list.length]))).toEqual(
      new Map([
        ['NOT_JSON', 5],
        ['PG_23514', 40],
      ]),
    );
    const [sample] = (await letters(member, '--code', 'PG_23514', '--limit', '1')).records;
    const shown = await stage.lockstep(member, 'dlq', 'show', sample?.id ?? '', '--json');
    expect(JSON.parse(shown.stdout)).toMatchObject({
      code: 'PG_23514',
      payload_encoding: 'json',
      offset: sample?.offset,
    });
    // The value column is sensitive: masked for a person who does not ask for it, wherever it stands.
    for (const args of [['show', sample?.id ?? ''], ['list'], ['stats', '--samples']]) {
      const { code, stdout: text } = await stage.lockstep(member, 'dlq', ...args);
      expect([args, code]).toEqual([args, 0]);
      expect(text).not.toContain('far-too-long');
    }
    expect((await stage.lockstep(member, 'dlq', 'show', sample?.id ?? '', '--unmask')).stdout).toContain(
      'far-too-long',
    );
    const stats = JSON.parse((await stage.lockstep(member, 'dlq', 'stats', '--json')).stdout) as {
      total: number;
      histogram: { code: string; count: number }[];
    };
    expect(stats.total).toBe(45);
    const counted = Map.groupBy(stats.histogram, ({ code }) => code);
    const sum = (code: string) => counted.get(code)?.reduce((all, { count }) => all + count, 0);
    expect([sum('PG_23514'), sum('NOT_JSON')]).toEqual([40, 5]);

    const range = ['--source-offsets', `${topic}:0:100-139`];
    const hopeless = await redrive(member, ...range, '--dry-run');
    expect(hopeless).toMatchObject({
      code: 1,
      total: 40,
      counts: { failed: 38, superseded: 2 },
      failures: { PG_23514: 38 },
    });
    expect((await letters(member, '--status', 'redriven')).total).toBe(0);

    await stage.sql(`ALTER TABLE ${targetTable} DROP CONSTRAINT short`);
    const predicted = await redrive(member, ...range, '--dry-run');
    expect(predicted).toMatchObject({
      code: 0,
      status: 'COMPLETED',
      counts: { applied: 38, superseded: 2, failed: 0 },
    });
    expect(await stage.count(table, 'far-too-long')).toBe(0);

    // Killed half-way: what committed stays, and nothing is done twice.
    const killed = stage.begin(member, 'dlq', 'redrive', ...range, '--rate', '20');
    const job = await eventually('a part to be redriven', async () => {
      const [row] = await stage.sql<{ id: string; cursor: string }>(
        `SELECT id, cursor FROM _cdc_jobs WHERE status = 'RUNNING' AND cursor > 0 ORDER BY started_at DESC LIMIT 1`,
      );
      return row;
    });
    const gone = once(killed, 'exit');
    killed.kill('SIGKILL');
    await gone;
    const before = (await letters(member, '--status', 'redriven')).total;
    // Nobody may take over a job that somebody works on.
    expect((await stage.lockstep(member, 'dlq', 'redrive', '--resume', job.id)).code).toBe(2);
    await stage.sql(`UPDATE _cdc_jobs SET heartbeat_at = now() - interval '1 minute' WHERE id = $1`, [job.id]);
    const resumed = await redrive(member, '--resume', job.id);
    expect(resumed).toMatchObject({
      code: 0,
      status: 'COMPLETED',
      total: 40,
      counts: { applied: 38, superseded: 2, failed: 0 },
    });
    expect(before).toBeLessThanOrEqual(40);
    expect(await stage.count(table, 'far-too-long')).toBe(38);
    expect(await stage.count(table, 'newer')).toBe(2);

    const attempts = await stage.sql<{ n: string; letters: string }>(
      'SELECT count(*) AS n, count(DISTINCT letter_id) AS letters FROM _cdc_dead_letter_attempts',
    );
    expect(attempts).toEqual([{ n: '40', letters: '40' }]);

    // The same over HTTP: masked for those who only look, and a job that is followed.
    const one = await stage.http(member, 'reader', `/dlq/records/${sample?.id ?? ''}`);
    expect(one).toMatchObject({ status: 200, body: { status: 'redriven', history: [{ job_id: job.id }] } });
    expect(JSON.stringify(one.body)).not.toContain('far-too-long-2');
    expect(JSON.stringify((await stage.http(member, 'operator', `/dlq/records/${sample?.id ?? ''}`)).body)).toContain(
      'far-too-long',
    );
    const filter = `?source_offsets=${topic}:0:100-139&status=redriven&limit=1`;
    expect(await stage.http(member, 'reader', `/dlq/records${filter}`)).toMatchObject({
      status: 200,
      body: { total: 40, limit: 1 },
    });
    expect((await stage.http(member, 'reader', '/dlq/redrive', { filter: {} })).status).toBe(403);
    const begun = await stage.http(member, 'operator', '/dlq/redrive', { filter: { code: 'NOT_JSON' }, dry_run: true });
    expect(begun).toMatchObject({ status: 202, body: { status: 'RUNNING', total: 5, dry_run: true } });
    const { job_id: jobId } = begun.body as { job_id: string };
    const ended = await eventually('the job to end', async () => {
      const { body } = await stage.http(member, 'reader', `/jobs/${jobId}`);
      return (body as { status: string }).status === 'RUNNING' ? undefined : body;
    });
    expect(ended).toMatchObject({ status: 'COMPLETED', counts: { failed: 5 }, failures: { NOT_JSON: 5 } });

    // What fails again is the same letter with one more attempt.
    expect(await redrive(member, '--code', 'NOT_JSON')).toMatchObject({ code: 1, counts: { failed: 5 } });
    const again = await letters(member, '--code', 'NOT_JSON');
    expect(again.records.map(({ attempts: tries, status }) => [tries, status])).toEqual(
      ids(0, 5).map(() => [2, 'pending']),
    );

    // Nobody can mend them: they are left for good, one by command and the others over HTTP.
    const why = 'the producer tried something out';
    expect((await stage.lockstep(member, 'dlq', 'discard', '--why', why)).code).toBe(2);
    const left = await stage.lockstep(member, 'dlq', 'discard', '--id', again.records[0]?.id ?? '', '--why', why);
    expect(left).toMatchObject({ code: 0, stdout: '1 open letter discarded\n' });
    const others = { filter: { code: 'NOT_JSON' }, why };
    expect((await stage.http(member, 'reader', '/dlq/discard', others)).status).toBe(403);
    expect(await stage.http(member, 'operator', '/dlq/discard', { filter: {}, why })).toMatchObject({
      status: 400,
      body: { code: 'LETTERS_UNNAMED' },
    });
    expect(await stage.http(member, 'operator', '/dlq/discard', others)).toMatchObject({
      status: 200,
      body: { discarded: 4, dry_run: false },
    });
    expect((await letters(member, '--status', 'pending')).total).toBe(0);
    expect((await letters(member, '--status', 'discarded')).total).toBe(5);
  });

  it('whose bytes are gone everywhere are told of as such', async () => {
    const table = stageTable('forgotten');
    await stage.createTarget(table);
    await stage.createTopic(table.table.topic, 1);
    const member = await stage.member([table], { deadLetter: { topic: 'forgotten.dlq' } });
    await member.service.start();
    await member.service.waitUntilReady();
    await stage.producer.send({ topic: table.table.topic, messages: [{ key: 'x', value: 'no json' }] });
    await eventually('the letter', async () =>
      (await letters(member, '--table', 'shop.forgotten')).total === 1 ? true : undefined,
    );
    const bytes = async () => {
      const { stdout } = await stage.lockstep(member, 'dlq', 'stats', '--json', '--table', 'shop.forgotten');
      return (JSON.parse(stdout) as { bytes: unknown }).bytes;
    };
    const open = { topic: 'forgotten.dlq', records: 1, open: 1, retention_seconds: 30 * 86_400 };
    expect(await bytes()).toMatchObject({ ...open, gone: { count: 0 }, leaving: { count: 0 } });
    await stage.sql(`UPDATE _cdc_dead_letters SET first_failed_at = now() - interval '25 days' WHERE topic = $1`, [
      table.table.topic,
    ]);
    const { records } = await letters(member, '--table', 'shop.forgotten');
    const group = { count: 1, ids: records.map(({ id }) => id) };
    expect(await bytes()).toMatchObject({ ...open, gone: { count: 0 }, leaving: group });
    await stage.sql('UPDATE _cdc_dead_letters SET first_failed_at = last_failed_at WHERE topic = $1', [
      table.table.topic,
    ]);
    // The DLQ topic has expired: the source topic still has the record.
    const admin = stage.kafka.admin();
    await admin.connect();
    await admin.deleteTopicRecords({ topic: 'forgotten.dlq', partitions: await ends('forgotten.dlq') });
    expect(await bytes()).toMatchObject({ open: 1, records: 0, gone: group, leaving: { count: 0 } });
    const doctor = JSON.parse((await stage.lockstep(member, 'doctor', '--json')).stdout) as { checks: unknown[] };
    expect(doctor.checks).toContainEqual(expect.objectContaining({ id: 'dlq.letters', status: 'fault' }));
    expect(await redrive(member, '--table', 'shop.forgotten')).toMatchObject({ failures: { NOT_JSON: 1 } });
    await admin.deleteTopicRecords({ topic: table.table.topic, partitions: await ends(table.table.topic) });
    expect(await redrive(member, '--table', 'shop.forgotten')).toMatchObject({ code: 1, failures: { BYTES_GONE: 1 } });
    await admin.disconnect();

    async function ends(of: string): Promise<{ partition: number; offset: string }[]> {
      const offsets = await admin.fetchTopicOffsets(of);
      return offsets.map(({ partition, high }) => ({ partition, offset: high }));
    }
  });
});

describe('a record that another row may mend', () => {
  it('waits, is applied by itself when that row is there, and never counted', async () => {
    const table = stageTable('child');
    const { topic, targetTable } = table.table;
    await stage.createTarget(table);
    await stage.sql('CREATE TABLE parent (name text PRIMARY KEY)');
    await stage.sql(`ALTER TABLE ${targetTable} ADD FOREIGN KEY (v) REFERENCES parent (name)`);
    await stage.createTopic(topic, 1);
    const member = await stage.member([table], { deadLetter: { waitForOthers: '1m' } });
    await member.service.start();
    await member.service.waitUntilReady();
    await stage.write(table, ids(0, 3), 'early');
    await eventually('the children to wait', async () =>
      (await letters(member, '--table', table.table.name, '--status', 'waiting')).total === 3 ? true : undefined,
    );
    // Its time is over long before the parent of the third would come.
    await stage.sql(
      `UPDATE _cdc_dead_letters SET first_failed_at = now() - interval '1 hour' WHERE topic = $1 AND "offset" = 2`,
      [topic],
    );
    await stage.sql(`INSERT INTO parent VALUES ('early-0'), ('early-1')`);
    await eventually('two children', async () => ((await stage.count(table, 'early')) === 2 ? true : undefined));
    const ended = await eventually('the third to be given up', async () => {
      const { records } = await letters(member, '--table', table.table.name);
      return records.some(({ status }) => status === 'waiting') ? undefined : records;
    });
    expect(ended.map(({ offset, status, code }) => [offset, status, code])).toEqual([
      ['2', 'pending', 'PG_23503'],
      ['1', 'redriven', 'PG_23503'],
      ['0', 'redriven', 'PG_23503'],
    ]);
    const metrics = await (await fetch(`http://127.0.0.1:${member.apiPort}/metrics`)).text();
    expect(metrics).toContain(`cdc_dead_letters_total{table="${table.table.name}",reason="PG_23503"} 1`);
  });
});

describe('rows that are not there yet, or in the way', () => {
  it('a second unique index and an incomplete row wait, and mend themselves when the other record comes', async () => {
    const unique = stageTable('singles');
    const strict = stageTable('complete', 'stage', { w: 'text' });
    for (const table of [unique, strict]) {
      await stage.createTarget(table);
      await stage.createTopic(table.table.topic, 1);
    }
    await stage.sql(`ALTER TABLE ${unique.table.targetTable} ADD CONSTRAINT single UNIQUE (v)`);
    await stage.sql(`ALTER TABLE ${strict.table.targetTable} ALTER v SET NOT NULL`);
    const member = await stage.member([unique, strict], { deadLetter: { waitForOthers: '5m' } });
    await member.service.start();
    await member.service.waitUntilReady();

    // 2 takes the value that 1 still has: 1 gives it up later. The update of 7 overtakes its insert.
    const send = async ({ table }: StageTable, op: string, after: Record<string, string>, tsUs: number) => {
      const { key, value } = eventRecord({ table, op, after, tsUs: 1_700_000_000_000_000 + tsUs });
      await stage.producer.send({ topic: table.topic, messages: [{ key, value }] });
    };
    await send(unique, 'i', { id: cell('1'), v: cell('"taken"') }, 1);
    await send(unique, 'i', { id: cell('2'), v: cell('"taken"') }, 3);
    await send(strict, 'u', { id: cell('7'), w: cell('"later"') }, 2);
    const waiting = await eventually('both to wait', async () => {
      const { total, records } = await letters(member, '--status', 'waiting');
      return total === 2 ? records : undefined;
    });
    expect(waiting.map(({ code }) => code).toSorted()).toEqual(['INCOMPLETE_ROW', 'PG_23505']);

    await send(unique, 'u', { id: cell('1'), v: cell('"free"') }, 2);
    await send(strict, 'i', { id: cell('7'), v: cell('"first"') }, 1);
    await eventually('both to be mended by themselves', async () =>
      (await stage.sql(`SELECT 1 FROM _cdc_dead_letters WHERE status = 'waiting'`)).length === 0 ? true : undefined,
    );
    const { targetTable } = unique.table;
    expect(await stage.sql(`SELECT id, v FROM ${targetTable} ORDER BY id`)).toEqual([
      { id: 1, v: 'free' },
      { id: 2, v: 'taken' },
    ]);
    expect(await stage.sql(`SELECT id, v, w FROM ${strict.table.targetTable}`)).toEqual([
      { id: 7, v: 'first', w: 'later' },
    ]);
    const ended = await stage.sql<{ status: string }>('SELECT status FROM _cdc_dead_letters WHERE topic IN ($1, $2)', [
      unique.table.topic,
      strict.table.topic,
    ]);
    expect(ended).toEqual([{ status: 'redriven' }, { status: 'redriven' }]);
    const metrics = await (await fetch(`http://127.0.0.1:${member.apiPort}/metrics`)).text();
    expect(metrics).not.toMatch(/cdc_dead_letters_total\{/);
  });
});

describe('a letter corrected by hand', () => {
  it('goes through with its original version; who, why, before and after are in the audit log', async () => {
    const table = stageTable('corrected');
    const { topic, targetTable } = table.table;
    await stage.createTarget(table);
    await stage.sql(`ALTER TABLE ${targetTable} ADD CONSTRAINT brief CHECK (length(v) < 12)`);
    await stage.createTopic(topic, 1);
    const member = await stage.member([table]);
    await member.service.start();
    await member.service.waitUntilReady();
    await stage.write(table, [1], 'far-too-long');
    const [letter] = await eventually('the letter', async () => {
      const { records } = await letters(member, '--table', table.table.name);
      return records.length === 1 ? records : undefined;
    });
    const id = letter?.id ?? '';
    const patch = join(dirname(member.configurationFile), 'patch.json');
    await writeFile(patch, JSON.stringify({ 'after.v.value': 'short-1' }));
    const without = await stage.lockstep(member, 'dlq', 'redrive', '--id', id, '--patch', patch);
    expect(without).toMatchObject({ code: 2 });
    expect(without.stderr).toContain('PATCH_INVALID');

    const why = ['--patch', patch, '--why', 'agreed with the owner'];
    expect(await redrive(member, '--id', id, ...why, '--dry-run')).toMatchObject({ code: 0, counts: { applied: 1 } });
    const audit = () => stage.sql<Record<string, unknown>>(`SELECT * FROM _cdc_audit_log WHERE action = 'CUSTOM_FIX'`);
    expect(await audit()).toEqual([]);
    expect(await redrive(member, '--id', id, ...why)).toMatchObject({ code: 0, counts: { applied: 1 } });
    expect(await stage.sql(`SELECT v FROM ${targetTable}`)).toEqual([{ v: 'short-1' }]);
    const [entry] = await audit();
    expect(entry).toMatchObject({ action: 'CUSTOM_FIX', reason: 'agreed with the owner', outcome: 'applied' });
    expect(JSON.stringify(entry?.['before'])).toContain('far-too-long');
    expect(JSON.stringify(entry?.['after'])).toContain('short-1');
  });
});
