/**
 * Measures staleness end to end: rows written to Cassandra whose write time is known, and when PostgreSQL shows them.
 */
import { build, type Histogram } from 'hdr-histogram-js';
import cassandra from 'cassandra-driver';
import type pg from 'pg';
import { TARGET_SCHEMA } from './shop/schema.ts';
import { pause } from './waiting.ts';
import { randomUuid, type Random } from './workload/random.ts';
import { insert } from './workload/write.ts';
import type { SourceWriter } from './workload/writer.ts';

/** Between two probes. */
const PROBE_EVERY_MS = 400;
/** Between two looks at PostgreSQL: the resolution of the figure. */
const LOOK_EVERY_MS = 15;
const HIGHEST_MS = 3_600_000;

/** Percentiles in milliseconds. */
export interface StalenessSummary {
  readonly p50: number;
  readonly p99: number;
  readonly max: number;
  readonly samples: number;
}

interface Probe {
  readonly writtenMs: number;
  disturbed: boolean;
}

function histogram(): Histogram {
  return build({ lowestDiscernibleValue: 1, highestTrackableValue: HIGHEST_MS, numberOfSignificantValueDigits: 3 });
}

function summary(of: Histogram): StalenessSummary {
  const max = of.totalCount === 0 ? 0 : of.maxValue;
  // A histogram answers with the upper end of a bucket, which may lie above everything that was measured.
  const percentile = (share: number): number => Math.min(max, of.getValueAtPercentile(share));
  return { p50: percentile(50), p99: percentile(99), max, samples: of.totalCount };
}

/** Probes in the table of customers, as rows like any other: the proof compares them too. */
export class StalenessProbes {
  readonly #writer: SourceWriter;
  readonly #postgres: pg.Pool;
  readonly #random: Random;
  readonly #open = new Map<string, Probe>();
  readonly #all = histogram();
  readonly #undisturbed = histogram();
  #isDown = false;
  /** Probes that the catching up after a crash is over with: those on their way when the service was back. */
  readonly #catchingUp = new Set<string>();
  #lastMs: number | null = null;

  constructor(writer: SourceWriter, postgres: pg.Pool, random: Random) {
    this.#writer = writer;
    this.#postgres = postgres;
    this.#random = random;
  }

  /** Over the whole run, injected crashes included. */
  get all(): StalenessSummary {
    return summary(this.#all);
  }

  /** Without the probes that met an injected crash or the catching up after it. */
  get undisturbed(): StalenessSummary {
    return summary(this.#undisturbed);
  }

  /** Staleness now: the age of the oldest probe that is not visible yet, or the last measurement. */
  nowMs(): number | null {
    const oldest = Math.min(...[...this.#open.values()].map(({ writtenMs }) => writtenMs));
    const waiting = Number.isFinite(oldest) ? Date.now() - oldest : 0;
    return this.#lastMs === null && waiting === 0 ? null : Math.max(waiting, this.#lastMs ?? 0);
  }

  /** The service was killed (true), or it applies changes again (false) and catches up with what has waited. */
  disturbed(isDown: boolean): void {
    this.#isDown = isDown;
    for (const [id, probe] of this.#open) {
      probe.disturbed = true;
      if (!isDown) this.#catchingUp.add(id);
    }
  }

  /** Whether every probe was seen. */
  get settled(): boolean {
    return this.#open.size === 0;
  }

  /** Writes probes until `stopWriting`. */
  async write(stopWriting: AbortSignal): Promise<void> {
    for (let number = 1; !stopWriting.aborted; number += 1) {
      const id = randomUuid(this.#random);
      this.#open.set(id, { writtenMs: Date.now(), disturbed: this.#isDown || this.#catchingUp.size > 0 });
      const columns = {
        id: cassandra.types.Uuid.fromString(id),
        email: `probe-${number}@example.org`,
        name: 'staleness probe',
      };
      await this.#writer.write(insert('customers', columns));
      await pause(PROBE_EVERY_MS);
    }
  }

  /** Looks for them in PostgreSQL until `stopLooking`. */
  async look(stopLooking: AbortSignal): Promise<void> {
    while (!stopLooking.aborted) {
      if (this.#open.size > 0) {
        const { rows } = await this.#postgres.query<{ id: string }>({
          name: 'demo-probes',
          text: `SELECT id::text FROM ${TARGET_SCHEMA}.customers WHERE id = ANY($1::uuid[])`,
          values: [[...this.#open.keys()]],
        });
        for (const { id } of rows) this.#seen(id);
      }
      await pause(LOOK_EVERY_MS);
    }
  }

  #seen(id: string): void {
    const probe = this.#open.get(id);
    if (probe === undefined) return;
    this.#open.delete(id);
    this.#catchingUp.delete(id);
    const staleness = Math.min(HIGHEST_MS, Math.max(0, Date.now() - probe.writtenMs));
    this.#lastMs = staleness;
    this.#all.recordValue(staleness);
    if (!probe.disturbed) this.#undisturbed.recordValue(staleness);
  }
}
