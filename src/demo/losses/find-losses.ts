/** Has the losses found and repaired by `lockstep reconcile run`, and checks its list against what was provoked. */
import type pg from 'pg';
import type { Check } from '../proof/check-ledger.ts';
import { runForDocument } from '../service/run-command.ts';
import { KEYSPACE, TARGET_SCHEMA, type ShopTable } from '../shop/schema.ts';
import type { ProvokedLoss, ProvokedLosses } from './provoke.ts';

/** A loss and what became of it. */
export interface LossOutcome extends Omit<ProvokedLoss, 'arrived' | 'changes'> {
  /** False where the connector has told of it after all: then there is nothing to find. */
  readonly lost: boolean;
  readonly found: number;
  readonly repaired: number;
}

export interface LossesResult {
  readonly outcomes: readonly LossOutcome[];
  /** Changes among them that were captured after all. */
  readonly captured: number;
  readonly checks: readonly Check[];
}

export interface FindOptions {
  readonly provoked: ProvokedLosses;
  readonly postgres: pg.Pool;
  readonly configurationFile: string;
  readonly logFile: string;
  readonly signal: AbortSignal;
  readonly progress: (text: string) => void;
  readonly tell: (kind: 'found' | 'repair', text: string) => void;
}

interface RunDocument {
  readonly job_id: string;
  readonly verdict: string;
  readonly reasons: readonly string[];
  readonly mismatch_count: number;
  readonly repaired: Readonly<Record<string, number>>;
}

export interface FoundRow {
  readonly table: string;
  readonly row_key: string;
  readonly type: string;
  readonly cause: string;
  readonly columns: readonly string[];
  readonly status: string;
}

const TABLES = ['customers', 'orders'] as const satisfies readonly ShopTable[];

const kindOf = (of: Pick<FoundRow, 'table' | 'type' | 'cause' | 'columns'>): string =>
  [of.table, of.type, of.cause, ...of.columns].join(' ');

/** What was found against what was provoked. Pure. */
export function accountOf(
  provoked: ProvokedLosses,
  isLost: readonly boolean[],
  found: readonly FoundRow[],
): { readonly outcomes: readonly LossOutcome[]; readonly check: Check } {
  const own = (row: FoundRow): boolean =>
    TABLES.some(
      (table) => table === row.table && provoked.keys[table].some((key) => row.row_key.startsWith(`["${key}"`)),
    );
  const left = found.filter(own);
  const problems: string[] = [];
  const outcomes = provoked.losses.map(({ arrived: _arrived, changes: _changes, ...loss }, i): LossOutcome => {
    const lost = isLost[i] ?? true;
    const mine: FoundRow[] = [];
    while (lost && mine.length < loss.rows) {
      const at = left.findIndex((row) => kindOf(row) === kindOf(loss));
      if (at < 0) break;
      mine.push(...left.splice(at, 1));
    }
    const repaired = mine.filter(({ status }) => status === 'AUTO_RESOLVED').length;
    if (lost && mine.length < loss.rows) problems.push(`${loss.what}: ${mine.length} of ${loss.rows} rows found`);
    if (repaired < mine.length) problems.push(`${loss.what}: ${repaired} of ${mine.length} rows repaired`);
    return { ...loss, lost, found: mine.length, repaired };
  });
  const strange = [...left, ...found.filter((row) => !own(row))];
  for (const row of strange) problems.push(`${kindOf(row)} ${row.row_key} was not provoked`);
  const rows = outcomes.reduce((sum, outcome) => sum + (outcome.lost ? outcome.rows : 0), 0);
  return {
    outcomes,
    check: {
      name: 'every loss was found, named rightly and repaired, and nothing else',
      ok: problems.length === 0,
      found: problems.length === 0 ? `${rows} rows provoked, ${found.length} found` : problems.join('; '),
    },
  };
}

/** The rows must be at rest. Rejects where a comparison can't be carried out. */
export async function findLosses(options: FindOptions): Promise<LossesResult> {
  const { provoked, postgres, progress, tell } = options;
  const isLost: boolean[] = [];
  for (const { arrived } of provoked.losses) {
    const answer = arrived === null ? undefined : await postgres.query<{ here: boolean }>(`SELECT ${arrived} AS here`);
    isLost.push(answer?.rows[0]?.here !== true);
  }
  const compare = (...more: readonly string[]): Promise<RunDocument[]> =>
    Promise.all(
      TABLES.map(async (table) => {
        const args = [
          'reconcile',
          'run',
          '--table',
          `${KEYSPACE}.${table}`,
          '--strategy',
          'CHECKSUM',
          '--json',
          ...more,
        ];
        const command = [...args, '-c', options.configurationFile];
        return (await runForDocument(command, options.logFile, options.signal)) as RunDocument;
      }),
    );
  progress('comparing orders and customers with Cassandra');
  const runs = await compare('--repair');
  const { rows: found } = await postgres.query<FoundRow>(
    `SELECT replace(t.source, $2, '') AS "table", f.row_key, f.type, f.cause, f.columns, f.status
     FROM ${TARGET_SCHEMA}._cdc_findings AS f JOIN ${TARGET_SCHEMA}._cdc_tables AS t ON t.id = f.table_id
     WHERE f.job_id::text = ANY($1) ORDER BY f.id`,
    [runs.map(({ job_id: id }) => id), `${KEYSPACE}.`],
  );
  const { outcomes, check } = accountOf(provoked, isLost, found);
  for (const { what, found: rows, type, cause } of outcomes) {
    if (rows > 0) tell('found', `${what}: ${rows} × ${type} (${cause})`);
  }
  tell('repair', `${outcomes.reduce((sum, { repaired }) => sum + repaired, 0)} rows repaired by compare-and-set`);
  progress('comparing again: a repair is no verification');
  const later = await compare();
  const failed = later.filter(({ verdict }) => verdict !== 'PASS');
  return {
    outcomes,
    captured: provoked.losses.reduce((sum, { changes }, i) => sum + (isLost[i] === true ? 0 : changes), 0),
    checks: [
      check,
      {
        name: 'a later comparison passes',
        ok: failed.length === 0,
        found:
          failed.length === 0
            ? `${TABLES.join(' and ')}: PASS`
            : failed.map(({ verdict, reasons }) => `${verdict}: ${reasons.join(', ')}`).join('; '),
      },
    ],
  };
}
