// Writes what is made from code: docs/configuration.md, docs/metrics.md, lockstep.schema.json. Tests fail where a file
// differs from the code.
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { format, resolveConfig } from 'prettier';
import { configurationReference, publishedSchema } from '../src/config/reference.ts';
import { METRIC_SECTIONS } from '../src/operate/telemetry/metric-definitions.ts';
import { errorCodesPage } from './error-codes.ts';
import { metricReference } from '../src/operate/telemetry/metric-reference.ts';

const root = join(import.meta.dirname, '..');
const schemaFile = join(root, 'lockstep.schema.json');
const style = await resolveConfig(schemaFile);

writeFileSync(join(root, 'docs', 'configuration.md'), configurationReference());
writeFileSync(join(root, 'docs', 'error-codes.md'), errorCodesPage(root));
writeFileSync(join(root, 'docs', 'metrics.md'), metricReference(METRIC_SECTIONS));
writeFileSync(schemaFile, await format(JSON.stringify(publishedSchema()), { ...style, parser: 'json' }));
