import { describe, expect, it } from 'vitest';
import { diagnosisOf, fault, ok, runChecks, skipped, warn, type Check, type Finding } from './check.ts';

function check(id: string, run: () => Promise<readonly Finding[]>, needs: readonly string[] = []): Check {
  return { id, needs, run };
}

const good = () => Promise.resolve([ok('good')]);

describe('the runner of checks', () => {
  it('answers in the order of the checks, whichever ends first', async () => {
    const results = await runChecks([check('b', good, ['a']), check('a', good), check('c', good, ['b'])]);
    expect(results.map(({ id }) => id)).toEqual(['b', 'a', 'c']);
  });

  it('makes one fault of a system that is down and skips what needs it, and what needs that', async () => {
    const down = () => Promise.reject(new Error('connect ECONNREFUSED'));
    const results = await runChecks([
      check('kafka', down),
      check('topics', good, ['kafka']),
      check('dlq', good, ['topics']),
    ]);
    expect(results).toMatchObject([
      { id: 'kafka', status: 'fault', found: 'connect ECONNREFUSED' },
      { id: 'topics', status: 'skipped', found: 'needs kafka, which is fault' },
      { id: 'dlq', status: 'skipped', found: 'needs topics, which is skipped' },
    ]);
  });

  it('goes on after a warning', async () => {
    const results = await runChecks([check('a', async () => [warn('odd', 'mend it')]), check('b', good, ['a'])]);
    expect(results.map(({ status }) => status)).toEqual(['warn', 'ok']);
  });

  it('bounds each check in time', async () => {
    const hanging = check('slow', () => new Promise(() => undefined));
    const results = await runChecks([hanging, check('quick', good)], { timeoutMs: 20 });
    expect(results).toMatchObject([
      { id: 'slow', status: 'fault', found: 'no answer within 0.02 s' },
      { id: 'quick', status: 'ok' },
    ]);
  });

  it('waits for what must come before, whatever comes of it', async () => {
    const order: string[] = [];
    const late: Check = { ...check('late', async () => (order.push('late'), [ok('x')])), after: ['first'] };
    const first = check('first', async () => {
      await new Promise((resolve) => setImmediate(resolve));
      order.push('first');
      return [fault('bad', 'mend it')];
    });
    expect((await runChecks([late, first])).map(({ status }) => status)).toEqual(['ok', 'fault']);
    expect(order).toEqual(['first', 'late']);
  });

  it('says no only where something is at fault', () => {
    const result = (finding: Finding) => diagnosisOf([{ id: 'x', ...finding }]).ok;
    expect([ok('a'), warn('a', 'b'), skipped('a'), fault('a', 'b')].map(result)).toEqual([true, true, true, false]);
  });
});
