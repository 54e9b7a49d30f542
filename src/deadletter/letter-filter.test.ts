import { describe, expect, it } from 'vitest';
import { letterConditions, parseSourceOffsets } from './letter-filter.ts';

describe('source offsets', () => {
  it('are a topic, a partition and a range with both ends', () => {
    expect(parseSourceOffsets('cass1.shop.orders:3:10-20')).toEqual({
      topic: 'cass1.shop.orders',
      partition: 3,
      from: 10n,
      to: 20n,
    });
    expect(parseSourceOffsets('t:0:9223372036854775807-9223372036854775807')?.to).toBe(9223372036854775807n);
  });

  it.each(['', 't', 't:0', 't:0:5', 't:0:5-', 't:0:9-5', 't:x:1-2', 't:-1:1-2', 'a b:0:1-2', 't:0:1-2:3'])(
    '%j is none',
    (text) => {
      expect(parseSourceOffsets(text)).toBeNull();
    },
  );
});

describe('a filter', () => {
  it('lets everything through where nothing is asked, and numbers its values in order', () => {
    expect(letterConditions({})).toEqual({ sql: 'true', values: [] });
    const { sql, values } = letterConditions({
      table: 'k.t',
      reason: '100%',
      code: 'C',
      status: 'pending',
      fromMs: 1,
      toMs: 2,
      id: 7n,
      sourceOffsets: { topic: 't', partition: 0, from: 1n, to: 2n },
    });
    expect(values).toEqual(['k.t', '100%', 'C', 'pending', 1, 2, '7', 't', 0, '1', '2']);
    expect(sql.match(/\$\d+/g)).toEqual(values.map((_, i) => `$${i + 1}`));
  });
});
