import { describe, expect, it } from 'vitest';
import { auditImage, parsePatch, patched } from './patch.ts';

const apply = (value: string | null, patch: string): string =>
  patched(value === null ? null : Buffer.from(value), parsePatch(patch)).toString();

describe('a patch', () => {
  it('changes what it names and leaves every digit of the rest', () => {
    expect(apply('{"a":9223372036854775807,"after":{"t":{"value":"x","set":true}}}', '{"after.t.value":1.10}')).toBe(
      '{"a":9223372036854775807,"after":{"t":{"value":1.10,"set":true}}}',
    );
  });

  it('sets null, which is a value of its own', () => {
    expect(apply('{"after":{"t":{"value":1}}}', '{"after.t.value":null}')).toBe('{"after":{"t":{"value":null}}}');
  });

  it('makes the objects on the way, and does not reach into what objects inherit', () => {
    expect(apply('{"a":1}', '{"constructor.x":2}')).toBe('{"a":1,"constructor":{"x":2}}');
  });

  it.each(['not json', null])('replaces what is no JSON as a whole: %s', (value) => {
    expect(apply(value, '{"":{"op":"u"}}')).toBe('{"op":"u"}');
  });

  it.each(['', '[]', '{}', '5', 'null', '{"a":'])('is refused where it says nothing: %s', (text) => {
    expect(() => parsePatch(text)).toThrow(expect.objectContaining({ code: 'PATCH_INVALID', kind: 'usage' }));
  });

  it('keeps bytes that are no text in the audit log', () => {
    expect(auditImage(Buffer.from([0xff]))).toEqual({ encoding: 'base64', value: '/w==' });
    expect(auditImage(Buffer.from('a\0'))).toEqual({ encoding: 'base64', value: 'YQA=' });
    expect(auditImage(Buffer.from('é'))).toEqual({ encoding: 'utf8', value: 'é' });
  });
});
