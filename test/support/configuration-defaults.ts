import { parseConfiguration } from '../../src/config/load.ts';
import type { Configuration } from '../../src/config/index.ts';

/** A configuration of one table in which everything else is as it is by default. */
export function loadConfigurationDefaults(): Configuration {
  const text = `tables: [{ source: shop.compared, topic: t, target: public.compared, schema: { columns: { p: int }, partitionKey: [p] } }]`;
  return parseConfiguration(text, 'lockstep.yaml', {});
}
