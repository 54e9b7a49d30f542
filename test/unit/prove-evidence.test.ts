/** Whose fault a row is: the prover's own judgement, on rows that are known to be one side's fault. */
import { describe, expect, it } from 'vitest';
import type { ProofColumn } from '../../src/demo/proof/source-rows.ts';
import { readEvent, type CapturedEvent } from '../prove/audit/captured-event.ts';
import { TopicLog } from '../prove/audit/event-log.ts';
import { lostEffects } from '../prove/audit/lost-effects.ts';
import { judge, type RowCase } from '../prove/audit/row-evidence.ts';
import { componentOf } from '../prove/audit/wire-value.ts';
import type { TimedEffect } from '../prove/generate/statement.ts';
import type { WrittenStatement } from '../prove/stage/history-log.ts';

const columns: readonly ProofColumn[] = [
  { name: 'k', type: { kind: 'scalar', name: 'int' }, kind: 'partition_key', isKey: true },
  { name: 'c', type: { kind: 'scalar', name: 'int' }, kind: 'clustering', isKey: true },
  { name: 'v', type: { kind: 'scalar', name: 'text' }, kind: 'regular', isKey: false },
];

let offset = 0n;
function event(op: string, timeUs: bigint, cells: Record<string, unknown>, ck: number | null = 2): CapturedEvent {
  const value = (of: unknown): unknown => ({ value: of, deletion_ts: null, set: true });
  const envelope = {
    op,
    source: { ts_us: 0, file: 'CommitLog-7-1.log' },
    after: { k: value(1), c: ck === null ? { value: null, deletion_ts: 0, set: true } : value(ck), ...cells },
  };
  const text = JSON.stringify(envelope)
    .replace('"ts_us":0', `"ts_us":${timeUs}`)
    .replaceAll(':0,"set"', `:${timeUs},"set"`);
  offset += 1n;
  const read = readEvent(columns, { topic: 't', partition: 0, offset, value: Buffer.from(text) });
  if (read === null) throw new Error('no event');
  return read;
}

const live = (value: string): unknown => ({ value, deletion_ts: null, set: true });
const gone = { value: null, deletion_ts: 0, set: true };
const statement = { number: 1 } as WrittenStatement;

function judged(
  events: readonly CapturedEvent[],
  source: string | null,
  target: string | null,
  rest: Partial<RowCase> = {},
) {
  const image = (value: string | null) => (value === null ? null : ['1', '2', value]);
  return judge({
    columns,
    multiCell: new Set(),
    usesTtl: false,
    row: { key: '["1","2"]', source: image(source), target: image(target) },
    statements: [],
    events,
    missing: [],
    nowUs: 1_000n,
    ...rest,
  }).fault;
}

