import type { WriteTime } from '../../change/write-time.ts';
import { EMPTY_TRIGGER, joinTriggers, type RowTrigger } from '../../change/hint.ts';
import type { ShardId } from '../batch.ts';
import type { OwedRead } from '../row-plan.ts';
import { numberArray, qualified, textArray } from '../sql-text.ts';
import type { Statement } from '../transaction.ts';

/** Rows of a partition to be queued, page by page: what a partition or range delete leaves to be read again. */
export interface Expansion {
  /** Bounds as in `_cdc_range_tombstones`; null: the whole partition. */
  readonly bounds: string | null;
  /** Null where the delete has lost its time: then every row is read. */
  readonly writeTime: WriteTime | null;
  /** Clustering values of the last row queued. */
  readonly after: readonly string[] | null;
}

/** One entry of the queue, as it was picked. */
export interface QueueEntry {
  readonly kind: 're-read' | 'existence';
  readonly dueUs: string;
  readonly rowKey: string;
  /** Exactly what stands in the queue: an entry that was extended since it was picked is not removed. */
  readonly triggerText: string;
  readonly trigger: RowTrigger;
  readonly expansion: Expansion | null;
  /** Attempts that found the row in a state the target can't hold yet. */
  readonly attempts: number;
  /** Seconds since the epoch. */
  readonly queuedAt: string;
}

interface TriggerDocument {
  readonly columns?: Readonly<Record<string, string>>;
  readonly marker?: string;
  readonly since?: string;
  readonly settles?: Readonly<Record<string, string>>;
  readonly foreign?: true;
  readonly attempts?: number;
  /** Due in the future because something expires then: not late before. */
  readonly later?: true;
  readonly expand?: {
    readonly bounds: string | null;
    readonly writeTime: string | null;
    readonly after: string[] | null;
  };
}

/** How a read is queued that is not simply due now. */
export interface QueueOptions {
  readonly attempts?: number;
  readonly later?: boolean;
}

function textsOf(times: RowTrigger['columns']): Record<string, string> {
  return Object.fromEntries(Object.entries(times).map(([name, time]) => [name, String(time)]));
}

function timesOf(texts: Readonly<Record<string, string>>): RowTrigger['columns'] {
  return Object.fromEntries(Object.entries(texts).map(([name, time]) => [name, BigInt(time)]));
}

function documentOf(trigger: RowTrigger, { attempts = 0, later = false }: QueueOptions): TriggerDocument {
  const [columns, settles] = [textsOf(trigger.columns), textsOf(trigger.settles)];
  return {
    ...(Object.keys(columns).length === 0 ? {} : { columns }),
    ...(Object.keys(settles).length === 0 ? {} : { settles }),
    ...(trigger.marker === null ? {} : { marker: String(trigger.marker) }),
    ...(trigger.since === null ? {} : { since: String(trigger.since) }),
    ...(trigger.foreign ? { foreign: true as const } : {}),
    ...(attempts === 0 ? {} : { attempts }),
    ...(later ? { later: true as const } : {}),
  };
}

function triggerFrom({ columns = {}, marker, since, settles = {}, foreign }: TriggerDocument): RowTrigger {
  return {
    columns: timesOf(columns),
    marker: marker === undefined ? null : BigInt(marker),
    since: since === undefined ? null : BigInt(since),
    settles: timesOf(settles),
    foreign: foreign === true,
  };
}

function entryFrom(line: readonly (string | null)[]): QueueEntry {
  const [kind, dueUs, rowKey, triggerText, queuedAt] = line;
  // An array, because entries of one row and one µs are put together in the queue itself.
  const documents = JSON.parse(triggerText ?? '[]') as TriggerDocument[];
  const expand = documents.find((document) => document.expand !== undefined)?.expand;
  return {
    kind: kind === 'existence' ? 'existence' : 're-read',
    dueUs: dueUs ?? '0',
    rowKey: rowKey ?? '[]',
    triggerText: triggerText ?? '[]',
    trigger: documents.map(triggerFrom).reduce(joinTriggers, EMPTY_TRIGGER),
    expansion:
      expand === undefined
        ? null
        : { ...expand, writeTime: expand.writeTime === null ? null : BigInt(expand.writeTime) },
    attempts: Math.max(0, ...documents.map((document) => document.attempts ?? 0)),
    queuedAt: queuedAt ?? '0',
  };
}

interface NewEntry {
  readonly kind: QueueEntry['kind'];
  readonly rowKey: string;
  readonly dueUs: bigint;
  readonly document: TriggerDocument;
}

/** Statements over the entries of `_cdc_queue` that ask for the source. */
export class RereadQueue {
  readonly #queue: string;
  readonly #tables: string;
  readonly #sequence: string;

  constructor(schema: string) {
    this.#queue = qualified(schema, '_cdc_queue');
    this.#tables = qualified(schema, '_cdc_tables');
    this.#sequence = `'${qualified(schema, '_cdc_read_sequence').replaceAll("'", "''")}'::regclass`;
  }

  /** Queues reads of rows; several of one row are put together. Empty where there is nothing to queue. */
  add(
    shard: ShardId,
    tableId: number,
    owed: readonly OwedRead[],
    dueUs: bigint,
    options: QueueOptions = {},
  ): Statement[] {
    const byRow = new Map<string, RowTrigger>();
    for (const { key, trigger } of owed) {
      const known = byRow.get(key.text);
      byRow.set(key.text, known === undefined ? trigger : joinTriggers(known, trigger));
    }
    const entries = [...byRow].map(([rowKey, trigger]): NewEntry => {
      const speaks = trigger.marker !== null || Object.keys(trigger.columns).length > 0;
      return { kind: speaks ? 're-read' : 'existence', rowKey, dueUs, document: documentOf(trigger, options) };
    });
    return this.#insert(shard, tableId, entries);
  }

