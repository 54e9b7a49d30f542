import type { PartitionDelete, RangeDelete } from '../change/change-event.ts';
import type { ApplyBatch, BatchChange, ShardId } from './batch.ts';
import type { OutsideBatch } from './outside-door.ts';
import type { BoundTable } from './bound-table.ts';
import { packLedger } from './ledger.ts';
import { bookkeepingOf } from './row-codec.ts';
import type { Grave, RowPlan } from './row-plan.ts';
import { numberArray, qualified, textArray } from './sql-text.ts';
import type { Statement } from './transaction.ts';

/** Bounds as canonical text: what `_cdc_range_tombstones` keys on. */
export function boundsText(change: PartitionDelete | RangeDelete): string {
  const whole = { values: [], inclusive: true };
  const { start, end } = change.kind === 'range-delete' ? change : { start: whole, end: whole };
  return JSON.stringify([start.inclusive, start.values, end.inclusive, end.values]);
}

/** When a tombstone got here, µs: whether a read of the source came after it. */
const PROCESSED_US = '(extract(epoch FROM processed_at) * 1000000)::bigint';

/** Changes from beside the stream. */
interface OutsideSegment extends Pick<OutsideBatch, 'shard' | 'origin'> {
  readonly changes: readonly Pick<BatchChange, 'id' | 'offset'>[];
}

/** Statements over the control tables, with the schema's name put in once. */
export class ControlStatements {
  readonly schema: string;
  readonly #offsets: string;
  readonly #graveyard: string;
  readonly #ranges: string;
  readonly #queue: string;
  readonly #ledger: string;
  readonly #letters: string;
  readonly #tables: string;

  constructor(schema: string) {
    this.schema = schema;
    this.#offsets = qualified(schema, '_cdc_offsets');
    this.#graveyard = qualified(schema, '_cdc_graveyard');
    this.#ranges = qualified(schema, '_cdc_range_tombstones');
    this.#queue = qualified(schema, '_cdc_queue');
    this.#ledger = qualified(schema, '_cdc_ledger');
    this.#letters = qualified(schema, '_cdc_dead_letters');
    this.#tables = qualified(schema, '_cdc_tables');
  }

  /**
   * Locks the shard row: position, whether the topic is growing, since when it is not, and how far memory was purged.
   * After the gate, because growth and purge are written under the exclusive one.
   */
  lockPosition(shard: ShardId, tableId: number): Statement {
    return {
      name: 'lock-position',
      text: `SELECT next_offset, growing, extract(epoch FROM grown_until)::text,
               (SELECT purged_until FROM ${this.#tables} WHERE id = $4),
               (SELECT next_ordinal FROM ${this.#tables} WHERE id = $4)
             FROM ${this.#offsets} WHERE topic = $1 AND incarnation = $2 AND partition = $3 FOR UPDATE`,
      values: [shard.topic, shard.incarnation, shard.partition, tableId],
    };
  }

  movePosition(batch: ApplyBatch): Statement {
    const { shard, lastRecord: last } = batch;
    return {
      name: 'move-position',
      // A batch without data records keeps the mark of the last one.
      text: `UPDATE ${this.#offsets} SET next_offset = $4, last_offset = coalesce($5, last_offset),
               last_timestamp_ms = coalesce($6, last_timestamp_ms), last_hash = coalesce($7, last_hash), updated_at = now()
             WHERE topic = $1 AND incarnation = $2 AND partition = $3`,
      values: [
        shard.topic,
        shard.incarnation,
        shard.partition,
        String(batch.next),
        last === null ? null : String(last.offset),
        last?.timestampMs ?? null,
        last?.hash ?? null,
      ],
    };
  }

  /** The registry's next ordinal: differs from the bound one where somebody knows columns that this process does not. */
  generation(tableId: number): Statement {
    return { name: 'generation', text: `SELECT next_ordinal FROM ${this.#tables} WHERE id = $1`, values: [tableId] };
  }

  /** Notes that the old values of a column that was dropped and added again are gone from the target. */
  cleared(tableId: number, column: string): Statement {
    return {
      text: `UPDATE ${this.#tables} SET clearing = clearing - $2::text WHERE id = $1`,
      values: [tableId, column],
    };
  }

  graves(tableId: number, rowKeys: readonly string[]): Statement {
    return {
      name: 'graves',
      text: `SELECT row_key, deleted_at, versions, expiries, ${PROCESSED_US} FROM ${this.#graveyard}
             WHERE table_id = $1 AND row_key = ANY($2::text[])`,
      values: [tableId, textArray(rowKeys)],
    };
  }

