/**
 * What goes wrong during the workload, and when. Shares of the workload's time, so that a short demo has it all; each
 * step waits for the one before, so on a slow machine the workload goes on until all of them have happened.
 */
import type { Kafka, Producer } from 'kafkajs';
import type { LockstepService } from '../service/lockstep-service.ts';
import { sumOf } from '../service/metrics-text.ts';
import { pause, waitFor } from '../waiting.ts';
import type { Random } from '../workload/random.ts';
import { logRanges } from '../kafka/kafka.ts';
import { injectPoison } from './poison.ts';
import { redeliver } from './redelivery.ts';
import { DemoError } from '../demo-error.ts';

/** What was injected. */
export interface InjectedFaults {
  kills: number;
  redelivered: number;
  poisoned: number;
}

/** Kinds of entries in the list of events. */
export type FaultKind = 'kill' | 'restart' | 'redelivery' | 'poison';

/** What the plan works on. */
export interface FaultPlanOptions {
  readonly kafka: Kafka;
  readonly producer: Producer;
  readonly topics: readonly string[];
  readonly service: LockstepService;
  readonly random: Random;
  readonly workloadMs: number;
  readonly signal: AbortSignal;
  /** Milliseconds since the workload began. */
  elapsedMs(): number;
  /** Tells people. */
  tell(kind: FaultKind, text: string): void;
  /** The service is down or catching up from now on, or no longer. */
  disturbed(isDisturbed: boolean): void;
  /** Counts as it happens. */
  readonly injected: InjectedFaults;
}

/** Records before the end of each partition that are delivered again. */
const RECENT_PER_PARTITION = 25;
const OLD_PER_PARTITION = 60;
/** A log this long is worth delivering again from. */
const MIN_RECORDS = 60;
const RECORDS_LIMIT_MS = 60_000;
const RECOVERY_LIMIT_MS = 60_000;
/** A process that was just back has applied little; the next crash is to hit one at work. */
const AT_WORK_MS = 1_500;

async function until(shareOfTime: number, options: FaultPlanOptions): Promise<void> {
  await pause(Math.max(0, options.workloadMs * shareOfTime - options.elapsedMs()), options.signal);
}

/** Kills the service, starts it again and waits until it applies changes. */
async function killAndRestart(options: FaultPlanOptions): Promise<void> {
  const { service, signal, injected } = options;
  options.disturbed(true);
  const pid = await service.crash();
  injected.kills += 1;
  options.tell('kill', `SIGKILL to Lockstep (pid ${pid ?? '?'})`);
  const began = performance.now();
  await service.start();
  options.tell('restart', `Lockstep started again (pid ${service.pid ?? '?'})`);
  const recovered = await waitFor(
    async () => {
      await service.assertAlive();
      const metrics = await service.scrape();
      return metrics !== null && sumOf(metrics, 'cdc_changes_total') > 0;
    },
    { limitMs: RECOVERY_LIMIT_MS, everyMs: 200, signal },
  );
  if (!recovered) {
    throw new DemoError(
      'DEMO_SERVICE',
      `Lockstep applied nothing within ${RECOVERY_LIMIT_MS / 1000} s of its restart`,
      'Look at lockstep.log in the demo directory.',
    );
  }
  options.disturbed(false);
  options.tell('restart', `applying again after ${((performance.now() - began) / 1000).toFixed(1)} s`);
}

async function deliverAgain(options: FaultPlanOptions, perPartition: number, skipNewest: number): Promise<void> {
  const { kafka, producer, topics, random, signal } = options;
  const count = await redeliver({ kafka, producer, topics, random, perPartition, skipNewest, signal });
  options.injected.redelivered += count;
  options.tell('redelivery', `${count} records delivered again, shuffled`);
}

/** Carries out the plan; resolves when everything on it has happened. */
export async function runFaultPlan(options: FaultPlanOptions): Promise<void> {
  const { kafka, topics, producer, random, signal } = options;
  const [first] = topics;
  if (first === undefined) return;

  await until(0.15, options);
  await waitFor(
    async () => (await logRanges(kafka, [first])).reduce((sum, { start, end }) => sum + end - start, 0n) >= MIN_RECORDS,
    { limitMs: RECORDS_LIMIT_MS, everyMs: 300, signal },
  );
  await deliverAgain(options, RECENT_PER_PARTITION, 0);
  const poison = await injectPoison(producer, first, 1, random);
  options.injected.poisoned += 1;
  options.tell('poison', `garbage bytes produced to ${poison.topic}/${poison.partition} at offset ${poison.offset}`);

  await until(0.3, options);
  await killAndRestart(options);

  await pause(AT_WORK_MS, signal);
  await until(0.6, options);
  await killAndRestart(options);

  await pause(AT_WORK_MS, signal);
  await until(0.85, options);
  // From before the kills, past newer records: a process that remembers nothing of them must see that they are old.
  await deliverAgain(options, OLD_PER_PARTITION, OLD_PER_PARTITION);
  await deliverAgain(options, RECENT_PER_PARTITION, 0);
}
