/** The figures, for people and for machines. */
import { cpus, totalmem } from 'node:os';
import Table from 'cli-table3';
import type { BatchSizes } from './batches.ts';
import type { Latency } from './latency.ts';
import type { Applied } from './measure.ts';
import type { BenchOptions } from './options.ts';
import type { ProfiledFunction } from './profile.ts';

/** One applier with all its runs. */
export interface Contender {
  readonly name: string;
  readonly meanEventBytes: number;
  readonly runs: readonly Applied[];
}

export interface Report {
  readonly options: BenchOptions;
  readonly versions: Readonly<Record<string, string>>;
  readonly contenders: readonly Contender[];
  readonly batches: BatchSizes | null;
  readonly latency: Latency | null;
  readonly profile: readonly ProfiledFunction[] | null;
}

/** Targets of the project for the first contender (issue 3). */
const TARGETS = { changesPerSecond: 50_000, rssBytes: 400e6, latencyP99Ms: 50 };

export function median(values: readonly (number | null)[]): number | null {
  const known = values.filter((value) => value !== null).sort((a, b) => a - b);
  const middle = Math.floor(known.length / 2);
  const upper = known[middle];
  if (upper === undefined) return null;
  return known.length % 2 === 1 ? upper : (upper + (known[middle - 1] ?? upper)) / 2;
}

export function machine(): Readonly<Record<string, string>> {
  const all = cpus();
  return {
    cores: `${all.length} × ${all[0]?.model ?? 'unknown'}`,
    memory: `${(totalmem() / 2 ** 30).toFixed(0)} GiB`,
    node: process.version,
  };
}

function summary({ name, meanEventBytes, runs }: Contender): Record<string, string | number | null> {
  return {
    name,
    mean_event_bytes: meanEventBytes,
    changes_per_second: median(runs.map((run) => run.changesPerSecond)),
    cpu_seconds_per_million: median(runs.map((run) => run.cpuPerMillion)),
    postgres_cpu_seconds_per_million: median(runs.map((run) => run.postgresCpuPerMillion)),
    peak_rss_bytes: median(runs.map((run) => run.peakRssBytes)),
    load_before: median(runs.map((run) => run.load[0])),
  };
}

function runDocument(run: Applied): Record<string, number | null> {
  return {
    changes_per_second: run.changesPerSecond,
    seconds: run.seconds,
    changes: run.changes,
    cpu_seconds_per_million: run.cpuPerMillion,
    postgres_cpu_seconds_per_million: run.postgresCpuPerMillion,
    peak_rss_bytes: run.peakRssBytes,
    load_before: run.load[0],
    load_after: run.load[1],
  };
}

/** One document: medians, all single runs, ratios lockstep/peer. */
export function reportDocument(report: Report): unknown {
  const { contenders, ...rest } = report;
  const [lockstep, ...peers] = contenders.map(summary);
  const own = Number(lockstep?.['changes_per_second']);
  const ratios = peers.map((peer): [string, number] => [
    String(peer['name']),
    own / Number(peer['changes_per_second']),
  ]);
  return {
    machine: machine(),
    ...rest,
    medians: contenders.map(summary),
    ratios: Object.fromEntries(ratios),
    runs: Object.fromEntries(contenders.map(({ name, runs }) => [name, runs.map(runDocument)])),
  };
}

const number = (value: number | null, digits = 0): string =>
  value === null ? '–' : value.toLocaleString('en', { maximumFractionDigits: digits, minimumFractionDigits: digits });

/** Beside other work a figure is not the applier's: it is shown, and not judged. */
function verdict(reached: boolean, load: number | null): string {
  if (load !== null && load > cpus().length) return `not judged: other work on the machine (load ${number(load, 1)})`;
  return reached ? 'reached' : 'MISSED';
}

