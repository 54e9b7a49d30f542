/** What operators do with shards, from any process: the members take it up from the control tables. */
import type { Pool } from 'pg';
import { LockstepError } from '../../shared/errors.ts';
import { classifyPostgresError } from '../postgres-errors.ts';
import { noteFrom, type ShardNote } from './shard-note.ts';
import { numberArray, qualified, textArray } from '../sql-text.ts';
import { checkCommitted, pipeline, rollback } from '../transaction.ts';

/** One shard as stored. */
export interface StoredShard {
  readonly topic: string;
  readonly incarnation: number;
  readonly partition: number;
  readonly table: string | null;
  readonly next: bigint;
  readonly state: string;
  readonly owner: string | null;
  readonly epoch: bigint;
  readonly growing: boolean;
  readonly updatedMs: number;
  /** Since when it is in this state; null where it never was in another. */
  readonly sinceMs: number | null;
  readonly note: ShardNote;
}

export interface ShardName {
  readonly topic: string;
  readonly partition: number;
}

/** The state of a shard that found another topic under its name. */
const RECREATED = 'TOPIC_RECREATED';

type Line = Readonly<Record<string, string | null>>;

export class ShardAdmin {
  readonly #pool: Pool;
  readonly #offsets: string;
  readonly #tables: string;

  constructor(pool: Pool, controlSchema: string) {
    this.#pool = pool;
    this.#offsets = qualified(controlSchema, '_cdc_offsets');
    this.#tables = qualified(controlSchema, '_cdc_tables');
  }

  /** Every shard of the newest incarnation of its topic, by topic and partition. */
  async list(topic: string | null): Promise<readonly StoredShard[]> {
    const lines = await this.#query(
      `SELECT o.topic, o.incarnation, o.partition, t.source, o.next_offset, o.state, o.owner, o.epoch, o.growing,
         (extract(epoch FROM o.updated_at) * 1000)::bigint AS updated_ms, o.reason, o.breaker,
         (extract(epoch FROM o.state_since) * 1000)::bigint AS since_ms
       FROM ${this.#offsets} AS o LEFT JOIN ${this.#tables} AS t ON t.topic = o.topic
       WHERE ($1::text IS NULL OR o.topic = $1)
         AND o.incarnation = (SELECT max(incarnation) FROM ${this.#offsets} AS n WHERE n.topic = o.topic)
       ORDER BY o.topic, o.partition`,
      [topic],
      'listing shards',
    );
    return lines.map((line) => ({
      topic: line['topic'] ?? '',
      incarnation: Number(line['incarnation']),
      partition: Number(line['partition']),
      table: line['source'] ?? null,
      next: BigInt(line['next_offset'] ?? '0'),
      state: line['state'] ?? '',
      owner: line['owner'] ?? null,
      epoch: BigInt(line['epoch'] ?? '0'),
      growing: line['growing'] === 't',
      updatedMs: Number(line['updated_ms']),
      sinceMs: line['since_ms'] == null ? null : Number(line['since_ms']),
      note: noteFrom(line['reason'], line['breaker']),
    }));
  }

  /** Asks the owners of these shards to try again; a partition of null means all of the topic. Returns how many. */
  async requestResume(topic: string, partition: number | null): Promise<number> {
    const lines = await this.#query(
      `UPDATE ${this.#offsets} AS o SET resume_requested_at = now()
       WHERE topic = $1 AND ($2::integer IS NULL OR partition = $2)
         AND incarnation = (SELECT max(incarnation) FROM ${this.#offsets} AS n WHERE n.topic = o.topic)
       RETURNING partition`,
      [topic, partition],
      `asking ${topic} to go on`,
    );
    return lines.length;
  }

  /** Takes up the requests for shards of this member. */
  async takeRequests(shards: readonly ShardName[]): Promise<readonly ShardName[]> {
    if (shards.length === 0) return [];
    const lines = await this.#query(
      `UPDATE ${this.#offsets} AS o SET resume_requested_at = NULL
       FROM unnest($1::text[], $2::integer[]) AS mine(topic, partition)
       WHERE o.topic = mine.topic AND o.partition = mine.partition AND o.resume_requested_at IS NOT NULL
       RETURNING o.topic, o.partition`,
      [textArray(shards.map(({ topic }) => topic)), numberArray(shards.map(({ partition }) => partition))],
      'looking for requests to go on',
    );
    return lines.map((line) => ({ topic: line['topic'] ?? '', partition: Number(line['partition']) }));
  }

  /**
   * Accepts that a topic was deleted and created again: shards of a new incarnation, each at its log start, in one
   * transaction. The former incarnation's rows stay for the ledger and the dead letters; nothing works on them again.
   *
   * @returns the new incarnation.
   * @throws LockstepError `usage` where a shard is not stopped for that reason and `force` is not set.
   */
  async acceptRecreated(topic: string, logStarts: readonly bigint[], force: boolean): Promise<number> {
    const client = await this.#pool.connect();
    let healthy = true;
    try {
      const [, locked] = await pipeline(client, [
        { text: 'BEGIN' },
        {
          text: `SELECT incarnation, partition, state FROM ${this.#offsets} AS o WHERE topic = $1
                   AND incarnation = (SELECT max(incarnation) FROM ${this.#offsets} AS n WHERE n.topic = o.topic)
                 ORDER BY partition FOR UPDATE`,
          values: [topic],
        },
      ]);
      const rows = locked?.rows ?? [];
      if (rows.length === 0) throw unknownTopic(topic);
      const others = rows.filter(([, , state]) => state !== RECREATED);
      if (others.length > 0 && !force) throw notRecreated(topic, others);
      const incarnation = Number(rows[0]?.[0]) + 1;
      const answers = await pipeline(client, [
        {
          text: `INSERT INTO ${this.#offsets} (topic, incarnation, partition, next_offset)
                 SELECT $1, $2, p - 1, n FROM unnest($3::bigint[]) WITH ORDINALITY AS starts(n, p)`,
          values: [topic, incarnation, numberArray(logStarts)],
        },
        { text: 'COMMIT' },
      ]);
      checkCommitted(answers.at(-1));
      return incarnation;
    } catch (error) {
      healthy = await rollback(client);
      throw classifyPostgresError(error, `accepting ${topic} as a new topic`, true);
    } finally {
      client.release(!healthy);
    }
  }

  async #query(text: string, values: readonly unknown[], action: string): Promise<Line[]> {
    try {
      return (await this.#pool.query<Line>(text, [...values])).rows;
    } catch (error) {
      throw classifyPostgresError(error, action, true);
    }
  }
}

function unknownTopic(topic: string): LockstepError {
  return new LockstepError(`no shard of ${topic} is known`, {
    code: 'SHARD_UNKNOWN',
    kind: 'usage',
    remedy: 'lockstep shards list shows the topics',
  });
}

function notRecreated(topic: string, others: readonly (readonly (string | null)[])[]): LockstepError {
  const found = others.map(([, partition, state]) => `${partition ?? '?'} is ${state ?? '?'}`).join(', ');
  return new LockstepError(`${topic} is not stopped as ${RECREATED}: ${found}`, {
    code: 'SHARD_NOT_RECREATED',
    kind: 'usage',
    remedy: 'wait until every shard has noticed, or use --force if you know that the topic was created anew',
  });
}
