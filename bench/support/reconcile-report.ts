/** Command line and figures of `bench:reconcile`. */
import { cpus } from 'node:os';
import { parseArgs } from 'node:util';
import type { StreamFigures, StreamTurn } from './live-stream.ts';
import type { ProfiledFunction } from './profile.ts';
import { machine, median } from './report.ts';

export const USAGE = `usage: npm run bench:reconcile -- [options]
  --rows N[,N…]    rows of the compared table, one table a size (1000000); 1000000,10000000 compares their memory
  --repeat N       readings and comparisons of each table, in turn; medians are printed (3)
  --fill HOW       how the target gets its rows: backfill, or copy where that takes too long (backfill)
  --ids N          change IDs whose windows are verified (2000000)
  --events N       changes of the live stream, applied with and without a scan beside it (300000); 0 = without
  --stream-turns N the stream alone and beside the scan, in turn; medians are printed (5)
  --scan-rate N    rows a second of that scan (5000)
  --profile DIR    keeps CPU profiles of the comparisons in DIR and prints the last one
  --json           one JSON document on standard output`;

export interface ReconcileOptions {
  readonly rows: readonly number[];
  readonly repeat: number;
  readonly fill: 'backfill' | 'copy';
  readonly ids: number;
  readonly events: number;
  readonly scanRate: number;
  readonly streamTurns: number;
  readonly profileDir: string | null;
  readonly json: boolean;
}

function count(name: string, text: string, minimum = 1): number {
  const value = Number(text);
  if (Number.isSafeInteger(value) && value >= minimum) return value;
  throw new TypeError(`--${name} must be a whole number from ${minimum}, not ${text}`);
}

function fillOf(how: string): ReconcileOptions['fill'] {
  if (how === 'backfill' || how === 'copy') return how;
  throw new TypeError(`--fill must be backfill or copy, not ${how}`);
}

/** Throws a TypeError for wrong usage. */
export function optionsOf(args: readonly string[]): ReconcileOptions {
  const { values } = parseArgs({
    args: [...args],
    options: {
      rows: { type: 'string', default: '1000000' },
      repeat: { type: 'string', default: '3' },
      fill: { type: 'string', default: 'backfill' },
      ids: { type: 'string', default: '2000000' },
      events: { type: 'string', default: '300000' },
      'scan-rate': { type: 'string', default: '5000' },
      'stream-turns': { type: 'string', default: '5' },
      profile: { type: 'string' },
      json: { type: 'boolean', default: false },
    },
  });
  return {
    rows: values.rows.split(',').map((text) => count('rows', text)),
    repeat: count('repeat', values.repeat),
    fill: fillOf(values.fill),
    ids: count('ids', values.ids),
    events: count('events', values.events, 0),
    scanRate: count('scan-rate', values['scan-rate']),
    streamTurns: count('stream-turns', values['stream-turns']),
    profileDir: values.profile ?? null,
    json: values.json,
  };
}

/** Rows a second unless they say otherwise. */
export interface TableFigures {
  readonly rows: number;
  /** How the target got its rows, by backfill or COPY. */
  readonly filledRowsPerSecond: number;
  readonly backfillPeakRssMiB: number | null;
  /** With the driver: the columns alone, and with all that a comparison reads. */
  readonly reads: readonly { readonly columns: number; readonly same: number; readonly atOnce: number }[];
  readonly checksums: readonly number[];
  /** Of the comparisons, seconds a million rows; their start is in it. */
  readonly checksumCpu: readonly number[];
  /** Of the comparisons. */
  readonly peakRssMiB: number | null;
}

export interface ReconcileFigures {
  readonly tables: readonly TableFigures[];
  /** Change IDs a second. */
  readonly windows: number;
  readonly stream: StreamFigures | null;
  /** Load average before and after. */
  readonly load: readonly [number | null, number | null];
  readonly profile: readonly ProfiledFunction[] | null;
}

/** Targets of the project (issue 6). */
const TARGETS = { checksumRatio: 0.6, idsPerSecond: 1_000_000, streamRatio: 0.8 };

interface Ratios {
  readonly rows: number;
  readonly checksum: number;
  readonly columns: number;
  readonly same: number;
  readonly atOnce: number;
  readonly toColumns: number;
  readonly toSame: number;
  readonly toAtOnce: number;
}

/** The median of the turns' ratios: what changes from turn to turn meets both of one. */
function streamRatio({ turns }: StreamFigures): number {
  return median(turns.map(({ alone, besideScan }) => besideScan / alone)) ?? Number.NaN;
}