describe('a row that differs', () => {
  it('is Lockstep’s fault where the events give what Cassandra has', () => {
    expect(judged([event('i', 10n, { v: live('new') }), event('i', 5n, { v: live('old') })], 'new', 'old')).toBe(
      'lockstep',
    );
    expect(judged([event('i', 10n, { v: live('x') }), event('d', 11n, { v: gone })], null, 'x')).toBe('lockstep');
    expect(judged([event('i', 12n, { v: live('x') }), event('d', 11n, { v: gone })], 'x', null)).toBe('lockstep');
  });

  it('is Lockstep’s fault even where a change has no event, if the events suffice', () => {
    expect(judged([event('i', 10n, { v: live('new') })], 'new', null, { missing: [statement] })).toBe('lockstep');
  });

  it('is the connector’s fault where no event tells of what Cassandra has', () => {
    expect(judged([event('d', 10n, { v: gone })], 'again', null, { missing: [statement] })).toBe('connector');
    expect(judged([event('i', 10n, { v: live('old') })], 'new', 'old', { missing: [statement] })).toBe('connector');
  });

  it('is unexplained where every statement has its event and they contradict Cassandra', () => {
    expect(judged([event('i', 10n, { v: live('old') })], 'new', 'old')).toBe('unexplained');
  });

  it('is left open by events where a column has many cells, and then a missing event decides', () => {
    const events = [event('u', 10n, { v: live('part') })];
    const multiCell = new Set(['v']);
    expect(judged(events, 'whole', 'part', { multiCell })).toBe('lockstep');
    expect(judged(events, 'whole', 'part', { multiCell, missing: [statement] })).toBe('connector');
  });

  it('may be gone where its newest marker may have expired, and is there for sure where that lasts', () => {
    const insert = event('i', 10n, { v: live('x') });
    const gone10 = event('u', 11n, { v: gone });
    const keyOnly = event('i', 12n, {});
    const usesTtl = true;
    const row = { key: '["1","2"]', source: null, target: ['1', '2', null] };
    expect(judged([insert, gone10, keyOnly], null, null, { row, usesTtl })).toBe('lockstep');
    expect(judged([insert, gone10], null, null, { row, usesTtl })).toBe('unexplained');
    expect(judged([insert, gone10, keyOnly], null, null, { row })).toBe('unexplained');
  });

  it('is judged by a delete’s own time, not by the newest of its batch', () => {
    const partitionDelete = event('d', 861n, { v: gone }, null);
    expect(partitionDelete).toMatchObject({ kind: 'partition-delete', timeUs: 861n, row: null });
  });
});

describe('an event', () => {
  it('keeps write times that a double can not hold', () => {
    expect(event('i', 9_223_372_036_854_775_807n, {}).timeUs).toBe(9_223_372_036_854_775_807n);
  });

  it('gives a blob of a composite partition key out of the whole key', () => {
    expect(componentOf(Buffer.from('AAIBAgAAAXgA', 'base64').toString('hex'), 0, 2)).toBe('0102');
    expect(() => componentOf('0102', 0, 2)).toThrow('no composite');
  });
});

describe('an effect without an event', () => {
  const row = '["1","2"]';
  const write = (timeUs: bigint | null, rest: object = {}): TimedEffect => {
    const columns = { columns: ['v'], live: ['v'] };
    return { kind: 'write', partition: '["1"]', row, insert: false, ...columns, ttlSeconds: 0, timeUs, ...rest };
  };
  const lost = (events: readonly CapturedEvent[], effects: readonly TimedEffect[], rest: object = {}): number[] => {
    const log = new TopicLog();
    for (const each of events) log.add(each);
    const history = effects.map((effect, number) => {
      const written: unknown = { number, statement: { effects: [effect], ...rest } };
      return written as WrittenStatement;
    });
    const found = lostEffects(log, history);
    return effects.flatMap((effect, number) => (found.has(effect) ? [number] : []));
  };
  const at = (timeUs: bigint): CapturedEvent => event('u', timeUs, { v: live('x') });

  it('is one of which no event has the time', () => {
    expect(lost([at(10n), at(12n)], [write(10n), write(11n), write(12n)])).toEqual([1]);
  });

  it('is, of the writes whose time the server chose, what there are too few events for', () => {
    const three = [write(null), write(null), write(null)];
    expect(lost([at(10n), at(12n), at(12n), at(20n)], [write(10n), ...three])).toEqual([3]);
    expect(lost([], three)).toEqual([0, 1, 2]);
    expect(lost([at(10n), at(12n), at(20n)], three)).toEqual([]);
  });

  it('stands 1 µs earlier in the topic where only collections were emptied', () => {
    expect(lost([at(9n)], [write(10n, { empties: true })])).toEqual([]);
    expect(lost([at(9n)], [write(10n)])).toEqual([0]);
    expect(lost([at(9n)], [write(10n, { empties: true }), write(null)])).toEqual([1]);
  });

  it('is none where it was written to see whether anything is captured', () => {
    expect(lost([], [write(10n)], { isProbe: true })).toEqual([]);
    expect(lost([at(10n)], [write(10n), write(null)], { isProbe: true })).toEqual([1]);
  });
});
