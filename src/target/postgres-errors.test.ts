import { describe, expect, it } from 'vitest';
import { classifyPostgresError } from './postgres-errors.ts';

function fault(code: string, detail: string): Error {
  return Object.assign(new Error('refused'), { code, detail });
}

describe('the reason of a refused row', () => {
  it.each([
    ['23514', 'Failing row contains (7, secret@example.org).'],
    ['23505', 'Key (email)=(secret@example.org) already exists.'],
    ['23503', 'Key (a, b)=(1, secret@example.org) is not present in table "t".'],
  ])('%s has no values in it', (code, detail) => {
    expect(classifyPostgresError(fault(code, detail), 'applying').message).not.toContain('secret');
  });

  it('keeps the columns of a key and what is wrong with it', () => {
    const { message } = classifyPostgresError(fault('23505', 'Key (email)=(a) already exists.'), 'applying');
    expect(message).toContain('Key (email) already exists.');
  });
});
