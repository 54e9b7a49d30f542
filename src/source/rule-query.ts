/** A query of a rule, asked of the source: one SELECT, its rows as canonical text. */
import { createRequire } from 'node:module';
import type cassandra from 'cassandra-driver';
import type { ScalarName } from '../change/source-type.ts';
import { deserialise } from '../change/values/value-from-bytes.ts';
import { LockstepError, messageOf } from '../shared/errors.ts';
import { packedOf, RAW_ALIAS } from './raw-rows.ts';
import { scanError } from './scan-session.ts';

/** Rows a page: memory is bounded whatever the answer. */
const PAGE_ROWS = 1_000;

/** A column of the answer: null where its type is no scalar. */
export interface SourceColumn {
  readonly name: string;
  readonly type: ScalarName | null;
}

export interface SourceAnswer {
  readonly columns: readonly SourceColumn[];
  readonly rows: readonly (readonly (string | null)[])[];
}

/** Type codes of the native protocol (v4, §4.2.5.2). */
const SCALARS: Readonly<Record<number, ScalarName>> = {
  0x01: 'ascii',
  0x02: 'bigint',
  0x03: 'blob',
  0x04: 'boolean',
  0x05: 'counter',
  0x06: 'decimal',
  0x07: 'double',
  0x08: 'float',
  0x09: 'int',
  0x0b: 'timestamp',
  0x0c: 'uuid',
  0x0d: 'text',
  0x0e: 'varint',
  0x0f: 'timeuuid',
  0x10: 'inet',
  0x11: 'date',
  0x12: 'time',
  0x13: 'smallint',
  0x14: 'tinyint',
};

const COMMENTS = /--[^\n]*|\/\/[^\n]*|\/\*[\s\S]*?\*\//g;
const SELECT = /^\s*SELECT\s+(?!JSON\b|DISTINCT\b|\*)/i;

/** Why a text is no query of a rule, or null. The server reads one statement, so one that begins with SELECT can't write. */
export function cqlProblem(cql: string): string | null {
  const bare = cql.replace(COMMENTS, ' ');
  if (!/^\s*SELECT\b/i.test(bare)) return 'it does not begin with SELECT';
  if (!SELECT.test(bare))
    return 'SELECT *, SELECT DISTINCT and SELECT JSON can not be compared: name the columns, and GROUP BY';
  if (/;[\s\S]*\S/.test(bare.replace(/'(?:[^']|'')*'|"(?:[^"]|"")*"/g, "''")))
    return 'it holds more than one statement';
  return null;
}

/** The query with a first column by which the driver leaves its values as bytes (raw-rows.ts). */
function rawQuery(cql: string): string {
  const problem = cqlProblem(cql);
  if (problem !== null) {
    throw new LockstepError(`no query of a rule: ${problem}`, {
      code: 'RULE_CQL',
      kind: 'config',
      remedy: 'write one SELECT that names its columns',
    });
  }
  const bare = cql.replace(COMMENTS, ' ').replace(/;\s*$/, '');
  return bare.replace(/^\s*SELECT\s+/i, `SELECT (int)0 AS ${RAW_ALIAS}, `);
}

function textOf(type: ScalarName, bytes: Buffer, name: string): string {
  const text =
    type === 'counter'
      ? bytes.length === 8
        ? String(bytes.readBigInt64BE(0))
        : null
      : deserialise({ kind: 'scalar', name: type }, bytes);
  if (text !== null) return text;
  throw new LockstepError(`column ${name} holds bytes that are no ${type}: 0x${bytes.toString('hex', 0, 64)}`, {
    code: 'RULE_VALUE',
    kind: 'usage',
    remedy: 'correct the value in the source, or leave its row out of the rule',
  });
}

/** Asks page by page; the first page comes even where it has no rows. Rejects with a LockstepError. */
export async function* askSource(
  client: cassandra.Client,
  cql: string,
  { timeoutMs, signal }: { readonly timeoutMs: number; readonly signal: AbortSignal },
): AsyncGenerator<SourceAnswer> {
  const query = rawQuery(cql);
  let pageState: string | null = null;
  do {
    signal.throwIfAborted();
    let answer: cassandra.types.ResultSet;
    try {
      answer = await client.execute(query, [], {
        prepare: true,
        fetchSize: PAGE_ROWS,
        readTimeout: timeoutMs,
        ...(pageState === null ? {} : { pageState }),
      });
    } catch (error) {
      throw scanError(error);
    }
    const [, ...columns] = (answer.columns as readonly { name: string; type: { code: number } }[]).map(
      ({ name, type }) => ({
        name,
        type: SCALARS[type.code] ?? null,
      }),
    );
    const packed = packedOf(answer);
    yield {
      columns,
      // The first column is the one by which the values stay bytes.
      rows: Array.from({ length: packed.length }, (_, row) =>
        columns.map(({ name, type }, i) => {
          const bytes = packed.cell(row, i + 1);
          return bytes === null || type === null ? null : textOf(type, bytes, name);
        }),
      ),
    };
    pageState = (answer as { readonly pageState?: string | null }).pageState ?? null;
  } while (pageState !== null);
}

interface Preparing {
  readonly getPrepared: (client: unknown, policy: unknown, query: string, keyspace: string | null) => Promise<unknown>;
}
const driver = createRequire(import.meta.url)('cassandra-driver/lib/prepare-handler.js') as Preparing;

/** Has the source look at a query without asking it. Rejects with a LockstepError that says what it does not like. */
export async function prepareSource(client: cassandra.Client, cql: string): Promise<void> {
  const query = rawQuery(cql);
  const { profileManager } = client as unknown as { profileManager: { getDefaultLoadBalancing(): unknown } };
  try {
    await driver.getPrepared(client, profileManager.getDefaultLoadBalancing(), query, null);
  } catch (error) {
    throw new LockstepError(`the source refuses the query: ${messageOf(error)}`, {
      code: 'RULE_CQL',
      kind: 'config',
      remedy: 'correct reconciliation.rules[].cql; the user needs SELECT on its tables',
      cause: error,
    });
  }
}