  ranges(tableId: number, partitionKeys: Iterable<string>): Statement {
    return {
      name: 'ranges',
      text: `SELECT partition_key, bounds, write_time, ${PROCESSED_US} FROM ${this.#ranges}
             WHERE table_id = $1 AND partition_key = ANY($2::text[])`,
      values: [tableId, textArray(partitionKeys)],
    };
  }

  /** Adds wide tombstones; an entry with the same bounds keeps the newer time. */
  addRanges(tableId: number, changes: readonly (PartitionDelete | RangeDelete)[]): Statement {
    const newest = new Map<string, { partition: string; bounds: string; writeTime: bigint }>();
    for (const change of changes) {
      const entry = { partition: change.partition.text, bounds: boundsText(change), writeTime: change.writeTime };
      const key = JSON.stringify([entry.partition, entry.bounds]);
      const known = newest.get(key);
      if (known === undefined || known.writeTime < entry.writeTime) newest.set(key, entry);
    }
    const entries = [...newest.values()];
    return {
      text: `INSERT INTO ${this.#ranges} AS r (table_id, partition_key, bounds, write_time)
             SELECT $1, * FROM unnest($2::text[], $3::text[], $4::bigint[])
             ON CONFLICT (table_id, partition_key, bounds) DO UPDATE
               SET write_time = greatest(r.write_time, EXCLUDED.write_time), processed_at = now()`,
      values: [
        tableId,
        textArray(entries.map((entry) => entry.partition)),
        textArray(entries.map((entry) => entry.bounds)),
        numberArray(entries.map((entry) => entry.writeTime)),
      ],
    };
  }

  removeRanges(tableId: number, partitionKeys: readonly string[], bounds: readonly string[]): Statement {
    return {
      text: `DELETE FROM ${this.#ranges} USING unnest($2::text[], $3::text[]) AS gone(partition_key, bounds)
             WHERE table_id = $1 AND ${this.#ranges}.partition_key = gone.partition_key
               AND ${this.#ranges}.bounds = gone.bounds`,
      values: [tableId, textArray(partitionKeys), textArray(bounds)],
    };
  }

  /** Row tombstones and the memory of rows that are gone; the caller has folded what stood there before. */
  bury(table: BoundTable, graves: readonly Grave[]): Statement {
    const books = graves.map((grave) => (grave.memory === null ? null : bookkeepingOf(table, grave.memory)));
    return {
      name: 'bury',
      text: `INSERT INTO ${this.#graveyard} AS g (table_id, row_key, deleted_at, versions, expiries)
             SELECT $1, row_key, deleted_at, versions::bigint[], expiries::bigint[]
             FROM unnest($2::text[], $3::bigint[], $4::text[], $5::text[]) AS n(row_key, deleted_at, versions, expiries)
             ON CONFLICT (table_id, row_key) DO UPDATE
               SET deleted_at = greatest(g.deleted_at, EXCLUDED.deleted_at), versions = EXCLUDED.versions,
                   expiries = EXCLUDED.expiries, processed_at = now()`,
      values: [
        table.id,
        textArray(graves.map((grave) => grave.key.text)),
        numberArray(graves.map((grave) => grave.deletedAt)),
        textArray(books.map((book) => book?.versions ?? null)),
        textArray(books.map((book) => book?.expiries ?? null)),
      ],
    };
  }

  /**
   * `unknown shard`: the record came through this shard once, but after growth another may carry the row. Such entries are
   * dated before any growth, so that they are swept under the exclusive gate if there ever was one.
   */
  expiryEntries(
    shard: ShardId,
    tableId: number,
    expiring: RowPlan['expiring'],
    from: 'own shard' | 'unknown shard' = 'own shard',
  ): Statement[] {
    if (expiring.length === 0) return [];
    if (from === 'unknown shard') return [this.#oldExpiryEntries(shard, tableId, expiring)];
    return [
      {
        name: 'queue-expiry',
        text: `INSERT INTO ${this.#queue} (topic, incarnation, partition, kind, due_us, table_id, row_key)
               SELECT $1, $2, $3, 'expiry', due_us, $4, row_key FROM unnest($5::bigint[], $6::text[]) AS n(due_us, row_key)
               ON CONFLICT DO NOTHING`,
        values: [
          shard.topic,
          shard.incarnation,
          shard.partition,
          tableId,
          numberArray(expiring.map((entry) => entry.dueUs)),
          textArray(expiring.map((entry) => entry.key.text)),
        ],
      },
    ];
  }

  #oldExpiryEntries(shard: ShardId, tableId: number, expiring: RowPlan['expiring']): Statement {
    return {
      text: `INSERT INTO ${this.#queue} (topic, incarnation, partition, kind, due_us, table_id, row_key, queued_at)
             SELECT $1, $2, $3, 'expiry', due_us, $4, row_key, to_timestamp(0)
             FROM unnest($5::bigint[], $6::text[]) AS n(due_us, row_key)
             ON CONFLICT (topic, partition, incarnation, kind, due_us, table_id, row_key) DO UPDATE SET queued_at = to_timestamp(0)`,
      values: [
        shard.topic,
        shard.incarnation,
        shard.partition,
        tableId,
        numberArray(expiring.map((entry) => entry.dueUs)),
        textArray(expiring.map((entry) => entry.key.text)),
      ],
    };
  }

