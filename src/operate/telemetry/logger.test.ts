import { PassThrough } from 'node:stream';
import { describe, expect, it } from 'vitest';
import { LockstepError } from '../../shared/errors.ts';
import { createLogger } from './logger.ts';

function logged(write: (logger: ReturnType<typeof createLogger>) => void): Record<string, unknown> {
  const stream = new PassThrough();
  write(createLogger({ level: 'info', stream }));
  return JSON.parse(String(stream.read())) as Record<string, unknown>;
}

describe('the log', () => {
  it('is JSON with level, time and message', () => {
    expect(
      logged((logger) => {
        logger.info({ topic: 't' }, 'hello');
      }),
    ).toMatchObject({ level: 'info', topic: 't', message: 'hello' });
  });

  it('masks secrets', () => {
    const entry = logged((logger) => {
      logger.info(
        { kafka: { sasl: { password: 'hunter2' } }, api: { tokens: [{ token: 'hunter2' }] }, token: 'hunter2' },
        'x',
      );
    });
    expect(JSON.stringify(entry)).not.toContain('hunter2');
  });

  it('tells code, kind and remedy of an error, its causes, and no password of a URL', () => {
    const cause = new Error('connect to postgres://u:hunter2@h/d failed');
    const err = new LockstepError('no', { code: 'X', kind: 'transient', remedy: 'wait', cause });
    const entry = logged((logger) => {
      logger.warn({ err }, 'x');
    });
    expect(entry).toMatchObject({
      err: {
        code: 'X',
        kind: 'transient',
        remedy: 'wait',
        cause: { message: 'connect to postgres://u:***@h/d failed' },
      },
    });
    expect(JSON.stringify(entry)).not.toContain('hunter2');
  });
});
