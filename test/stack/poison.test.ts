/**
 * 100,000 events, 500 of them poison of 16 kinds, through `lockstep run` on a real Kafka and PostgreSQL: exactly those are
 * set aside with the right codes, the causes are mended, a range is predicted and redriven (killed half-way), and the end
 * is what the source has. What the source has is known: the events are made here, each row's newest write wins.
 */
import { once } from 'node:events';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { cell, eventRecord } from '../fixtures/debezium-cassandra/events.ts';
import { eventually, ServiceStage, stageTable } from '../support/service-stage.ts';

const EVENTS = 100_000;
const POISON = 500;
const ROWS = 40_000;
/** Of records in one produce request: a broker takes 1 MB. */
const CHUNK = 1_000;
const LIMIT_MS = 240_000;

const table = stageTable('poisoned');
const { topic, targetTable } = table.table;

let stage: ServiceStage;
beforeAll(async () => {
  stage = await ServiceStage.open();
});
afterAll(() => stage.close());

interface Poison {
  readonly code: string;
  /** Mended by the DDL below: then it goes through. */
  readonly mends: boolean;
  readonly record: (id: number, tsUs: number) => { key: string | null; value: string | Buffer };
}

const text = (value: string): string => cell(JSON.stringify(value));
const event = (id: number, tsUs: number, v: string, more: object = {}) => {
  const { key, value } = eventRecord({
    table: table.table,
    op: 'i',
    after: { id: cell(String(id)), v },
    tsUs,
    ...more,
  });
  return { key: key?.toString() ?? null, value: value?.toString() ?? '' };
};
const raw =
  (value: string | Buffer): Poison['record'] =>
  (id) => ({ key: `{"id":${id}}`, value });
/** Does not compress: an index entry of it does not fit a page. */
const wide = (id: number): string =>
  Array.from({ length: 12_000 }, (_, i) =>
    String.fromCharCode(33 + (((Math.imul(id + 1, 48_271) ^ Math.imul(i + 7, 69_621)) >>> 7) % 90)),
  ).join('');

const KINDS: readonly Poison[] = [
  { code: 'NOT_JSON', mends: false, record: raw('{"ts_ms":1,"op"') },
  { code: 'NOT_UTF8', mends: false, record: raw(Buffer.from([0x7b, 0xff, 0xfe, 0x7d])) },
  { code: 'NOT_AN_OBJECT', mends: false, record: raw('[1]') },
  { code: 'ENVELOPE_FIELD_MISSING', mends: false, record: raw('{"ts_ms":1}') },
  { code: 'UNKNOWN_OP', mends: false, record: (id, ts) => event(id, ts, text('x'), { op: 'z' }) },
  { code: 'WRONG_TABLE', mends: false, record: (id, ts) => event(id, ts, text('x'), { keyspace: 'other' }) },
  { code: 'NULL_KEY', mends: false, record: (id, ts) => ({ ...event(id, ts, text('x')), key: null }) },
  {
    code: 'KEY_MISMATCH',
    mends: false,
    record: (id, ts) => ({ ...event(id, ts, text('x')), key: `{"id":${id + 1}}` }),
  },
  { code: 'BAD_CELL', mends: false, record: (id, ts) => event(id, ts, '5') },
  { code: 'BAD_VALUE', mends: false, record: (id, ts) => event(id, ts, cell('12')) },
  {
    code: 'UNKNOWN_COLUMN',
    mends: false,
    record: (id, ts) => event(id, ts, text('x'), { after: { id: cell(String(id)), v: text('x'), w: text('y') } }),
  },
  { code: 'TEXT_NUL', mends: false, record: (id, ts) => event(id, ts, text('a\0b')) },
  { code: 'PG_23514', mends: true, record: (id, ts) => event(id, ts, text(`check-${id}`)) },
  { code: 'PG_P0001', mends: true, record: (id, ts) => event(id, ts, text(`raise-${id}`)) },
  { code: 'PG_22012', mends: true, record: (id, ts) => event(id, ts, text(`divide-${id}`)) },
  { code: 'PG_54000', mends: true, record: (id, ts) => event(id, ts, text(wide(id))) },
];

interface Letters {
  readonly total: number;
  readonly records: readonly {
    readonly id: string;
    readonly code: string;
    readonly partition: number;
    readonly offset: string;
    readonly status: string;
    readonly attempts: number;
  }[];
}

