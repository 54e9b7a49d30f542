import { describe, expect, it } from 'vitest';
import { MASK } from './masking.ts';
import { payloadOf } from './payload.ts';

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

  it('points at the lines of the cause, whatever stands before it', () => {
    const value = bytes('{"source":{"a":[1,2]},"after":{"id":{"value":1},"tags":{"value":["x","y"],"set":true}}}');
    const { text, causeLines } = payloadOf(value, 'after.tags.value', nothing);
    const { first, count } = causeLines!;
    expect(
      JSON.parse(
        `{${text
          .split('\n')
          .slice(first, first + count)
          .join('')
          .replace(/,$/, '')}}`,
      ),
    ).toEqual({
      value: ['x', 'y'],
    });
  });

  it('points at the masked value, and as far as the path leads', () => {
    const value = bytes('{"after":{"email":{"value":"a@b"}}}');
    const shown = payloadOf(value, 'after.email.value', new Set(['email']));
    expect(shown.text.split('\n')[shown.causeLines!.first]).toContain(`"email": "${MASK}"`);
    expect(payloadOf(bytes('{"after":{"a":1}}'), 'after.b.value', nothing).causeLines).toEqual({ first: 1, count: 3 });
  });

  it('does not show bytes that can not be read where something is to be masked', () => {
    const value = Buffer.from([0xff, 0xfe]);
    expect(payloadOf(bytes('no json'), '', nothing)).toMatchObject({ encoding: 'text', text: 'no json' });
    expect(payloadOf(value, '', nothing)).toMatchObject({ encoding: 'base64', text: value.toString('base64') });
    expect(payloadOf(value, '', new Set(['email'])).text).toBe(MASK);
  });

  it('names no cause where the path leads nowhere, and shows null as null', () => {
    expect(payloadOf(bytes('{"a":1}'), 'b.c', nothing)).toMatchObject({ cause: null, causeLines: null });
    expect(payloadOf(null, '', nothing)).toEqual({ text: 'null', encoding: 'null', cause: null, causeLines: null });
  });
});
