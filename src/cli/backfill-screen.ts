/** Progress of a backfill on standard error: lines that change on a terminal, a plain line now and then elsewhere. */
import { createLogUpdate } from 'log-update';
import type { BackfillProgress } from '../operate/backfill/backfill-job.ts';

const FRAME_MS = 200;
/** Plain lines come this often where nobody looks at a terminal. */
const LINE_MS = 5_000;
/** The rate is of about this long. */
const RATE_MS = 10_000;
const BAR_WIDTH = 30;

const count = (value: number): string => Math.round(value).toLocaleString('en-US');
const handled = ({ counts }: BackfillProgress): number => counts.rows + counts.statics;

function duration(ms: number): string {
  const seconds = Math.ceil(ms / 1000);
  if (seconds < 60) return `${seconds} s`;
  const minutes = Math.floor(seconds / 60);
  return minutes < 60 ? `${minutes} min ${seconds % 60} s` : `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
}

/** What has been done, in words. */
export function progressText(progress: BackfillProgress): string {
  const { rows, statics, written, unchanged, failed } = progress.counts;
  const read =
    statics === 0 ? `${count(rows)} rows` : `${count(rows)} rows and ${count(statics)} partitions with static values`;
  return `${read} read: ${count(written)} written, ${count(unchanged)} there already, ${count(failed)} left out`;
}

interface Sample {
  readonly atMs: number;
  readonly rows: number;
  readonly covered: number;
}

/** Rate over the last seconds, and how long the rest takes at the pace of this run; null while nobody can tell. */
export class Pace {
  #first: Sample | null = null;
  #recent: readonly Sample[] = [];

  add(progress: BackfillProgress, atMs: number): { readonly rowsPerSecond: number; readonly leftMs: number | null } {
    const sample = { atMs, rows: handled(progress), covered: progress.covered };
    this.#first ??= sample;
    this.#recent = [...this.#recent.filter((each) => atMs - each.atMs <= RATE_MS), sample];
    const oldest = this.#recent[0] ?? sample;
    const seconds = (atMs - oldest.atMs) / 1000;
    const covered = sample.covered - this.#first.covered;
    return {
      rowsPerSecond: seconds === 0 ? 0 : (sample.rows - oldest.rows) / seconds,
      leftMs: covered <= 0 ? null : ((atMs - this.#first.atMs) / covered) * (1 - sample.covered),
    };
  }
}

export interface BackfillScreen {
  show(progress: BackfillProgress): void;
  /** Gives the terminal back. Closing again does nothing. */
  close(): void;
}

export function backfillScreen(stream: NodeJS.WriteStream): BackfillScreen {
  const update = stream.isTTY ? createLogUpdate(stream) : null;
  const everyMs = update === null ? LINE_MS : FRAME_MS;
  const pace = new Pace();
  let shownMs = Number.NEGATIVE_INFINITY;
  let isOpen = true;
  return {
    show(progress) {
      const now = performance.now();
      if (now - shownMs < everyMs && progress.status === 'RUNNING') return;
      shownMs = now;
      const { rowsPerSecond, leftMs } = pace.add(progress, now);
      const share = `${(progress.covered * 100).toFixed(1)} %`;
      const left = leftMs === null || progress.status !== 'RUNNING' ? '' : `, ${duration(leftMs)} left`;
      const numbers = `${share}, ${count(rowsPerSecond)} rows/s${left}`;
      if (update === null) {
        stream.write(`${progress.table} ${numbers}: ${progressText(progress)}\n`);
        return;
      }
      const filled = Math.round(progress.covered * BAR_WIDTH);
      const bar = '━'.repeat(filled) + '─'.repeat(BAR_WIDTH - filled);
      update(`${progress.table} ${bar} ${numbers}\n${progressText(progress)}`);
    },
    close() {
      if (isOpen) update?.done();
      isOpen = false;
    },
  };
}