it(
  'sets exactly the poison aside; mended and redriven, the end is what the source has',
  async () => {
    await stage.createTarget(table);
    await stage.sql(`ALTER TABLE ${targetTable} ADD CONSTRAINT no_check CHECK (v NOT LIKE 'check-%')`);
    await stage.sql(`CREATE INDEX too_wide ON ${targetTable} (v)`);
    await stage.sql(`CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
      IF NEW.v LIKE 'raise-%' THEN RAISE EXCEPTION 'not this one'; END IF;
      IF NEW.v LIKE 'divide-%' THEN PERFORM 1 / (length(NEW.v) - length(NEW.v)); END IF;
      RETURN NEW; END $$`);
    await stage.sql(
      `CREATE TRIGGER refuse BEFORE INSERT OR UPDATE ON ${targetTable} FOR EACH ROW EXECUTE FUNCTION refuse()`,
    );
    await stage.createTopic(topic, 1);
    const member = await stage.member([table]);
    await member.service.start();
    await member.service.waitUntilReady();

    // What the source ends with: each row's newest write. Poison that can never be read changes nothing there either.
    const expected = new Map<number, string>();
    const poison = new Map<string, Poison>();
    let messages: { key: string | null; value: string | Buffer }[] = [];
    for (let i = 0; i < EVENTS; i += 1) {
      const id = Math.imul(i, 7_919) % ROWS;
      const tsUs = 1_700_000_000_000_000 + i;
      if (i % (EVENTS / POISON) === 50) {
        const kind = KINDS[Math.floor(i / (EVENTS / POISON)) % KINDS.length]!;
        poison.set(String(i), kind);
        const record = kind.record(id, tsUs);
        messages.push(record);
        if (kind.mends) {
          const after = (JSON.parse(String(record.value)) as { after: { v: { value: string } } }).after;
          expected.set(id, after.v.value);
        }
      } else {
        messages.push(event(id, tsUs, text(`v-${i}`)));
        expected.set(id, `v-${i}`);
      }
      if (messages.length === CHUNK) {
        await stage.producer.send({ topic, messages });
        messages = [];
      }
    }
    expect(poison.size).toBe(POISON);
    await eventually(
      'the position to reach the end',
      async () => {
        const [row] = await stage.sql<{ n: string }>('SELECT next_offset AS n FROM _cdc_offsets WHERE topic = $1', [
          topic,
        ]);
        return row?.n === String(EVENTS) ? true : undefined;
      },
      LIMIT_MS,
    );

    const list = async (): Promise<Letters> => {
      const { stdout } = await stage.lockstep(member, 'dlq', 'list', '--limit', '1000', '--json');
      return JSON.parse(stdout) as Letters;
    };
    const found = await list();
    const codes = (all: Iterable<readonly [string, string]>): string[] =>
      [...all].map(([offset, code]) => `${offset} ${code}`).toSorted();
    expect(codes(found.records.map(({ offset, code }) => [offset, code]))).toEqual(
      codes([...poison].map(([offset, { code }]) => [offset, code])),
    );

    await stage.sql(`ALTER TABLE ${targetTable} DROP CONSTRAINT no_check`);
    await stage.sql('DROP INDEX too_wide');
    await stage.sql(`DROP TRIGGER refuse ON ${targetTable}`);
    const mended = [...poison.values()].filter(({ mends }) => mends).length;
    const range = ['--source-offsets', `${topic}:0:0-${EVENTS - 1}`];
    interface Report {
      readonly counts: Readonly<Record<string, number>>;
      readonly failures: Readonly<Record<string, number>>;
    }
    const dry = JSON.parse(
      (await stage.lockstep(member, 'dlq', 'redrive', ...range, '--dry-run', '--json')).stdout,
    ) as Report;
    expect(dry.counts['failed']).toBe(POISON - mended);
    expect((dry.counts['applied'] ?? 0) + (dry.counts['superseded'] ?? 0)).toBe(mended);

    const killed = stage.begin(member, 'dlq', 'redrive', ...range, '--rate', '150');
    const job = await eventually('a part to be redriven', async () => {
      const [row] = await stage.sql<{ id: string }>(
        `SELECT id FROM _cdc_jobs WHERE status = 'RUNNING' AND cursor > 0 ORDER BY started_at DESC LIMIT 1`,
      );
      return row;
    });
    const gone = once(killed, 'exit');
    killed.kill('SIGKILL');
    await gone;
    // Its runner counts as gone when it was not heard of for a while.
    await stage.sql(`UPDATE _cdc_jobs SET heartbeat_at = now() - interval '1 hour' WHERE id = $1`, [job.id]);
    const resumed = await stage.lockstep(member, 'dlq', 'redrive', '--resume', job.id, '--json');
    const report = JSON.parse(resumed.stdout) as Report;
    expect(report.counts).toEqual(dry.counts);
    expect(report.failures).toEqual(dry.failures);

    const stored = await stage.sql<{ id: number; v: string }>(`SELECT id, v FROM ${targetTable}`);
    expect(stored).toHaveLength(expected.size);
    expect(stored.filter(({ id, v }) => expected.get(id) !== v)).toEqual([]);
    // Each letter was tried once more, whoever was killed in between.
    for (const { offset, status, attempts } of (await list()).records) {
      const mends = poison.get(offset)?.mends === true;
      expect([offset, status]).toEqual([offset, mends ? 'redriven' : 'pending']);
      expect(attempts).toBeGreaterThanOrEqual(2);
    }
  },
  LIMIT_MS * 2,
);