  /**
   * Condition: no tombstone, and no memory of a gone row, is kept of a row; `$1` is the table, `$2` its generation, which
   * must be the registry's. Scalar subqueries, because as joins they may read all memory of the table ⚠.
   */
  knowsNothing(table: BoundTable, rowKey: string, partitionKey: string): string {
    const conditions = [
      `(SELECT next_ordinal FROM ${this.#tables} WHERE id = $1)::text = $2::text`,
      `(SELECT true FROM ${this.#graveyard} WHERE table_id = $1 AND row_key = ${rowKey}) IS NULL`,
    ];
    // Without clustering columns a partition delete is a row delete: such a table has no wide tombstones.
    if (table.table.clustering.length > 0) {
      conditions.push(
        `(SELECT true FROM ${this.#ranges} WHERE table_id = $1 AND partition_key = ${partitionKey} LIMIT 1) IS NULL`,
      );
    }
    return conditions.join(' AND ');
  }

  /** Expiries of rows `f` that the target did not know; `$1` is the table, `$3` to `$5` the shard, which is a guess. */
  queueFresh(from: string): string {
    return `INSERT INTO ${this.#queue} (topic, incarnation, partition, kind, due_us, table_id, row_key, queued_at)
      SELECT $3, $4::integer, $5::integer, 'expiry', f.lockstep_due, $1, f.lockstep_row, to_timestamp(0) ${from}
      ON CONFLICT (topic, partition, incarnation, kind, due_us, table_id, row_key) DO UPDATE SET queued_at = to_timestamp(0)`;
  }

  /** Which of some shards owe something by now: asked without a lock, so that tables without TTL pay nothing. */
  dueShards(shards: readonly ShardId[], nowUs: bigint): Statement {
    return {
      name: 'due-shards',
      text: `SELECT s.n FROM unnest($1::text[], $2::integer[], $3::integer[]) WITH ORDINALITY AS s(topic, partition, incarnation, n)
             WHERE EXISTS (SELECT 1 FROM ${this.#queue} AS q WHERE q.topic = s.topic AND q.partition = s.partition
               AND q.incarnation = s.incarnation AND q.kind = 'expiry' AND q.due_us <= $4)`,
      values: [
        textArray(shards.map((shard) => shard.topic)),
        numberArray(shards.map((shard) => shard.partition)),
        numberArray(shards.map((shard) => shard.incarnation)),
        String(nowUs),
      ],
    };
  }

  /** Takes due entries of a shard out of the queue; they come back if the transaction does not commit. */
  takeDue(shard: ShardId, tableId: number, nowUs: bigint, limit: number): Statement {
    return {
      name: 'take-due',
      text: `DELETE FROM ${this.#queue} WHERE (topic, partition, incarnation, kind, due_us, table_id, row_key) IN (
               SELECT topic, partition, incarnation, kind, due_us, table_id, row_key FROM ${this.#queue}
               WHERE topic = $1 AND partition = $2 AND incarnation = $3 AND kind = 'expiry' AND due_us <= $4 AND table_id = $5
               ORDER BY due_us LIMIT $6)
             RETURNING row_key, extract(epoch FROM queued_at)::text`,
      values: [shard.topic, shard.partition, shard.incarnation, String(nowUs), tableId, limit],
    };
  }

