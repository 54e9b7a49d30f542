import { describe, expect, it } from 'vitest';
import { LockstepError, type ErrorKind } from '../../shared/errors.ts';
import { backoffDelayMs } from '../upkeep/backoff.ts';
import { retry } from './service.ts';

const BACKOFF = { initialDelayMs: 100, maxDelayMs: 1_000 };

function failing(kind: ErrorKind): LockstepError {
  return new LockstepError('no', { code: 'X', kind });
}

function options(delays: number[], signal = new AbortController().signal) {
  return {
    backoff: BACKOFF,
    signal,
    random: () => 1,
    onRetry: () => undefined,
    sleep: (ms: number) => {
      delays.push(ms);
      return Promise.resolve();
    },
  };
}

describe('retry', () => {
  it('repeats with growing, bounded delays until it succeeds', async () => {
    const delays: number[] = [];
    let attempts = 0;
    const attempt = () => ((attempts += 1) < 7 ? Promise.reject(failing('transient')) : Promise.resolve('done'));
    await expect(retry(attempt, options(delays))).resolves.toBe('done');
    expect(delays).toEqual([100, 200, 400, 800, 1_000, 1_000]);
  });

  it.each<ErrorKind>(['config', 'usage', 'bug'])('does not repeat what is of kind %s', async (kind) => {
    const delays: number[] = [];
    await expect(retry(() => Promise.reject(failing(kind)), options(delays))).rejects.toMatchObject({ kind });
    expect(delays).toEqual([]);
  });

  it('ends with the signal, not with the failure of the attempt that it interrupted', async () => {
    const controller = new AbortController();
    const attempt = () => {
      controller.abort(new Error('stop'));
      return Promise.reject(failing('transient'));
    };
    await expect(retry(attempt, options([], controller.signal))).rejects.toThrow('stop');
  });

  it('waits between half and all of the doubled delay', () => {
    expect(backoffDelayMs(BACKOFF, 3, 0)).toBe(200);
    expect(backoffDelayMs(BACKOFF, 3, 0.999)).toBe(400);
    expect(backoffDelayMs(BACKOFF, 500, 0)).toBe(500);
  });
});