function ratiosOf({ rows, reads, checksums }: TableFigures): Ratios {
  const checksum = median(checksums) ?? Number.NaN;
  const columns = median(reads.map((read) => read.columns)) ?? Number.NaN;
  const same = median(reads.map((read) => read.same)) ?? Number.NaN;
  const atOnce = median(reads.map((read) => read.atOnce)) ?? Number.NaN;
  return {
    rows,
    checksum,
    columns,
    same,
    atOnce,
    toColumns: checksum / columns,
    toSame: checksum / same,
    toAtOnce: checksum / atOnce,
  };
}

export function reconcileDocument(figures: ReconcileFigures): unknown {
  const { stream } = figures;
  return {
    machine: machine(),
    ...figures,
    ratios: figures.tables.map(ratiosOf),
    stream_ratio: stream === null ? null : streamRatio(stream),
  };
}

const number = (value: number, digits = 0): string =>
  value.toLocaleString('en', { maximumFractionDigits: digits, minimumFractionDigits: digits });
const percent = (share: number): string => `${number(share * 100)} %`;

/** Beside other work a figure is not the program's: it is shown, and not judged. */
function verdict(reached: boolean, [before, after]: ReconcileFigures['load']): string {
  if (Math.max(before ?? 0, 0) > cpus().length)
    return `not judged: other work on the machine (load ${before}, ${after})`;
  return reached ? 'reached' : 'MISSED';
}

export function reconcileText(figures: ReconcileFigures, { repeat, fill, ids, events }: ReconcileOptions): string {
  const { tables, windows, stream, load, profile } = figures;
  const lines = [
    Object.entries(machine())
      .map(([name, value]) => `${name} ${value}`)
      .join(' · '),
    '',
  ];
  for (const table of tables) {
    const { rows, checksum, columns, same, atOnce, toColumns, toSame, toAtOnce } = ratiosOf(table);
    lines.push(
      `${number(rows)} rows, medians of ${repeat}:`,
      `  CHECKSUM ${number(checksum)} rows/s, peak ${table.peakRssMiB ?? '–'} MiB resident, ${number(median(table.checksumCpu) ?? Number.NaN, 1)} s CPU a million rows`,
      `  reading the same with the driver ${number(same)} rows/s: ratio ${percent(toSame)}, ≥ ${percent(TARGETS.checksumRatio)}: ${verdict(toSame >= TARGETS.checksumRatio, load)}`,
      `  reading it with as many ranges at once as a comparison ${number(atOnce)} rows/s: ratio ${percent(toAtOnce)}`,
      `  reading the columns alone ${number(columns)} rows/s: ratio ${percent(toColumns)}`,
      `  ${fill} before that ${number(table.filledRowsPerSecond)} rows/s, peak ${table.backfillPeakRssMiB ?? '–'} MiB`,
    );
  }
  lines.push(
    `Windows of ${number(ids)} change IDs: ${number(windows)} IDs/s, ≥ ${number(TARGETS.idsPerSecond)}: ${verdict(windows >= TARGETS.idsPerSecond, load)}`,
  );
  if (stream !== null) {
    const ratio = streamRatio(stream);
    const middle = (of: (turn: StreamTurn) => number): string => number(median(stream.turns.map(of)) ?? Number.NaN);
    lines.push(
      `Live stream of ${number(events)} changes, medians of ${stream.turns.length} turns: ${middle((turn) => turn.alone)} changes/s alone, ` +
        `${middle((turn) => turn.besideScan)} beside a scan of ${number(stream.scanRate)} rows/s (${middle((turn) => turn.scanned)} were compared): ` +
        `${percent(ratio)}, ≥ ${percent(TARGETS.streamRatio)}: ${verdict(ratio >= TARGETS.streamRatio, load)}`,
      `  ratios of the turns: ${stream.turns.map(({ alone, besideScan }) => percent(besideScan / alone)).join(', ')}`,
    );
  }
  lines.push(`Load average ${load[0] ?? '–'} before, ${load[1] ?? '–'} after`);
  if (profile !== null) {
    lines.push('', 'CPU profile of the last comparison (the figures above are slower for it):');
    for (const { name, place, selfMs, share } of profile) {
      lines.push(
        `${number(selfMs).padStart(8)} ms ${number(share * 100, 1).padStart(5)} %  ${name.padEnd(34)} ${place}`,
      );
    }
  }
  return lines.join('\n');
}
