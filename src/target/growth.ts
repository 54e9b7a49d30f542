import type { Pool } from 'pg';
import { numberArray, qualified } from './sql-text.ts';
import { checkCommitted, gateStatement, pipeline, type Statement, withClient } from './transaction.ts';

/** What a growing topic waits for. */
export type GrowthStage =
  | 'none'
  /** Producers may not have learned of the new partitions yet. */
  | 'settling'
  /** Records from before that moment are still to be applied. */
  | 'draining'
  /** Ended just now. */
  | 'over';

/**
 * Growth of topics (DESIGN §5): when partitions are added, a key's changes may come through two shards at once, which the
 * shared gate does not keep apart. From the moment the new shard rows exist until every shard has passed what a producer
 * with old metadata may have written, all shards of the topic are marked `growing` and every writer of the table takes
 * the gate exclusively.
 */
export class Growth {
  readonly #pool: Pool;
  readonly #offsets: string;
  readonly #growth: string;
  readonly #tables: string;

  constructor(pool: Pool, controlSchema: string) {
    this.#pool = pool;
    this.#offsets = qualified(controlSchema, '_cdc_offsets');
    this.#growth = qualified(controlSchema, '_cdc_growth');
    this.#tables = qualified(controlSchema, '_cdc_tables');
  }

