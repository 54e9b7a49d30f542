/** One simulated run: a history, its capture, the service under faults, and the proof that the target is the source. */
import { seededRandom } from '../../src/demo/workload/random.ts';
import { generateHistory, type History } from '../model/generate.ts';
import type { Refutation } from './audit.ts';
import { emitHistory } from './capture.ts';
import { Ending } from './ending.ts';
import { Stage, START_MS, type RunCounts } from './stage.ts';
import { boundTableOf } from './table.ts';
import { Trouble } from './trouble.ts';

const MAX_STATEMENTS = 18;

export interface RunResult {
  readonly seed: number;
  readonly history: History;
  readonly refutation: Refutation | null;
  readonly counts: RunCounts;
}

/** The history that a seed stands for. */
export function historyOf(seed: number): History {
  const random = seededRandom(seed);
  return generateHistory(random, START_MS, random.between(3, MAX_STATEMENTS));
}

/** Runs the seed's history, or another one under the seed's schedule and faults (to find a smaller one). */
export async function runSeed(
  seed: number,
  history: History = historyOf(seed),
  trace: ((line: string) => void) | null = null,
): Promise<RunResult> {
  const stage = new Stage(seed, history, await boundTableOf(history.schema), trace);
  await run(stage);
  return { seed, history, refutation: stage.refutation, counts: stage.counts };
}

async function run(stage: Stage): Promise<void> {
  const { history, random, scheduler, kafka, source, audit } = stage;
  const trouble = new Trouble(stage);
  for (let i = random.between(1, 2); i > 0; i -= 1) stage.start();
  kafka.rebalance();
  const endMs = emitHistory(history, kafka, random, {
    onExecuted: (mutation) => source.apply(mutation),
    onEmitted: (mutation) => audit.emitted(mutation),
  });
  let isEmitted = false;
  scheduler.after(endMs, () => (isEmitted = true));
  trouble.schedule(endMs);
  if (!(await stage.until('the stream was consumed', () => isEmitted && stage.isDrained()))) return;
  stage.heal();
  await new Ending(stage).run();
}
