/**
 * Dashboards and alerts speak only of metrics that exist, with labels that they have: a renamed metric would leave a panel
 * empty and an alert silent, and nobody would notice.
 */
import { globSync, readFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { parser } from '@prometheus-io/lezer-promql';
import { describe, expect, it } from 'vitest';
import { parse } from 'yaml';
import { createMetrics } from '../../src/operate/telemetry/metrics.ts';

const ROOT = join(import.meta.dirname, '..', '..');
const read = (...path: string[]): string => readFileSync(join(ROOT, ...path), 'utf8');

/** The alerts that others build on. */
const PUBLISHED = [
  'CdcBacklogGrowing',
  'CdcStale',
  'CdcShardStopped',
  'CdcDeadLettersArriving',
  'CdcDeadLetterBreakerOpen',
  'CdcMissedEvents',
  'ReconciliationDriftWarning',
  'ReconciliationDriftCritical',
  'ReconciliationJobFailed',
  'ReconciliationStale',
  'AutoCorrectionRateHigh',
];

interface Selector {
  readonly metric: string;
  readonly labels: readonly string[];
}

/** What an expression selects, and the labels that it groups by. Throws where it is no PromQL. */
function selectionsOf(expression: string): { readonly selectors: Selector[]; readonly grouping: string[] } {
  const selectors: { metric: string; labels: string[] }[] = [];
  const grouping: string[] = [];
  let inGrouping = false;
  parser.parse(expression).iterate({
    enter: (node) => {
      const text = expression.slice(node.from, node.to);
      if (node.type.isError) throw new Error(`no PromQL at ${node.from}: ${expression}`);
      if (node.name === 'VectorSelector') selectors.push({ metric: '', labels: [] });
      if (node.name === 'GroupingLabels') inGrouping = true;
      if (node.name === 'Identifier' && selectors.at(-1)?.metric === '') selectors.at(-1)!.metric = text;
      if (node.name === 'LabelName') (inGrouping ? grouping : selectors.at(-1)!.labels).push(text);
    },
    leave: (node) => {
      if (node.name === 'GroupingLabels') inGrouping = false;
    },
  });
  return { selectors, grouping };
}

/** Labels of every metric that the service exposes; `instance` and `job` are Prometheus's own. */
const METRICS: ReadonlyMap<string, readonly string[]> = new Map(
  createMetrics()
    .registry.getMetricsAsArray()
    .flatMap((metric): (readonly [string, readonly string[]])[] => {
      const { labelNames } = metric as unknown as { labelNames: readonly string[] };
      const labels = [...labelNames, 'instance', 'job'];
      const plain = [metric.name, labels] as const;
      if (String(metric.type) !== 'histogram') return [plain];
      const parts = ['_sum', '_count'].map((part) => [metric.name + part, labels] as const);
      return [plain, ...parts, [`${metric.name}_bucket`, [...labels, 'le']]];
    }),
);

/** What an expression says that the metrics do not have. */
function problemsOf(expression: string): string[] {
  const { selectors, grouping } = selectionsOf(expression);
  const known = new Set(selectors.flatMap(({ metric }) => METRICS.get(metric) ?? []));
  return [
    ...selectors.filter(({ metric }) => !METRICS.has(metric)).map(({ metric }) => `there is no metric ${metric}`),
    ...selectors.flatMap(({ metric, labels }) =>
      labels
        .filter((label) => METRICS.get(metric)?.includes(label) === false)
        .map((label) => `${metric} has no ${label}`),
    ),
    ...grouping.filter((label) => !known.has(label)).map((label) => `nothing in it has the label ${label}`),
    ...(selectors.length === 0 ? ['selects nothing'] : []),
  ];
}

interface Panel {
  readonly id: number;
  readonly type: string;
  readonly title: string;
  readonly gridPos: { readonly x: number; readonly w: number };
  readonly targets?: readonly { readonly expr: string; readonly legendFormat: string }[];
}

interface Dashboard {
  readonly uid: string;
  readonly title: string;
  readonly panels: readonly Panel[];
  readonly templating: {
    readonly list: readonly { readonly name: string; readonly type: string; readonly definition?: string }[];
  };
}

interface Rule {
  readonly alert: string;
  readonly expr: string;
}

interface RuleTest {
  readonly alert_rule_test: readonly { readonly alertname: string; readonly exp_alerts?: readonly unknown[] }[];
}

const dashboards = globSync('deploy/grafana/dashboards/*.json', { cwd: ROOT }).map(
  (path) => [basename(path, '.json'), JSON.parse(read(path)) as Dashboard] as const,
);
const ruleFiles = globSync('alerts/*.yaml', { cwd: ROOT }).filter((path) => !path.endsWith('.test.yaml'));
const rules = ruleFiles.flatMap((path) =>
  (parse(read(path)) as { groups: { rules: Rule[] }[] }).groups.flatMap((group) => group.rules),
);

/** Grafana puts its variables in before Prometheus sees the expression. */
const filledIn = (expression: string): string =>
  expression.replaceAll('$__rate_interval', '5m').replaceAll('$__range', '6h');

describe('the check itself', () => {
  it('sees an unknown metric, an unknown label, and what is no PromQL', () => {
    expect(problemsOf('sum by (table) (rate(cdc_changes_total{outcome="processed"}[5m]))')).toEqual([]);
    expect(problemsOf('cdc_changes_totals')).toEqual(['there is no metric cdc_changes_totals']);
    expect(problemsOf('cdc_changes_total{topic="a"}')).toEqual(['cdc_changes_total has no topic']);
    expect(problemsOf('max by (topic) (cdc_staleness_seconds)')).toEqual(['nothing in it has the label topic']);
    expect(problemsOf('rate(cdc_apply_batch_changes_bucket[5m])')).toEqual([]);
    expect(problemsOf('vector(0)')).toEqual(['selects nothing']);
    expect(() => problemsOf('sum by table (cdc_staleness_seconds')).toThrow('no PromQL');
  });
});

describe('dashboards', () => {
  it('are the two that others look for', () => {
    expect(dashboards.map(([name, { uid }]) => [name, uid]).sort()).toEqual([
      ['reconciliation', 'lockstep-reconciliation'],
      ['stream', 'lockstep-stream'],
    ]);
  });

  it.each(dashboards)('%s: every panel asks for what is there', (_name, { panels }) => {
    for (const { title, targets = [], type } of panels) {
      if (type !== 'row') expect([title, targets.length > 0]).toEqual([title, true]);
      for (const { expr, legendFormat } of targets) {
        expect([title, problemsOf(filledIn(expr))]).toEqual([title, []]);
        const labels = new Set(
          selectionsOf(filledIn(expr)).selectors.flatMap(({ metric }) => METRICS.get(metric) ?? []),
        );
        for (const [, label] of legendFormat.matchAll(/\{\{(\w+)\}\}/g))
          expect([title, labels.has(label!)]).toEqual([title, true]);
      }
    }
  });

  it.each(dashboards)(
    '%s: variables are filled from metrics, and every one that is used is there',
    (_name, dashboard) => {
      const variables = dashboard.templating.list;
      for (const { type, definition = '' } of variables) {
        if (type === 'datasource') continue;
        const [, metric, label] = /^label_values\((\w+), (\w+)\)$/.exec(definition)!;
        expect([definition, METRICS.get(metric!)?.includes(label!)]).toEqual([definition, true]);
      }
      const used = new Set(
        dashboard.panels
          .flatMap(({ targets = [] }) => targets)
          .flatMap(({ expr }) => [...filledIn(expr).matchAll(/\$\{?(\w+)/g)].map(([, name]) => name!)),
      );
      for (const name of used) expect(variables.map((each) => each.name)).toContain(name);
    },
  );

  it.each(dashboards)('%s: panels have numbers of their own and fit the grid', (_name, { panels }) => {
    expect(new Set(panels.map(({ id }) => id)).size).toBe(panels.length);
    for (const { gridPos } of panels) expect(gridPos.x + gridPos.w).toBeLessThanOrEqual(24);
  });

  it('are provisioned by the compose file, and Prometheus loads every rule file', () => {
    const { services } = parse(read('docker-compose.yml'), { merge: true }) as {
      services: Record<string, { volumes: string[] }>;
    };
    const provider = parse(read('deploy/grafana/provisioning/dashboards/lockstep.yaml')) as {
      providers: { options: { path: string } }[];
    };
    const { path } = provider.providers[0]!.options;
    expect(services['grafana']!.volumes).toContain(`./deploy/grafana/dashboards:${path}:ro`);
    const prometheus = parse(read('deploy/prometheus/prometheus.yml')) as { rule_files: string[] };
    expect(prometheus.rule_files.map((file) => basename(file)).sort()).toEqual(
      ruleFiles.map((file) => basename(file)).sort(),
    );
  });
});

describe('alerts', () => {
  it('that were published are all there', () => {
    expect(rules.map(({ alert }) => alert)).toEqual(expect.arrayContaining(PUBLISHED));
  });

  it.each(rules.map(({ alert, expr }) => [alert, expr] as const))('%s asks for what is there', (_alert, expr) => {
    expect(problemsOf(expr)).toEqual([]);
  });

  it('are each tested for firing and for not firing (promtool runs the tests)', () => {
    const tests = ruleFiles
      .map((path) => parse(read(path.replace('.yaml', '.test.yaml'))) as { tests: RuleTest[] })
      .flatMap((file) => file.tests.flatMap((test) => test.alert_rule_test));
    for (const { alert } of rules) {
      const own = tests.filter(({ alertname }) => alertname === alert);
      const fires = own.some(({ exp_alerts: expected = [] }) => expected.length > 0);
      const rests = own.some(({ exp_alerts: expected = [] }) => expected.length === 0);
      expect([alert, fires, rests]).toEqual([alert, true, true]);
    }
  });
});
