import type { Pool, PoolClient } from 'pg';
import type { RecordMark, ShardId } from './batch.ts';
import { Growth } from './growth.ts';
import { classifyPostgresError } from './postgres-errors.ts';
import type { Gap, ShardPosition, ShardStore } from './shard-store.ts';
import { noteFrom, noteValues, type ShardNote } from './stores/shard-note.ts';
import { qualified } from './sql-text.ts';
import { checkCommitted, pipeline, rollback } from './transaction.ts';

const COLUMNS =
  'topic, incarnation, partition, next_offset, last_offset, last_timestamp_ms, last_hash, owner, epoch, state, reason, breaker';

type Line = (string | null)[];

function markFrom(offset: string | null, timestampMs: string | null, hash: string | null): RecordMark | null {
  if (offset === null || hash === null) return null;
  return { offset: BigInt(offset), timestampMs: Number(timestampMs), hash: Buffer.from(hash.slice(2), 'hex') };
}

function positionFrom(line: Line): ShardPosition {
  const [topic, incarnation, partition, next, lastOffset, lastMs, lastHash, owner, epoch, state, reason, breaker] =
    line;
  return {
    shard: { topic: topic ?? '', incarnation: Number(incarnation), partition: Number(partition) },
    next: BigInt(next ?? '0'),
    lastRecord: markFrom(lastOffset ?? null, lastMs ?? null, lastHash ?? null),
    owner: owner ?? null,
    epoch: BigInt(epoch ?? '0'),
    state: state ?? '',
    note: noteFrom(reason, breaker),
  };
}

/** Positions in `_cdc_offsets`. All methods reject with a classified LockstepError. */
export class PostgresShardStore implements ShardStore {
  /** What a change of the number of partitions does to positions and gates. */
  readonly growth: Growth;
  readonly #pool: Pool;
  readonly #offsets: string;
  readonly #gaps: string;

  constructor(pool: Pool, controlSchema: string) {
    this.#pool = pool;
    this.growth = new Growth(pool, controlSchema);
    this.#offsets = qualified(controlSchema, '_cdc_offsets');
    this.#gaps = qualified(controlSchema, '_cdc_gaps');
  }

  async ensure(topic: string, logStarts: readonly bigint[]): Promise<readonly ShardPosition[]> {
    const known = await this.list(topic);
    if (known.length >= logStarts.length) return known;
    try {
      await this.growth.addShards(topic, logStarts);
    } catch (error) {
      throw classifyPostgresError(error, `creating the shards of ${topic}`, true);
    }
    return this.list(topic);
  }

  /** `Growth.noteKeyForm`, with errors classified. */
  async noteKeyForm(topic: string, form: string): Promise<boolean> {
    try {
      return await this.growth.noteKeyForm(topic, form);
    } catch (error) {
      throw classifyPostgresError(error, `noting the form of the keys of ${topic}`, true);
    }
  }

  /** All shards of a topic's current incarnation, by partition. */
  async list(topic: string): Promise<readonly ShardPosition[]> {
    const lines = await this.#lines(
      `SELECT ${COLUMNS} FROM ${this.#offsets} WHERE topic = $1
         AND incarnation = (SELECT max(incarnation) FROM ${this.#offsets} WHERE topic = $1) ORDER BY partition`,
      [topic],
      `reading the shards of ${topic}`,
    );
    return lines.map(positionFrom);
  }

  async load(topic: string, partition: number): Promise<ShardPosition | null> {
    const lines = await this.#lines(
      `SELECT ${COLUMNS} FROM ${this.#offsets} WHERE topic = $1 AND partition = $2 ORDER BY incarnation DESC LIMIT 1`,
      [topic, partition],
      `reading the position of ${topic}/${partition}`,
    );
    const [line] = lines;
    return line === undefined ? null : positionFrom(line);
  }

  async claim(shard: ShardId, owner: string): Promise<ShardPosition> {
    const lines = await this.#lines(
      `UPDATE ${this.#offsets} SET owner = $4, epoch = epoch + 1, updated_at = now()
       WHERE topic = $1 AND incarnation = $2 AND partition = $3 RETURNING ${COLUMNS}`,
      [shard.topic, shard.incarnation, shard.partition, owner],
      `claiming ${shard.topic}/${shard.partition}`,
    );
    return positionFrom(lines[0] ?? []);
  }

  async setState(shard: ShardId, state: string, note: ShardNote): Promise<void> {
    await this.#lines(
      `UPDATE ${this.#offsets} SET state = $4, reason = $5, breaker = $6::jsonb, updated_at = now(),
         state_since = CASE WHEN state = $4 THEN state_since ELSE now() END
       WHERE topic = $1 AND incarnation = $2 AND partition = $3
         AND (state, reason, breaker) IS DISTINCT FROM ($4::text, $5::text, $6::jsonb)`,
      [shard.topic, shard.incarnation, shard.partition, state, ...noteValues(note)],
      `noting the state of ${shard.topic}/${shard.partition}`,
    );
  }

  async recordGap(gap: Gap): Promise<boolean> {
    const { shard } = gap;
    const action = `recording a gap in ${shard.topic}/${shard.partition}`;
    let client: PoolClient;
    try {
      client = await this.#pool.connect();
    } catch (error) {
      throw classifyPostgresError(error, action, true);
    }
    let healthy = true;
    try {
      const [, moved] = await pipeline(client, [
        { text: 'BEGIN' },
        {
          text: `UPDATE ${this.#offsets} SET next_offset = $5, updated_at = now()
                 WHERE topic = $1 AND incarnation = $2 AND partition = $3 AND next_offset = $4`,
          values: [shard.topic, shard.incarnation, shard.partition, String(gap.from), String(gap.to)],
        },
      ]);
      if (moved?.rowCount !== 1) {
        healthy = await rollback(client);
        return false;
      }
      const answers = await pipeline(client, [
        {
          text: `INSERT INTO ${this.#gaps} (topic, incarnation, partition, from_offset, to_offset, after_ms, before_ms)
                 VALUES ($1, $2, $3, $4, $5, $6, $7)`,
          values: [
            shard.topic,
            shard.incarnation,
            shard.partition,
            String(gap.from),
            String(gap.to),
            gap.afterMs,
            gap.beforeMs,
          ],
        },
        { text: 'COMMIT' },
      ]);
      checkCommitted(answers.at(-1));
      return true;
    } catch (error) {
      healthy = await rollback(client);
      throw classifyPostgresError(error, action, true);
    } finally {
      client.release(!healthy);
    }
  }

  async #lines(text: string, values: unknown[], action: string): Promise<Line[]> {
    try {
      const result = await this.#pool.query<Line>({ text, values, rowMode: 'array' });
      return result.rows;
    } catch (error) {
      throw classifyPostgresError(error, action, true);
    }
  }
}
