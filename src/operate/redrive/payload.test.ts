import { describe, expect, it } from 'vitest';
import { MASK, payloadOf } from './payload.ts';

const bytes = (text: string): Buffer => Buffer.from(text);
const nothing = new Set<string>();

describe('a payload for people', () => {
  it('shows the cause at its path, and integers with all their digits', () => {
    const value = bytes('{"after":{"total":{"value":9223372036854775807,"set":true}}}');
    const payload = payloadOf(value, 'after.total.value', nothing);
    expect(payload).toMatchObject({ encoding: 'json', cause: '9223372036854775807' });
    expect(payload.text).toContain('9223372036854775807');
  });

  it('masks sensitive columns wherever they stand, the cause included', () => {
    const value = bytes('{"after":{"email":{"value":"a@b"},"id":{"value":1}},"list":[{"email":"c@d"}]}');
    const { text, cause } = payloadOf(value, 'after.email.value', new Set(['email']));
    expect(text).not.toContain('@');
    expect(text).toContain(MASK);
    expect(text).toContain('"id"');
    expect(cause).toBeNull();
  });

  it('does not show bytes that can not be read where something is to be masked', () => {
    const value = Buffer.from([0xff, 0xfe]);
    expect(payloadOf(value, '', nothing)).toMatchObject({ encoding: 'base64', text: value.toString('base64') });
    expect(payloadOf(value, '', new Set(['email'])).text).toBe(MASK);
  });

  it('names no cause where the path leads nowhere, and shows null as null', () => {
    expect(payloadOf(bytes('{"a":1}'), 'b.c', nothing).cause).toBeNull();
    expect(payloadOf(null, '', nothing)).toEqual({ text: 'null', encoding: 'null', cause: null });
  });
});
