/** Which alerts of alerts/ would fire if what a scrape says lasted: by promtool, with the rules as they are shipped. */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { stringify } from 'yaml';

const ALERTS = join(import.meta.dirname, '..', '..', 'alerts');
/** Longer than every `for` and every window of the rules. */
const LASTS_MIN = 30;

const SAMPLE = /^(cdc_\w+(?:\{.*\})?) (-?[\d.]+(?:e[+-]?\d+)?)$/i;

/**
 * @param metrics what `/metrics` answered.
 * @returns names of the alerts, or null where there is no promtool (`.ci/run` installs it).
 */
export function alertsFor(metrics: string): readonly string[] | null {
  if (spawnSync('promtool', ['--version']).error !== undefined) return null;
  const series = metrics.split('\n').flatMap((line) => {
    const [, name, value] = SAMPLE.exec(line) ?? [];
    if (name === undefined || value === undefined || name.includes('_bucket')) return [];
    return [{ series: name, values: `${Number(value)}x${LASTS_MIN}` }];
  });
  if (series.length === 0) throw new Error('a scrape without samples');
  const rules = readdirSync(ALERTS).filter((name) => name.endsWith('.yaml') && !name.endsWith('.test.yaml'));
  const test = {
    rule_files: rules.map((name) => join(ALERTS, name)),
    evaluation_interval: '1m',
    tests: [
      {
        interval: '1m',
        input_series: series,
        // None is expected, so promtool tells of each that fires.
        promql_expr_test: [
          {
            expr: 'count by (alertname) (ALERTS{alertstate="firing"})',
            eval_time: `${LASTS_MIN}m`,
            exp_samples: [],
          },
        ],
      },
    ],
  };
  const dir = mkdtempSync(join(tmpdir(), 'lockstep-alerts-'));
  try {
    const file = join(dir, 'scrape.test.yaml');
    writeFileSync(file, stringify(test));
    const { status, stdout, stderr } = spawnSync('promtool', ['test', 'rules', file], { encoding: 'utf8' });
    const names = [...`${stdout}${stderr}`.matchAll(/alertname="(\w+)"/g)].map(([, name = '']) => name);
    if ((status === 0) !== (names.length === 0)) throw new Error(`promtool: ${stdout}${stderr}`);
    return [...new Set(names)].toSorted();
  } finally {
    rmSync(dir, { recursive: true, force: true });
  }
}
