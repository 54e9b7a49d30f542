/** What the looking commands of `lockstep dlq` work with. */
import { loadConfiguration, type Configuration } from '../../config/index.ts';
import type { LetterIndex } from '../../deadletter/letter-index.ts';
import type { Masking } from '../../operate/redrive/masking.ts';

export interface DlqContext {
  readonly index: LetterIndex;
  readonly configuration: Configuration;
  readonly masking: Masking;
}

/** @param unmask shows the values of columns that are marked as sensitive. */
export async function withLetters<T>(
  options: { readonly config?: string; readonly unmask?: true },
  work: (context: DlqContext) => Promise<T>,
): Promise<T> {
  const configuration = loadConfiguration({ path: options.config, env: process.env });
  const { withControlTables } = await import('../../operate/connect/command-pool.ts');
  const { LetterIndex: Index } = await import('../../deadletter/letter-index.ts');
  const { Masking: Masks } = await import('../../operate/redrive/masking.ts');
  return withControlTables(configuration, async (pool, schema) => {
    const index = new Index(pool, schema);
    const masking = options.unmask === true ? Masks.off : await Masks.of(configuration.tables, index);
    return work({ index, configuration, masking });
  });
}

export function printJson(document: unknown): void {
  process.stdout.write(`${JSON.stringify(document)}\n`);
}

const REASON_CHARS = 80;

/** What was being done stands beside it in the table already: topic and offsets, or that it was tried again. */
const ACTION = /^applying (?:\S+ \S+ \[\d+, \d+\)|\w+ changes of \S+): /;

/** A reason on one line of a table: what is wrong first. */
export function shortened(text: string, chars = REASON_CHARS): string {
  const cause = text.replace(ACTION, '');
  return cause.length <= chars ? cause : `${cause.slice(0, chars - 1)}…`;
}

/** Seconds are enough for people. */
export function second(ms: number): string {
  return new Date(ms).toISOString().slice(0, 19);
}
