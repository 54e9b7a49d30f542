import { expect, it } from 'vitest';
import { parseConfiguration } from '../../config/index.ts';
import { repairModeOf } from './repair-mode.ts';

it('a table has its own mode, the others that of all', () => {
  const { reconciliation } = parseConfiguration(
    `
source: { cassandra: {} }
tables: [{ source: shop.orders, topic: t, target: public.orders }]
reconciliation: { repair: { mode: auto, tables: { shop.orders: off } } }`,
    'f.yaml',
    {},
  );
  expect(repairModeOf(reconciliation, 'shop.orders')).toBe('off');
  expect(repairModeOf(reconciliation, 'shop.users')).toBe('auto');
});
