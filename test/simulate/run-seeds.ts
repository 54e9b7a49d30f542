/** Many seeds, over as many threads as are asked for. */
import { Worker } from 'node:worker_threads';
import { runSeed } from './run-seed.ts';
import type { RunCounts } from './stage.ts';

/** Seeds per message: often enough to show progress, seldom enough to cost nothing. */
const CHUNK = 200;

export interface SeedsTask {
  readonly from: number;
  readonly count: number;
  /** No seed is begun after the first refutation. */
  readonly untilRefuted: boolean;
}

export interface Refuted {
  readonly seed: number;
  readonly invariant: string;
}

export interface SeedsReport {
  readonly seeds: number;
  readonly totals: RunCounts;
  /** By seed; of the order in which they were found there is no meaning. */
  readonly refuted: readonly Refuted[];
}

const NOTHING: SeedsReport = {
  seeds: 0,
  totals: { steps: 0, commits: 0, faults: 0, deadLetters: 0 },
  refuted: [],
};

function joined(left: SeedsReport, right: SeedsReport): SeedsReport {
  const add = (name: keyof RunCounts): number => left.totals[name] + right.totals[name];
  return {
    seeds: left.seeds + right.seeds,
    totals: { steps: add('steps'), commits: add('commits'), faults: add('faults'), deadLetters: add('deadLetters') },
    refuted: [...left.refuted, ...right.refuted].sort((a, b) => a.seed - b.seed),
  };
}

/** Runs the seeds in this thread. `onChunk` is told what was added since the last time. */
export async function runSeeds(
  task: SeedsTask,
  onChunk: (part: SeedsReport) => void = () => undefined,
): Promise<SeedsReport> {
  let whole = NOTHING;
  // Errors are made by the thousand and nobody reads where they come from.
  const { stackTraceLimit } = Error;
  Error.stackTraceLimit = 0;
  try {
    let part = NOTHING;
    for (let seed = task.from; seed < task.from + task.count; seed += 1) {
      const { refutation, counts } = await runSeed(seed);
      const refuted = refutation === null ? [] : [{ seed, invariant: refutation.invariant }];
      part = joined(part, { seeds: 1, totals: counts, refuted });
      const isLast = seed === task.from + task.count - 1 || (refutation !== null && task.untilRefuted);
      if (part.seeds < CHUNK && !isLast) continue;
      onChunk(part);
      whole = joined(whole, part);
      part = NOTHING;
      if (isLast) break;
    }
    return whole;
  } finally {
    Error.stackTraceLimit = stackTraceLimit;
  }
}

/** Runs the seeds over threads, each a stretch of its own. */
export async function runSeedsInThreads(
  task: SeedsTask,
  threads: number,
  onProgress: (report: SeedsReport) => void,
): Promise<SeedsReport> {
  if (threads <= 1) {
    let sum = NOTHING;
    return runSeeds(task, (part) => onProgress((sum = joined(sum, part))));
  }
  const share = Math.ceil(task.count / threads);
  let whole = NOTHING;
  const workers: Worker[] = [];
  const work = Array.from({ length: threads }, (_, i): Promise<void> => {
    const from = task.from + i * share;
    const count = Math.min(share, task.from + task.count - from);
    if (count <= 0) return Promise.resolve();
    return new Promise((resolve, reject) => {
      const worker = new Worker(new URL('seeds-thread.ts', import.meta.url), {
        workerData: { ...task, from, count } satisfies SeedsTask,
      });
      workers.push(worker);
      worker.on('message', (part: SeedsReport) => {
        whole = joined(whole, part);
        onProgress(whole);
        if (task.untilRefuted && part.refuted.length > 0) for (const each of workers) void each.terminate();
      });
      worker.on('error', reject);
      worker.on('exit', () => resolve());
    });
  });
  await Promise.all(work);
  return whole;
}
