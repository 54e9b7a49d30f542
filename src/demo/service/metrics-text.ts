/** Reads Prometheus' text format: as much of it as the demo's screen needs. */

/** One sample: its labels and its value. */
export interface Sample {
  readonly labels: Readonly<Record<string, string>>;
  readonly value: number;
}

/** Samples by metric name. */
export type MetricSamples = ReadonlyMap<string, readonly Sample[]>;

const LINE = /^([a-zA-Z_:][\w:]*)(?:\{(.*)\})?\s+(\S+)/;
const LABEL = /([a-zA-Z_]\w*)="((?:[^"\\]|\\.)*)"/g;

function valueOf(text: string): number {
  if (text === '+Inf') return Infinity;
  return text === '-Inf' ? -Infinity : Number(text);
}

/** Parses an exposition; comments and lines that are none are passed over. */
export function parseMetrics(text: string): MetricSamples {
  const samples = new Map<string, Sample[]>();
  for (const line of text.split('\n')) {
    const match = line.startsWith('#') ? null : LINE.exec(line);
    const [, name, labelText, value] = match ?? [];
    if (name === undefined || value === undefined) continue;
    const labels = Object.fromEntries(
      [...(labelText ?? '').matchAll(LABEL)].map(([, label = '', content = '']) => [
        label,
        content.replace(/\\(.)/g, '$1'),
      ]),
    );
    const known = samples.get(name);
    if (known === undefined) samples.set(name, [{ labels, value: valueOf(value) }]);
    else known.push({ labels, value: valueOf(value) });
  }
  return samples;
}

/** Sum of a metric over all its label sets, 0 where there is none. */
export function sumOf(samples: MetricSamples, name: string): number {
  return (samples.get(name) ?? []).reduce((sum, sample) => sum + sample.value, 0);
}

/**
 * A counter that goes on over restarts of the process that counts. A value below the last one means a new process, whose
 * count is added to what was seen of the old one; what the old one counted after the last look is not known.
 */
export class CounterOverRestarts {
  #before = 0;
  #last = 0;

  see(value: number): void {
    if (value < this.#last) this.#before += this.#last;
    this.#last = value;
  }

  get total(): number {
    return this.#before + this.#last;
  }
}