function contenderTable(contenders: readonly Contender[]): string {
  const table = new Table({
    head: [
      'applier',
      'changes/s',
      'lockstep ÷ it',
      'CPU s per 1M',
      'PostgreSQL CPU s per 1M',
      'peak RSS MB',
      'bytes/event',
      'load before → after',
    ],
    style: { head: [], border: [] },
    colAligns: ['left', 'right', 'right', 'right', 'right', 'right', 'right', 'right'],
  });
  const own = median(contenders[0]?.runs.map((run) => run.changesPerSecond) ?? []) ?? Number.NaN;
  for (const { name, meanEventBytes, runs } of contenders) {
    const rate = median(runs.map((run) => run.changesPerSecond));
    const rss = median(runs.map((run) => run.peakRssBytes));
    table.push([
      name,
      number(rate),
      number(rate === null ? null : own / rate, 2),
      number(median(runs.map((run) => run.cpuPerMillion)), 1),
      number(median(runs.map((run) => run.postgresCpuPerMillion)), 1),
      number(rss === null ? null : rss / 1e6),
      number(meanEventBytes),
      `${number(median(runs.map((run) => run.load[0])), 1)} → ${number(median(runs.map((run) => run.load[1])), 1)}`,
    ]);
  }
  return table.toString();
}

function targetLines({ contenders, latency }: Report): string[] {
  const runs = contenders[0]?.runs ?? [];
  const load = median(runs.map((run) => run.load[0]));
  const rate = median(runs.map((run) => run.changesPerSecond)) ?? 0;
  const rss = median(runs.map((run) => run.peakRssBytes));
  const { changesPerSecond, rssBytes, latencyP99Ms } = TARGETS;
  const lines = [
    `  ≥ ${number(changesPerSecond)} changes/s: ${number(rate)} ${verdict(rate >= changesPerSecond, load)}`,
  ];
  // Memory does not depend on what else runs.
  if (rss !== null)
    lines.push(`  < ${number(rssBytes / 1e6)} MB resident: ${number(rss / 1e6)} ${verdict(rss < rssBytes, null)}`);
  if (latency !== null) {
    const { p99 } = latency;
    lines.push(`  p99 < ${latencyP99Ms} ms at 1,000 changes/s: ${number(p99, 1)} ${verdict(p99 < latencyP99Ms, load)}`);
  }
  return lines;
}

export function reportText(report: Report): string {
  const { options, versions, contenders, batches, latency, profile } = report;
  const about = Object.entries({ ...machine(), ...versions }).map(([name, value]) => `${name} ${value}`);
  const lines = [
    `Apply: ${number(options.events)} changes over ${number(options.rows)} rows, ${options.partitions} partitions, seed ${options.seed}, ` +
      `${options.repeat === 1 ? 'one run' : `medians of ${options.repeat} runs`} each (bench/README.md)`,
    about.join(' · '),
    '',
    contenderTable(contenders),
  ];
  if (batches !== null) {
    lines.push(
      `Transactions of lockstep: ${number(batches.count)}, changes in each: mean ${number(batches.mean)}, p10 ${number(batches.p10)}, p50 ${number(batches.p50)}, max ${number(batches.max)}`,
    );
  }
  if (latency !== null) {
    lines.push(
      `Latency, Kafka append → PostgreSQL commit, ${number(latency.changes)} changes at ${number(latency.changesPerSecond)}/s: ` +
        `p50 ${number(latency.p50, 1)} ms, p95 ${number(latency.p95, 1)} ms, p99 ${number(latency.p99, 1)} ms, max ${number(latency.max, 1)} ms`,
    );
  }
  if (profile === null) lines.push('', 'Targets:', ...targetLines(report));
  else {
    lines.push(
      '',
      'CPU profile of the service, start to stop (profiling slows it down: the rate above does not count):',
    );
    for (const { name, place, selfMs, share } of profile) {
      lines.push(
        `${number(selfMs).padStart(8)} ms ${number(share * 100, 1).padStart(5)} %  ${name.padEnd(34)} ${place}`,
      );
    }
  }
  return lines.join('\n');
}