  /** The topic's newest incarnation, as a scalar subquery over $1. */
  get #incarnation(): string {
    return `(SELECT coalesce(max(incarnation), 1) FROM ${this.#offsets} WHERE topic = $1)`;
  }

  /**
   * Creates the shard rows that are missing, each at its log start, and marks the topic as growing unless it had none at
   * all: one transaction under the exclusive gate, so that no batch sees one without the other.
   *
   * @returns true where the topic grew.
   */
  async addShards(topic: string, logStarts: readonly bigint[]): Promise<boolean> {
    return this.#exclusively(topic, async (run) => {
      const [answer] = await run([
        {
          text: `WITH present AS (SELECT count(*) AS n FROM ${this.#offsets} WHERE topic = $1 AND incarnation = ${this.#incarnation}),
            added AS (INSERT INTO ${this.#offsets} (topic, incarnation, partition, next_offset)
              SELECT $1, ${this.#incarnation}, p - 1, n FROM unnest($2::bigint[]) WITH ORDINALITY AS starts(n, p)
              ON CONFLICT DO NOTHING RETURNING 1)
            SELECT (SELECT n FROM present) > 0 AND EXISTS (SELECT 1 FROM added)`,
          values: [topic, numberArray(logStarts)],
        },
      ]);
      const grew = answer?.rows[0]?.[0] === 't';
      if (grew) await run(this.#markStatements(topic));
      return grew;
    });
  }

  /**
   * Notes how the topic's keys are written. Another form than the one before moves keys between partitions although
   * their number is the same: the topic is marked as growing.
   *
   * @returns true where it was another form.
   */
  async noteKeyForm(topic: string, form: string): Promise<boolean> {
    const [known] = await this.#rows(`SELECT key_form FROM ${this.#tables} WHERE topic = $1`, [topic]);
    if (known === undefined || known[0] === form) return false;
    return this.#exclusively(topic, async (run) => {
      const [noted] = await run([
        {
          text: `UPDATE ${this.#tables} AS t SET key_form = $2 FROM (SELECT id, key_form FROM ${this.#tables} WHERE topic = $1 FOR UPDATE) AS o
                 WHERE t.id = o.id AND o.key_form IS DISTINCT FROM $2 RETURNING o.key_form`,
          values: [topic, form],
        },
      ]);
      // The first form that is seen is no change.
      const before = noted?.rows[0]?.[0] ?? null;
      if (before !== null) await run(this.#markStatements(topic));
      return before !== null;
    });
  }

  /**
   * Takes one step towards the end of a topic's growth. Cheap where nothing grows; any member may call it at any time.
   *
   * @param metadataAgeMs how long a producer may go on with the metadata that it has.
   * @param logEnds reads the log ends by partition; asked for once, when that time has passed.
   */
  async step(topic: string, metadataAgeMs: number, logEnds: () => Promise<readonly bigint[]>): Promise<GrowthStage> {
    const [mark] = await this.#rows(
      `SELECT ends, clock_timestamp() - grown_at >= $2::double precision * interval '1 millisecond', grown_at
       FROM ${this.#growth} WHERE topic = $1 AND incarnation = ${this.#incarnation}`,
      [topic, metadataAgeMs],
    );
    if (mark === undefined) return 'none';
    const [ends = null, settled, grownAt] = mark;
    if (settled !== 't') return 'settling';
    if (ends === null) {
      // A topic that grew again meanwhile has another time, and its own ends to come.
      await this.#rows(
        `UPDATE ${this.#growth} SET ends = $3 WHERE topic = $1 AND incarnation = ${this.#incarnation} AND grown_at = $2::timestamptz`,
        [topic, grownAt, numberArray(await logEnds())],
      );
      return 'draining';
    }
    // Cheap, and mostly the answer; it counts under the gate alone ⚠: a failover since may have taken ends and positions back.
    const behind = this.#behind(topic);
    if ((await this.#rows(behind.text, behind.values)).length > 0) return 'draining';
    return this.#exclusively(topic, async (run) => {
      const [still] = await run([behind]);
      if (still === undefined || still.rows.length > 0) return 'draining';
      const [gone] = await run([
        {
          text: `DELETE FROM ${this.#growth} WHERE topic = $1 AND incarnation = ${this.#incarnation} AND grown_at = $2::timestamptz`,
          values: [topic, grownAt],
        },
      ]);
      if (gone?.rowCount !== 1) return 'settling';
      await run([
        {
          text: `UPDATE ${this.#offsets} SET growing = false, grown_until = clock_timestamp()
                 WHERE topic = $1 AND incarnation = ${this.#incarnation}`,
          values: [topic],
        },
      ]);
      return 'over';
    });
  }

  /** Answers with a row where a shard is still before the end that was taken for it, or none was taken. */
  #behind(topic: string): { readonly text: string; readonly values: unknown[] } {
    return {
      text: `SELECT 1 FROM ${this.#growth} AS g WHERE g.topic = $1 AND g.incarnation = ${this.#incarnation} AND (g.ends IS NULL OR EXISTS (
         SELECT 1 FROM unnest(g.ends) WITH ORDINALITY AS e(upto, p) WHERE NOT EXISTS (
           SELECT 1 FROM ${this.#offsets} AS o WHERE o.topic = g.topic AND o.incarnation = g.incarnation
             AND o.partition = e.p - 1 AND o.next_offset >= e.upto)))`,
      values: [topic],
    };
  }

  /** clock_timestamp(), not now(): the transaction may have begun long before it got the gate. */
  #markStatements(topic: string): readonly Statement[] {
    return [
      {
        text: `UPDATE ${this.#offsets} SET growing = true WHERE topic = $1 AND incarnation = ${this.#incarnation}`,
        values: [topic],
      },
      {
        text: `INSERT INTO ${this.#growth} (topic, incarnation, grown_at)
               VALUES ($1, ${this.#incarnation}, clock_timestamp())
               ON CONFLICT (topic, incarnation) DO UPDATE SET grown_at = EXCLUDED.grown_at, ends = NULL`,
        values: [topic],
      },
    ];
  }

  async #rows(text: string, values: unknown[]): Promise<(string | null)[][]> {
    return (await this.#pool.query<(string | null)[]>({ text, values, rowMode: 'array' })).rows;
  }

  /** One transaction under the exclusive gate of the topic's table; a topic without a table has nothing to guard. */
  async #exclusively<T>(
    topic: string,
    work: (run: (statements: readonly Statement[]) => ReturnType<typeof pipeline>) => Promise<T>,
  ): Promise<T> {
    const [table] = await this.#rows(`SELECT id FROM ${this.#tables} WHERE topic = $1`, [topic]);
    return withClient(this.#pool, async (client) => {
      const gate = table === undefined ? [] : [{ text: gateStatement('exclusive'), values: [table[0]] }];
      await pipeline(client, [{ text: 'BEGIN' }, ...gate]);
      const result = await work((statements) => pipeline(client, statements));
      checkCommitted((await pipeline(client, [{ text: 'COMMIT' }])).at(-1));
      return result;
    });
  }
}
