import { expect, it } from 'vitest';
import { coveredUntil, depthOf, parametersOf, type ComparisonRequest } from './comparison-request.ts';

const request: ComparisonRequest = {
  table: 'shop.orders',
  strategy: 'TIMESTAMP_RANGE',
  jobType: 'SCHEDULED',
  repair: false,
  dryRun: false,
  mayBeEmpty: false,
  sampleRows: null,
  span: { fromUs: null, toUs: null },
  requestedBy: 'schedule',
};
const context = { sampleSize: 1000, nowUs: 10_000n, verifiedUs: 7_000n, skewUs: 300n, sourceId: 'x' };

it('an incremental comparison goes on where the last one ended, clocks apart, and covers up to now', () => {
  const parameters = parametersOf(request, context);
  expect(depthOf(parameters)).toEqual({ values: true, writtenUs: { from: 6_700n, to: 10_000n } });
  expect(parameters.may_be_empty).toBe(true);
  expect(coveredUntil(parameters)).toBe(10_000n);
});

it('the first one begins with everything', () => {
  const parameters = parametersOf(request, { ...context, verifiedUs: null });
  expect(depthOf(parameters).writtenUs?.from).toBe(-(2n ** 63n));
  expect(coveredUntil(parameters)).toBe(10_000n);
});

it('a span that leaves a gap behind what was covered moves nothing', () => {
  const gap = parametersOf({ ...request, span: { fromUs: 8_000n, toUs: null } }, context);
  expect(coveredUntil(gap)).toBeNull();
  const joined = parametersOf({ ...request, span: { fromUs: 6_900n, toUs: 9_000n } }, context);
  expect(coveredUntil(joined)).toBe(9_000n);
});

it('only a look at every value covers a table', () => {
  const covered = (strategy: ComparisonRequest['strategy'], dryRun = false): bigint | null =>
    coveredUntil(parametersOf({ ...request, strategy, dryRun }, context));
  expect(covered('CHECKSUM')).toBe(10_000n);
  expect(covered('CHECKSUM', true)).toBeNull();
  expect(covered('ROW_COUNT')).toBeNull();
  expect(covered('SAMPLE')).toBeNull();
  expect(parametersOf({ ...request, strategy: 'SAMPLE' }, context).sample_rows).toBe(1000);
});

it('a span that ends before it begins is wrong usage', () => {
  const code = { code: 'RECONCILE_SPAN', kind: 'usage' };
  const before = { ...request, span: { fromUs: null, toUs: 6_000n } };
  expect(() => parametersOf(before, context)).toThrow(expect.objectContaining(code) as Error);
  expect(() => parametersOf({ ...request, span: { fromUs: 9_000n, toUs: 9_000n } }, context)).toThrow();
  expect(parametersOf(before, { ...context, verifiedUs: null }).to_us).toBe('6000');
});