  /**
   * Statements of the purge. Parameters: table, cutoff as a time and in µs, then the key columns (`page`: the last key of
   * the page before and the page's rows; `remove`: one array a column).
   */
  purge(kind: 'graves' | 'ranges'): { page: { text: string }; remove: string; beginning: readonly string[] } {
    const graves = kind === 'graves';
    const store = graves ? this.#graveyard : this.#ranges;
    const keys = graves ? ['row_key'] : ['partition_key', 'bounds'];
    // Memory of a row that is gone counts by its newest cell, and stays while one of them is still to expire.
    const newest = graves
      ? 'greatest(m.deleted_at, (SELECT max(v) FROM unnest(m.versions) AS v), (SELECT max(e) FROM unnest(m.expiries) AS e))'
      : 'm.write_time';
    const due = `(m.processed_at < $2::timestamptz AND ${newest} < $3::bigint)`;
    const purged = graves ? 'greatest(m.deleted_at, (SELECT max(v) FROM unnest(m.versions) AS v))' : 'm.write_time';
    const given = keys.map((_, i) => `$${i + 4}`);
    return {
      beginning: keys.map(() => ''),
      page: {
        text: `SELECT ${keys.join(', ')}, ${due} FROM ${store} AS m
               WHERE table_id = $1 AND (${keys.join(', ')}) > (${given.join(', ')})
               ORDER BY ${keys.join(', ')} LIMIT $${keys.length + 4}`,
      },
      // The condition again: what was renewed since the page was read stays.
      remove: `WITH gone AS (
          DELETE FROM ${store} AS m USING unnest(${given.map((name) => `${name}::text[]`).join(', ')}) AS k(${keys.join(', ')})
          WHERE m.table_id = $1 AND ${keys.map((key) => `m.${key} = k.${key}`).join(' AND ')} AND ${due}
          RETURNING ${purged} AS time),
        noted AS (
          UPDATE ${this.#tables} SET purged_until = greatest(purged_until, (SELECT max(time) FROM gone))
          WHERE id = $1 AND EXISTS (SELECT 1 FROM gone))
        SELECT count(*) FROM gone`,
    };
  }

  ledgerSegment(batch: ApplyBatch, tableId: number): Statement {
    const { shard } = batch;
    const segment = packLedger(batch);
    const records = batch.changes.length + batch.deadLetters.length + batch.duplicates.length + batch.skipped;
    return {
      name: 'ledger',
      text: `INSERT INTO ${this.#ledger} (table_id, topic, incarnation, partition, from_offset, next_offset, records,
               duplicates, skipped, processed, filtered, dead_lettered, min_id, max_id, ids, outcomes)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16)`,
      values: [
        tableId,
        shard.topic,
        shard.incarnation,
        shard.partition,
        String(batch.from),
        String(batch.next),
        records,
        batch.duplicates.length,
        batch.skipped,
        segment.counts.processed,
        segment.counts.filtered,
        segment.counts.dead_lettered,
        segment.minId,
        segment.maxId,
        segment.ids,
        segment.outcomes,
      ],
    };
  }

  /** The change IDs of a batch from beside the stream: no stretch of a log, so both offsets are the first record's. */
  outsideSegment(batch: OutsideSegment, tableId: number): Statement {
    const { shard, changes, origin } = batch;
    const segment = packLedger({ changes, duplicates: [], deadLetters: [] });
    const at = String(changes[0]?.offset ?? 0n);
    return {
      text: `INSERT INTO ${this.#ledger} (table_id, topic, incarnation, partition, from_offset, next_offset, records,
               duplicates, skipped, processed, filtered, dead_lettered, min_id, max_id, ids, outcomes, origin)
             VALUES ($1, $2, $3, $4, $5, $5, $6, 0, 0, $7, 0, 0, $8, $9, $10, $11, $12)`,
      values: [
        tableId,
        shard.topic,
        shard.incarnation,
        shard.partition,
        at,
        changes.length,
        segment.counts.processed,
        segment.minId,
        segment.maxId,
        segment.ids,
        segment.outcomes,
        origin,
      ],
    };
  }

  deadLetters(batch: ApplyBatch, tableId: number): Statement[] {
    const { shard } = batch;
    return batch.deadLetters.map((letter) => ({
      name: 'dead-letter',
      text: `INSERT INTO ${this.#letters} AS d (topic, incarnation, partition, "offset", table_id, code, reason, path,
               change_id, row_key, status, sha256, value_bytes, record_ms)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14)
             ON CONFLICT (topic, incarnation, partition, "offset") DO UPDATE
               SET attempts = d.attempts + 1, code = EXCLUDED.code, reason = EXCLUDED.reason, last_failed_at = now()`,
      values: [
        shard.topic,
        shard.incarnation,
        shard.partition,
        String(letter.offset),
        tableId,
        letter.code,
        letter.reason.replaceAll('\0', '\\u0000'),
        letter.path.replaceAll('\0', '\\u0000'),
        letter.changeId,
        letter.rowKey?.replaceAll('\0', '\\u0000') ?? null,
        letter.status,
        letter.sha256,
        letter.valueBytes,
        letter.timestampMs,
      ],
    }));
  }
}