  /** Queues the rows of a partition, to be found page by page. */
  addExpansion(
    shard: ShardId,
    tableId: number,
    partitionKey: string,
    { bounds, writeTime, after }: Expansion,
    dueUs: bigint,
  ): Statement[] {
    const expand = {
      bounds,
      writeTime: writeTime === null ? null : String(writeTime),
      after: after === null ? null : [...after],
    };
    return this.#insert(shard, tableId, [{ kind: 'existence', rowKey: partitionKey, dueUs, document: { expand } }]);
  }

  #insert(shard: ShardId, tableId: number, entries: readonly NewEntry[]): Statement[] {
    if (entries.length === 0) return [];
    return [
      {
        name: 'queue-rereads',
        text: `INSERT INTO ${this.#queue} AS q (topic, incarnation, partition, table_id, kind, due_us, row_key, trigger)
               SELECT $1, $2, $3, $4, n.* FROM unnest($5::text[], $6::bigint[], $7::text[], $8::jsonb[]) AS n
               ON CONFLICT (topic, partition, incarnation, kind, due_us, table_id, row_key) DO UPDATE
                 SET trigger = q.trigger || EXCLUDED.trigger`,
        values: [
          shard.topic,
          shard.incarnation,
          shard.partition,
          tableId,
          textArray(entries.map((entry) => entry.kind)),
          numberArray(entries.map((entry) => entry.dueUs)),
          textArray(entries.map((entry) => entry.rowKey)),
          textArray(entries.map((entry) => JSON.stringify([entry.document]))),
        ],
      },
    ];
  }

  /** Which of some shards owe a read by now. */
  dueShards(shards: readonly ShardId[], nowUs: bigint): Statement {
    return {
      name: 'due-reread-shards',
      text: `SELECT s.n FROM unnest($1::text[], $2::integer[], $3::integer[]) WITH ORDINALITY AS s(topic, partition, incarnation, n)
             WHERE EXISTS (SELECT 1 FROM ${this.#queue} AS q WHERE q.topic = s.topic AND q.partition = s.partition
               AND q.incarnation = s.incarnation AND q.kind IN ('re-read', 'existence') AND q.due_us <= $4)`,
      values: [
        textArray(shards.map((shard) => shard.topic)),
        numberArray(shards.map((shard) => shard.partition)),
        numberArray(shards.map((shard) => shard.incarnation)),
        String(nowUs),
      ],
    };
  }

  /** The next rows of a shard with everything that is queued for them, so that reads of one row coalesce. */
  pick(shard: ShardId, tableId: number, nowUs: bigint, rows: number): Statement {
    const mine = `q.topic = $1 AND q.partition = $2 AND q.incarnation = $3 AND q.kind IN ('re-read', 'existence')
               AND q.due_us <= $4 AND q.table_id = $5`;
    return {
      name: 'pick-rereads',
      text: `WITH next AS (SELECT q.row_key, min(q.due_us) AS first FROM ${this.#queue} AS q WHERE ${mine}
               GROUP BY q.row_key ORDER BY first LIMIT $6)
             SELECT q.kind, q.due_us, q.row_key, q.trigger, extract(epoch FROM q.queued_at)::text
             FROM ${this.#queue} AS q JOIN next USING (row_key) WHERE ${mine} ORDER BY q.due_us`,
      values: [shard.topic, shard.partition, shard.incarnation, String(nowUs), tableId, rows],
    };
  }

  entries(lines: readonly (readonly (string | null)[])[]): readonly QueueEntry[] {
    return lines.map(entryFrom);
  }

  /** The next read sequence. A statement of its own, behind `pick`: the read serves what was visible before. */
  draw(): Statement {
    return { name: 'draw-read-sequence', text: `SELECT nextval(${this.#sequence})` };
  }

  /** Removes exactly what was picked; the row count tells whether all of it was still there. */
  remove(shard: ShardId, tableId: number, entries: readonly QueueEntry[]): Statement {
    return {
      name: 'remove-rereads',
      text: `DELETE FROM ${this.#queue} AS q
             USING unnest($5::text[], $6::bigint[], $7::text[], $8::jsonb[]) AS served(kind, due_us, row_key, trigger)
             WHERE q.topic = $1 AND q.incarnation = $2 AND q.partition = $3 AND q.table_id = $4 AND q.kind = served.kind
               AND q.due_us = served.due_us AND q.row_key = served.row_key AND q.trigger = served.trigger`,
      values: [
        shard.topic,
        shard.incarnation,
        shard.partition,
        tableId,
        textArray(entries.map((entry) => entry.kind)),
        `{${entries.map((entry) => entry.dueUs).join(',')}}`,
        textArray(entries.map((entry) => entry.rowKey)),
        textArray(entries.map((entry) => entry.triggerText)),
      ],
    };
  }

  /** Queued reads per table: source name, how many, and when the oldest was queued (seconds since the epoch). */
  depths(nowUs: bigint): Statement {
    return {
      name: 'reread-depths',
      text: `SELECT t.source, count(*), extract(epoch FROM min(q.queued_at))::text
             FROM ${this.#queue} AS q JOIN ${this.#tables} AS t ON t.id = q.table_id
             WHERE q.kind IN ('re-read', 'existence') AND (q.due_us <= $1 OR NOT q.trigger @> '[{"later": true}]')
             GROUP BY t.source`,
      values: [String(nowUs)],
    };
  }
}
