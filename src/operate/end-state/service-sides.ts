/** What comparisons within a running service work with: its connections, and tables as they are bound at the moment. */
import type { Client } from 'cassandra-driver';
import type { Pool } from 'pg';
import type { RowKey } from '../../change/change-event.ts';
import { staticTable } from '../../catalog/static-table.ts';
import type { Table } from '../../catalog/table.ts';
import type { RangeParts } from '../../reconcile/end-state/compare-range.ts';
import type { ConcludeParts } from '../../reconcile/end-state/conclude-comparison.ts';
import { LockstepError } from '../../shared/errors.ts';
import { RowReader } from '../../source/row-reader.ts';
import { scanUnread } from '../../source/row-scan.ts';
import { scanSession } from '../../source/scan-session.ts';
import type { ScannedRow } from '../../source/scanned-rows.ts';
import type { PartSide } from '../../target/stores/part-store.ts';
import { TokenScan } from '../../target/scan/token-scan.ts';
import { waitForBarrier } from '../delivery/barrier-wait.ts';
import { BARRIER_LIMIT_MS, captureWait } from '../heartbeats/capture-wait.ts';
import type { ScanThrottle } from '../jobs/scan-throttle.ts';
import { SCAN_PATIENCE, tableMappingOf } from '../connect/one-table.ts';
import { processPacing } from '../connect/process-pacing.ts';
import type { RunningParts } from '../service/running-parts.ts';
import { rowParts } from './row-parts.ts';
import { changedSince, sourceId } from './source-change.ts';

/** One side of a table: its rows, or those of its static columns. */
export interface Side {
  readonly side: PartSide;
  readonly parts: RangeParts & ConcludeParts;
  /** Cassandra's ID of the source's table; null where it has none of the name. */
  sourceId(): Promise<string | null>;
  /** What has changed of the source's schema since its table had this ID, in words; null: nothing. */
  changedSince(id: string | null): Promise<string | null>;
  /** For the plan: rows of the target, roughly. */
  estimatedRows(): Promise<number>;
}

export interface SideOptions {
  readonly running: RunningParts;
  readonly cassandra: Client;
  /** Scans, findings and the session of repairs; the stream's pool is not asked. */
  readonly pool: Pool;
  readonly throttle: ScanThrottle;
}

/** Tables as sides. Methods reject with a LockstepError. */
export class ServiceSides {
  readonly #options: SideOptions;
  readonly #reader: RowReader;

  constructor(options: SideOptions) {
    this.#options = options;
    this.#reader = new RowReader(options.cassandra, options.running.clock);
  }

  /** @throws LockstepError where the table is not configured (any more). */
  async of(name: string): Promise<readonly [Side, ...Side[]]> {
    const { prepared, configuration } = this.#options.running;
    tableMappingOf(configuration, name);
    const { table } = prepared.target.boundOf(name);
    const statics = staticTable(table);
    const rows = await this.#side('rows', table, table);
    return statics === null ? [rows] : [rows, await this.#side('statics', statics, table)];
  }

  /** @param whole The table as the source has it, of which `table` may be the static columns. */
  async #side(side: PartSide, table: Table, whole: Table): Promise<Side> {
    const { running, cassandra, pool, throttle } = this.#options;
    const { prepared, configuration, port, clock, logger } = running;
    const { target } = prepared;
    const { controlSchema } = configuration.target.postgres;
    const { topic } = whole;
    const { consistency } = configuration.source.cassandra ?? {};
    const reader = this.#reader;
    const bound = target.boundOf(table.name);
    const scan = new TokenScan(pool, bound);
    const wait = {
      logRanges: (name: string) => port.logRanges(name),
      shards: target.shards,
      pool,
      controlSchema,
      limitMs: BARRIER_LIMIT_MS,
    };
    return {
      side,
      sourceId: () => sourceId(cassandra, whole),
      changedSince: (id) => changedSince(cassandra, whole, id),
      estimatedRows: async () => (await scan.estimatedRows()) ?? 0,
      parts: {
        ...(await rowParts({ target, pool, controlSchema, reader, clock, consistency }, bound, topic)),
        target: scan,
        scanSource: async function* (range, signal) {
          const options = {
            ...SCAN_PATIENCE,
            range,
            from: null,
            signal,
            elapsedMs: processPacing.elapsedMs,
            passesOver: true,
          };
          for await (const page of scanUnread(scanSession(cassandra), table, options)) {
            yield page;
            const key = lastKey(page.rows);
            if (key === null) continue;
            await throttle.page(page.rows.length, () => reader.read(table, [key], signal), signal);
          }
        },
        // What is owed of static columns stands in the queues of their table's shards.
        barrier: (signal) => waitForBarrier(wait, { table: table.name, topic }, signal),
        // No event tells of static columns, so the capture never holds one.
        captured: side === 'statics' ? () => Promise.resolve(null) : captureWait(configuration, cassandra, pool, clock),
        repairs: target.repairsOver(pool),
        onLeft: ({ key }, reason) => {
          logger.warn({ table: table.name, row: key.text, reason }, 'a drifting row is not repaired');
        },
      },
    };
  }
}

/** Key of the last row whose key can be read; null where there is none. */
function lastKey(rows: readonly Pick<ScannedRow, 'key'>[]): RowKey | null {
  for (let i = rows.length - 1; i >= 0; i--) {
    try {
      return rows[i]?.key ?? null;
    } catch (error) {
      if (!(error instanceof LockstepError) || error.kind !== 'row') throw error;
    }
  }
  return null;
}
