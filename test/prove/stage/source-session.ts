/** Writes statements to Cassandra until it acknowledges them. */
import cassandra from 'cassandra-driver';
import { messageOf } from '../../../src/shared/errors.ts';
import { pause } from '../../../src/demo/waiting.ts';
import type { Statement } from '../generate/statement.ts';
import type { HistoryLog } from './history-log.ts';
import type { Site } from './site.ts';

/** A write that is not acknowledged is sent again with its time: the same write. */
const TRIES = 20;
const RETRY_MS = 250;
const MAX_KEPT = 5;

export class SourceSession {
  readonly #source: cassandra.Client;
  readonly #history: HistoryLog;
  readonly #consistency: cassandra.types.consistencies;
  /** Statements that Cassandra refuses as such (a list without such an index), the first few of them. */
  readonly refusals: string[] = [];
  refused = 0;

  constructor({ source, nodes }: Site, history: HistoryLog) {
    this.#source = source;
    this.#history = history;
    this.#consistency = nodes === 1 ? cassandra.types.consistencies.one : cassandra.types.consistencies.all;
  }

  async write(statement: Statement): Promise<void> {
    const { cql, unset, requestTimeUs } = statement;
    for (let tries = 1; ; tries += 1) {
      try {
        const result = await this.#source.execute(
          cql,
          Array.from({ length: unset }, () => cassandra.types.unset),
          {
            prepare: unset > 0,
            consistency: this.#consistency,
            ...(requestTimeUs === null ? {} : { timestamp: Number(requestTimeUs) }),
          },
        );
        // A lightweight transaction whose condition does not hold writes nothing.
        if (result.wasApplied()) this.#history.add(statement, Date.now());
        return;
      } catch (error) {
        const code = (error as { code?: unknown }).code;
        const { invalid, syntaxError } = cassandra.types.responseErrorCodes;
        if (code === invalid || code === syntaxError) {
          this.refused += 1;
          if (this.refusals.length < MAX_KEPT) this.refusals.push(`${messageOf(error)}: ${cql}`);
          return;
        }
        if (tries === TRIES) throw error;
        await pause(RETRY_MS);
      }
    }
  }
}
