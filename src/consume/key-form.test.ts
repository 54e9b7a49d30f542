import { describe, expect, it } from 'vitest';
import { KeyForm, keyFormOf } from './key-form.ts';

const seen = (...keys: string[]) => {
  const form = new KeyForm();
  return keys.map((key) => form.changed(Buffer.from(key)));
};

describe('the form of record keys', () => {
  it('is all before the first value', () => {
    expect(keyFormOf(Buffer.from('{"id":1}'))).toBe('{"id":');
    expect(keyFormOf(Buffer.from('{"id": 1}'))).toBe('{"id": ');
    expect(keyFormOf(Buffer.from('k1'))).toBe('opaque');
  });

  it('is the same for other values, and for the deletes of a partition', () => {
    expect(seen('{"k":"a","c":1}', '{"k":"b:{","c":2}', '{"k":"a","c":null}')).toEqual(['{"k":', null, null]);
  });

  it('is another with another converter, other spacing or another order of the fields', () => {
    expect(seen('{"k":1}', '{"schema":{},"payload":{"k":1}}', '{"k": 1}', '{"k":1}', 'k1', 'k2')).toEqual([
      '{"k":',
      '{"schema":',
      '{"k": ',
      '{"k":',
      'opaque',
      null,
    ]);
  });
});
