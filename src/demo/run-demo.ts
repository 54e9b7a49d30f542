/**
 * The demo from end to end: stage, live workload with faults, losses of the connector, drain, repair, proof.
 *
 * Whatever happens, nothing is left running: a clean end waits for service and stack, and both die with this process if
 * it is killed (their guardians see to it).
 */
import { join } from 'node:path';
import { Closing } from './closing.ts';
import type { DemoOptions } from './demo-options.ts';
import { drain, type DrainResult } from './drain.ts';
import { runFaultPlan, type InjectedFaults } from './faults/fault-plan.ts';
import { checkDelivery } from './losses/delivery.ts';
import { findLosses, type LossesResult } from './losses/find-losses.ts';
import { provokeLosses, type ProvokedLosses } from './losses/provoke.ts';
import { monitor } from './monitor.ts';
import type { Check } from './proof/check-ledger.ts';
import { prove, type ProofResult } from './proof/prove.ts';
import { outcomeVerdict, type DemoOutcome } from './report.ts';
import type { Board } from './screen/board.ts';
import { DLQ_TOPIC } from './service/configuration-file.ts';
import { KEYSPACE, SHOP_TABLES, TARGET_SCHEMA, topicOf } from './shop/schema.ts';
import { setStage, type Stage } from './stage.ts';
import { StalenessProbes } from './staleness-probes.ts';
import { pause, waitFor } from './waiting.ts';
import { seededRandom } from './workload/random.ts';
import { shopWorkload } from './workload/workload.ts';
import { runWorkload } from './workload/writer.ts';

/** Both sides come to rest within this time, or there is no verdict. */
const DRAIN_LIMIT_MS = 180_000;
/** Probes that are still on their way when the workload ends. */
const PROBE_LIMIT_MS = 30_000;

/** Seeds of what must not shift the choices of the workload. */
const FAULT_SEED = 0x5eed_0001;
const PROBE_SEED = 0x5eed_0002;
const LOSS_SEED = 0x5eed_0003;

/** Runs tasks until `main` is done or any of them fails; then `stop` is called and all are waited for. */
async function together(main: Promise<void>, others: readonly Promise<void>[], stop: () => void): Promise<void> {
  try {
    // A task that ends is no end; only a failure is.
    const failures = others.map((other) => other.then(() => new Promise<never>(() => undefined)));
    await Promise.race([main, ...failures]);
  } finally {
    stop();
    await Promise.allSettled([main, ...others]);
  }
  await Promise.all([main, ...others]);
}

interface WorkloadContext {
  readonly options: DemoOptions;
  readonly board: Board;
  readonly stage: Stage;
  readonly probes: StalenessProbes;
  readonly injected: InjectedFaults;
  readonly signal: AbortSignal;
}

/** The live part: writes, probes and faults, until the time is over and every fault has happened. */
async function liveWorkload({ options, board, stage, probes, injected, signal }: WorkloadContext): Promise<void> {
  const { writer, kafka, producer, service, topics } = stage;
  const ended = new AbortController();
  const until = AbortSignal.any([signal, ended.signal]);
  const next = shopWorkload({ random: seededRandom(options.seed), nowUs: () => BigInt(Date.now()) * 1000n });
  board.enter('workload', `writing ${options.rate} changes/s for ${options.seconds} s`);
  const plan = options.faults
    ? runFaultPlan({
        kafka,
        producer,
        topics,
        service,
        random: seededRandom(options.seed ^ FAULT_SEED),
        workloadMs: board.workloadMs,
        signal: until,
        injected,
        elapsedMs: () => board.workloadElapsedMs,
        tell: (kind, text) => {
          board.tell(kind, text);
        },
        disturbed: (isDisturbed) => {
          probes.disturbed(isDisturbed);
        },
      })
    : Promise.resolve();
  const time = pause(options.seconds * 1000, until);
  await together(
    Promise.all([time, plan]).then(() => undefined),
    [runWorkload(writer, next, { rate: options.rate, until }), probes.write(until)],
    () => {
      ended.abort();
    },
  );
}

/** @param written Changes that the ledger should hold: all that Cassandra acknowledged. */
function demoChecks(proof: ProofResult, written: number, injected: InjectedFaults): Check[] {
  const captured = proof.ledger.changes;
  return [
    {
      name: 'the ledger holds every change that Cassandra acknowledged, and no other',
      ok: captured === written,
      found: `${written} and ${captured}`,
    },
    {
      name: 'nothing but the poison is a dead letter',
      ok: proof.deadLetters.indexed === injected.poisoned,
      found: `${injected.poisoned} injected, ${proof.deadLetters.indexed} indexed`,
    },
  ];
}

