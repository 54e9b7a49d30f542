/** A refuted history with statements left out for as long as it stays refuted under the same seed. */
import type { History } from '../model/generate.ts';
import { runSeed, type RunResult } from './run-seed.ts';

/** Runs at most this often: schedules change with the history, so not every smaller one that could fail does. */
const MAX_RUNS = 400;

export async function smallest(refuted: RunResult): Promise<RunResult> {
  let best = refuted;
  let left = MAX_RUNS;
  for (
    let size = Math.ceil(best.history.statements.length / 2);
    size > 0;
    size = size === 1 ? 0 : Math.ceil(size / 2)
  ) {
    for (let at = 0; at < best.history.statements.length && left > 0;) {
      left -= 1;
      const statements = best.history.statements.filter((_, i) => i < at || i >= at + size);
      const history: History = { ...best.history, statements };
      const tried = statements.length === 0 ? null : await runSeed(refuted.seed, history);
      if (tried?.refutation == null) at += size;
      else best = tried;
    }
  }
  return best;
}
