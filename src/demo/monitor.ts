/** Keeps the board's numbers up to date while the workload runs. Figures for people: the report counts again at the end. */
import type { Kafka } from 'kafkajs';
import type pg from 'pg';
import { lagBehind } from './drain.ts';
import { logRanges } from './kafka/kafka.ts';
import { advance, type Board } from './screen/board.ts';
import type { LockstepService } from './service/lockstep-service.ts';
import { CounterOverRestarts, sumOf } from './service/metrics-text.ts';
import { SHOP_TABLES, TARGET_SCHEMA } from './shop/schema.ts';
import type { StalenessProbes } from './staleness-probes.ts';
import { pause } from './waiting.ts';
import type { SourceWriter } from './workload/writer.ts';

/** What is watched. */
export interface MonitorOptions {
  readonly board: Board;
  readonly writer: SourceWriter;
  readonly kafka: Kafka;
  readonly postgres: pg.Pool;
  readonly service: LockstepService;
  readonly probes: StalenessProbes;
  readonly topics: readonly string[];
  readonly agentHealthUrl: string;
}

const LOOK_EVERY_MS = 1_000;
/** Counting rows and asking the agent is dearer than the rest. */
const RARE_LOOKS = 3;
const AGENT_LIMIT_MS = 700;

async function agentIsHealthy(url: string): Promise<boolean> {
  try {
    const response = await fetch(url, { signal: AbortSignal.timeout(AGENT_LIMIT_MS) });
    return /true/i.test(await response.text());
  } catch {
    return false;
  }
}

async function countRows(postgres: pg.Pool): Promise<number> {
  const { rows } = await postgres.query<{ rows: string }>(
    `SELECT ${SHOP_TABLES.map((table) => `(SELECT count(*) FROM ${TARGET_SCHEMA}.${table})`).join(' + ')} AS rows`,
  );
  return Number(rows[0]?.rows ?? 0);
}

/** Looks once a second until told to stop. A look that fails shows the last numbers a second longer. */
export async function monitor(options: MonitorOptions, until: AbortSignal): Promise<void> {
  const { board, writer, kafka, postgres, service, probes, topics } = options;
  const { numbers } = board;
  const changes = new CounterOverRestarts();
  const duplicates = new CounterOverRestarts();
  const deadLetters = new CounterOverRestarts();

  async function look(rare: boolean, seconds: number): Promise<void> {
    advance(numbers.writes, writer.counts.changes, seconds);
    numbers.stalenessMs = probes.nowMs();
    if (probes.all.samples > 0) {
      numbers.stalenessP50 = probes.all.p50;
      numbers.stalenessP99 = probes.all.p99;
    }
    numbers.restarts = service.restarts;
    const metrics = await service.scrape();
    if (metrics !== null) {
      changes.see(sumOf(metrics, 'cdc_changes_total'));
      duplicates.see(sumOf(metrics, 'cdc_duplicates_total'));
      deadLetters.see(sumOf(metrics, 'cdc_dead_letters_total'));
    }
    if (service.pid === null) numbers.service = 'down';
    else if (metrics === null || sumOf(metrics, 'cdc_changes_total') === 0) numbers.service = 'starting';
    else numbers.service = 'running';
    advance(numbers.changes, changes.total, seconds);
    numbers.duplicates = duplicates.total;
    numbers.deadLetters = deadLetters.total;
    const ranges = await logRanges(kafka, topics);
    advance(numbers.records, Number(ranges.reduce((sum, { start, end }) => sum + end - start, 0n)), seconds);
    numbers.lag = await lagBehind(postgres, ranges);
    if (!rare) return;
    numbers.rows = await countRows(postgres);
    numbers.agentHealthy = await agentIsHealthy(options.agentHealthUrl);
  }

  let before = performance.now();
  for (let round = 0; !until.aborted; round += 1) {
    const now = performance.now();
    try {
      await look(round % RARE_LOOKS === 0, (now - before) / 1000);
    } catch {
      // The run itself finds out what is broken; here it would only hide the screen.
    }
    before = now;
    await pause(Math.max(0, LOOK_EVERY_MS - (performance.now() - now)));
  }
}