function proveStage(stage: Stage, board: Board, signal: AbortSignal): Promise<ProofResult> {
  return prove(
    {
      source: stage.source,
      postgresUrl: stage.endpoints.postgres.url,
      kafka: stage.kafka,
      controlSchema: TARGET_SCHEMA,
      dlqTopic: DLQ_TOPIC,
      tables: SHOP_TABLES.map((table) => ({
        keyspace: KEYSPACE,
        table,
        target: { schema: TARGET_SCHEMA, table },
        topic: topicOf(stage.endpoints.agent.topicPrefix, table),
      })),
    },
    {
      signal,
      onProgress: (what) => {
        board.progress(what);
      },
    },
  );
}

/**
 * Runs a demo. Rejects where it can't be carried out (a part does not start, the signal is aborted); that the proof
 * does not pass is an outcome. Nothing that it started runs on afterwards.
 */
export async function runDemo(options: DemoOptions, board: Board, signal: AbortSignal): Promise<DemoOutcome> {
  const closing = new Closing();
  let outcome: DemoOutcome;
  let stage: Stage;
  try {
    stage = await setStage(options, board, closing, signal);
    const { writer, postgres, kafka, service, topics, endpoints } = stage;
    const probes = new StalenessProbes(writer, postgres, seededRandom(options.seed ^ PROBE_SEED));
    const injected: InjectedFaults = { kills: 0, redelivered: 0, poisoned: 0 };
    const watched = new AbortController();
    const background = Promise.all([
      probes.look(watched.signal),
      monitor(
        { board, writer, kafka, postgres, service, probes, topics, agentHealthUrl: endpoints.agent.healthUrl },
        watched.signal,
      ),
    ]);
    // Seen when it is awaited; until then it is no unhandled rejection.
    background.catch(() => undefined);
    let drained: DrainResult;
    let proof: ProofResult | null = null;
    let provoked: ProvokedLosses | null = null;
    let losses: LossesResult | null = null;
    let delivery: Check | null = null;
    try {
      await liveWorkload({ options, board, stage, probes, injected, signal });
      if (options.faults) {
        board.enter('losses', 'provoking what the connector loses');
        provoked = await provokeLosses({
          ...stage,
          random: seededRandom(options.seed ^ LOSS_SEED),
          signal,
          tell: (text) => {
            board.tell('loss', text);
          },
        });
      }
      board.enter('drain', 'waiting for what is on its way');
      drained = await drain({
        writer,
        kafka,
        postgres,
        topics,
        limitMs: DRAIN_LIMIT_MS,
        signal,
        onProgress: (what) => {
          board.progress(what);
        },
        assertServing: () => service.assertAlive(),
      });
      // Nothing is written from here on.
      const restMs = Date.now();
      await waitFor(() => probes.settled, { limitMs: drained === null ? PROBE_LIMIT_MS : 0, everyMs: 50, signal });
      if (drained === null && provoked !== null) {
        board.enter('repair');
        losses = await findLosses({
          provoked,
          postgres,
          configurationFile: stage.configurationFile,
          logFile: join(stage.stack.dir, 'reconcile.log'),
          signal,
          progress: (text) => {
            board.progress(text);
          },
          tell: (kind, text) => {
            board.tell(kind, text);
          },
        });
      }
      if (drained === null) {
        board.progress('waiting for the delivery windows');
        delivery = await checkDelivery(postgres, restMs, stage.fresh ? (losses?.replayed ?? 0) : null, signal);
        board.enter('proof');
        proof = await proveStage(stage, board, signal);
      }
    } finally {
      watched.abort();
      await Promise.allSettled([background]);
    }
    board.enter('done');
    const written = writer.counts.changes;
    outcome = {
      seed: options.seed,
      seconds: options.seconds,
      rate: options.rate,
      proof,
      inconclusive: drained === null ? null : `After ${DRAIN_LIMIT_MS / 1000} s ${drained}.`,
      written,
      injected,
      restarts: service.restarts,
      staleness: probes.all,
      stalenessUndisturbed: probes.undisturbed,
      events: board.events,
      // What an earlier demo wrote is in the ledger too, and nobody counted it.
      losses: losses?.outcomes ?? [],
      checks: [
        ...(losses?.checks ?? []),
        ...(delivery === null ? [] : [delivery]),
        ...(proof === null || !stage.fresh ? [] : demoChecks(proof, written, injected)),
      ],
      dir: stage.stack.dir,
      tookMs: board.elapsedMs,
    };
  } catch (error) {
    // What went wrong first is what counts; closing goes on to the end whatever fails there.
    await closing.run().catch(() => undefined);
    throw error;
  }
  await closing.run();
  // Data of a demo that passed are of no use; those of one that did not are what there is to look at.
  if (!options.keep && outcomeVerdict(outcome) === 'PASS') await stage.stack.destroy();
  return outcome;
}
