/**
 * The verification of delivery windows: a ledger in a real PostgreSQL, as batches leave it, against a changelog in memory.
 * Reading a changelog out of Kafka or Cassandra has its own price, which is that of decoding and of the network.
 */
import { randomBytes } from 'node:crypto';
import type { Changelog, ChangelogEntry } from '../../src/reconcile/delivery/changelog.ts';
import { verifyWindows } from '../../src/reconcile/delivery/verify-windows.ts';
import { createPool } from '../../src/target/index.ts';
import { LedgerReader } from '../../src/target/stores/ledger-reader.ts';
import type { BenchDatabase } from './database.ts';

const BATCH_IDS = 2_000;
const ID_BYTES = 16;
const TIME_BYTES = 6;
const WINDOW_MS = 60_000;
/** IDs of one window: half a million changes a minute. */
const WINDOW_IDS = 500_000;
const FIRST_MS = 1_795_000_000_000;
const PAGE_ENTRIES = 1_000;

function idsOf(window: number): Buffer[] {
  const random = randomBytes(WINDOW_IDS * (ID_BYTES - TIME_BYTES));
  return Array.from({ length: WINDOW_IDS }, (_, i) => {
    const id = Buffer.alloc(ID_BYTES);
    id.writeUIntBE(FIRST_MS + window * WINDOW_MS + Math.floor((i * WINDOW_MS) / WINDOW_IDS), 0, TIME_BYTES);
    random.copy(id, TIME_BYTES, i * (ID_BYTES - TIME_BYTES), (i + 1) * (ID_BYTES - TIME_BYTES));
    return id;
  });
}

async function fillLedger(
  database: BenchDatabase,
  table: string,
  ids: readonly Buffer[],
  first: number,
): Promise<void> {
  for (let at = 0; at < ids.length; at += BATCH_IDS) {
    const batch = ids.slice(at, at + BATCH_IDS).sort((left, right) => Buffer.compare(left, right));
    const [min, max] = [batch[0]?.toString('hex'), batch.at(-1)?.toString('hex')];
    await database.pool.query(
      `INSERT INTO _cdc_ledger (table_id, topic, incarnation, partition, from_offset, next_offset, records, duplicates, skipped,
         processed, filtered, dead_lettered, min_id, max_id, ids, outcomes)
       SELECT id, 'bench', 1, 0, $2::bigint, $2::bigint + $3::integer, $3, 0, 0, $3, 0, 0, $4::uuid, $5::uuid, $6, $7
       FROM _cdc_tables WHERE source = $1`,
      [table, first + at, batch.length, min, max, Buffer.concat(batch), Buffer.alloc(batch.length)],
    );
  }
}

/** Change IDs a second. */
export async function verifyIds(database: BenchDatabase, table: string, ids: number): Promise<number> {
  const pool = createPool({ url: database.url, poolSize: 2 });
  try {
    const windows = Math.max(1, Math.round(ids / WINDOW_IDS));
    const { signal } = new AbortController();
    let elapsedMs = 0;
    for (let window = 0; window < windows; window++) {
      const made = idsOf(window);
      await fillLedger(database, table, made, window * WINDOW_IDS);
      const pages: ChangelogEntry[][] = [];
      for (let at = 0; at < made.length; at += PAGE_ENTRIES) {
        const page = made.slice(at, at + PAGE_ENTRIES);
        pages.push(
          page.map((id) => ({ id: id.toString('hex'), evidence: { kind: 'key', changeKind: 'write', key: ['1'] } })),
        );
      }
      const changelog: Changelog = {
        name: 'cassandra',
        async *read() {
          for (const page of pages) yield await Promise.resolve(page);
        },
      };
      const startMs = FIRST_MS + window * WINDOW_MS;
      const beganMs = performance.now();
      const [verified] = await verifyWindows(
        { changelog, ledger: new LedgerReader(pool, 'public'), hasCollections: () => false, replay: null },
        table,
        [{ startMs, endMs: startMs + WINDOW_MS }],
        () => Promise.resolve({ unproven: null, silent: null }),
        signal,
      );
      elapsedMs += performance.now() - beganMs;
      if (verified?.account.changelog !== WINDOW_IDS || verified.account.missing !== 0) {
        throw new Error(`a window of ${WINDOW_IDS} is not found whole: ${JSON.stringify(verified?.account)}`);
      }
    }
    return (windows * WINDOW_IDS) / (elapsedMs / 1000);
  } finally {
    await pool.end();
  }
}
