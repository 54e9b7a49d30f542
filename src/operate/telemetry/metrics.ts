import { collectDefaultMetrics, Counter, Gauge, Histogram, Registry } from 'prom-client';
import { RECONCILIATION_METRICS, STREAM_METRICS, type MetricDefinition } from './metric-definitions.ts';

type Definitions = Readonly<Record<string, MetricDefinition>>;

/** The prom-client object that a definition stands for, with its labels as types. */
type MetricsOf<D extends Definitions> = {
  readonly [K in keyof D]: D[K]['type'] extends 'counter'
    ? Counter<D[K]['labels'][number]>
    : D[K]['type'] extends 'gauge'
      ? Gauge<D[K]['labels'][number]>
      : Histogram<D[K]['labels'][number]>;
};

function create(definition: MetricDefinition, registry: Registry): Counter | Gauge | Histogram {
  const { name, help, buckets } = definition;
  const common = { name, help, labelNames: [...definition.labels], registers: [registry] };
  switch (definition.type) {
    case 'counter':
      return new Counter(common);
    case 'gauge':
      return new Gauge(common);
    case 'histogram':
      return new Histogram(buckets === undefined ? common : { ...common, buckets: [...buckets] });
  }
}

/** Makes the metrics of a table of definitions in a registry; another room adds its own table the same way. */
export function createMetricsOf<const D extends Definitions>(definitions: D, registry: Registry): MetricsOf<D> {
  const entries = Object.entries(definitions).map(([key, definition]) => [key, create(definition, registry)]);
  return Object.fromEntries(entries) as MetricsOf<D>;
}

/** The registry of one process and the metrics of its stream. */
export interface Metrics {
  readonly registry: Registry;
  readonly stream: MetricsOf<typeof STREAM_METRICS>;
  readonly reconciliation: MetricsOf<typeof RECONCILIATION_METRICS>;
  /** Adds a refresher of figures that change while nothing happens (ages); it runs before every scrape. */
  beforeScrape(refresh: () => void): void;
  /** What Prometheus reads. */
  render(): Promise<string>;
}

/** A registry of its own (nothing global), with the default metrics of the process. */
export function createMetrics(): Metrics {
  const registry = new Registry();
  collectDefaultMetrics({ register: registry });
  const refreshers: (() => void)[] = [];
  return {
    registry,
    stream: createMetricsOf(STREAM_METRICS, registry),
    reconciliation: createMetricsOf(RECONCILIATION_METRICS, registry),
    beforeScrape: (refresh) => {
      refreshers.push(refresh);
    },
    render: () => {
      for (const refresh of refreshers) refresh();
      return registry.metrics();
    },
  };
}
