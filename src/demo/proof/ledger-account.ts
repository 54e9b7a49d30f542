/** Reads the ledger's segments out of PostgreSQL by plain SQL. */
import type pg from 'pg';

/** One committed batch of one shard. */
export interface LedgerSegment {
  readonly topic: string;
  readonly incarnation: number;
  readonly partition: number;
  readonly from: bigint;
  readonly next: bigint;
  readonly records: number;
  readonly duplicates: number;
  readonly skipped: number;
  readonly processed: number;
  readonly filtered: number;
  readonly deadLettered: number;
  /** Change IDs, 32 hexadecimal digits each. */
  readonly ids: readonly string[];
  readonly outcomes: number;
}

interface SegmentRow {
  readonly topic: string;
  readonly incarnation: number;
  readonly partition: number;
  readonly from_offset: string;
  readonly next_offset: string;
  readonly records: number;
  readonly duplicates: number;
  readonly skipped: number;
  readonly processed: number;
  readonly filtered: number;
  readonly dead_lettered: number;
  readonly ids: string;
  readonly outcomes: number;
}

const ID_DIGITS = 32;

function idsOf(hex: string): string[] {
  const ids: string[] = [];
  for (let at = 0; at < hex.length; at += ID_DIGITS) ids.push(hex.slice(at, at + ID_DIGITS));
  return ids;
}

/** Segments of the given topics, by shard and offset. */
export async function readLedger(
  client: pg.Client,
  schema: string,
  topics: readonly string[],
): Promise<LedgerSegment[]> {
  const { rows } = await client.query<SegmentRow>(
    `SELECT topic, incarnation, partition, from_offset::text, next_offset::text, records, duplicates, skipped, processed,
            filtered, dead_lettered, encode(ids, 'hex') AS ids, octet_length(outcomes) AS outcomes
     FROM "${schema}"._cdc_ledger WHERE topic = ANY($1) AND origin = 'stream' ORDER BY topic, partition, incarnation, _cdc_ledger.from_offset`,
    [topics],
  );
  return rows.map((row) => ({
    topic: row.topic,
    incarnation: row.incarnation,
    partition: row.partition,
    from: BigInt(row.from_offset),
    next: BigInt(row.next_offset),
    records: row.records,
    duplicates: row.duplicates,
    skipped: row.skipped,
    processed: row.processed,
    filtered: row.filtered,
    deadLettered: row.dead_lettered,
    ids: idsOf(row.ids),
    outcomes: row.outcomes,
  }));
}

/** Change IDs that the ledger has without a record behind them: what delivery windows missed, and replayed. */
export async function readReplayed(
  client: pg.Client,
  schema: string,
  topics: readonly string[],
): Promise<ReadonlySet<string>> {
  const { rows } = await client.query<{ ids: string }>(
    `SELECT encode(ids, 'hex') AS ids FROM "${schema}"._cdc_ledger WHERE topic = ANY($1) AND origin = 'replay'`,
    [topics],
  );
  return new Set(rows.flatMap(({ ids }) => idsOf(ids)));
}
