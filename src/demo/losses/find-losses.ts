/**
 * Has the losses found and repaired, and checks what was found against what was provoked: changes that the connector lost
 * are missing in delivery windows and replayed; what was done in PostgreSQL by hand is found by `lockstep reconcile run`.
 */
import type pg from 'pg';
import type { Check } from '../proof/check-ledger.ts';
import { runForDocument } from '../service/run-command.ts';
import { KEYSPACE, TARGET_SCHEMA, type ShopTable } from '../shop/schema.ts';
import { accounted, originsOf } from './delivery.ts';
import type { ProvokedLoss, ProvokedLosses } from './provoke.ts';

/** A loss and what became of it. */
export interface LossOutcome extends Omit<ProvokedLoss, 'shown' | 'changeIds'> {
  readonly by: 'delivery windows' | 'comparison';
  /** False where the connector has told of it after all: then there is nothing to find. */
  readonly lost: boolean;
  readonly found: number;
  readonly repaired: number;
}

export interface LossesResult {
  readonly outcomes: readonly LossOutcome[];
  /** Changes that were lost, and replayed by a window. */
  readonly replayed: number;
  readonly checks: readonly Check[];
}

/** What became of the changes of one loss. */
export interface Delivered {
  /** None of its changes came as a record. */
  readonly lost: boolean;
  /** Each of them was missing in a window, and replayed. */
  readonly found: boolean;
  /** The target shows what they did. */
  readonly shown: boolean;
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

/**
 * What was found against what was provoked. Pure.
 *
 * @param delivered By position of the loss; null for what was done in PostgreSQL.
 * @param found By the comparison.
 */
export function accountOf(
  provoked: ProvokedLosses,
  delivered: readonly (Delivered | null)[],
  found: readonly FoundRow[],
): { readonly outcomes: readonly LossOutcome[]; readonly check: Check } {
  const own = (row: FoundRow): boolean =>
    TABLES.some(
      (table) => table === row.table && provoked.keys[table].some((key) => row.row_key.startsWith(`["${key}"`)),
    );
  const left = found.filter(own);
  const problems: string[] = [];
  const outcomes = provoked.losses.map(({ shown: _shown, changeIds: _changeIds, ...loss }, i): LossOutcome => {
    const change = delivered[i] ?? null;
    if (change !== null) {
      const isFound = change.lost && change.found;
      if (change.lost && !change.found) problems.push(`${loss.what}: no window has replayed it`);
      if (!change.shown) problems.push(`${loss.what}: the target does not show it`);
      const rows = isFound ? loss.rows : 0;
      const repaired = change.shown ? rows : 0;
      return { ...loss, by: 'delivery windows', lost: change.lost, found: rows, repaired };
    }
    const mine: FoundRow[] = [];
    while (mine.length < loss.rows) {
      const at = left.findIndex((row) => kindOf(row) === kindOf(loss));
      if (at < 0) break;
      mine.push(...left.splice(at, 1));
    }
    const repaired = mine.filter(({ status }) => status === 'AUTO_RESOLVED').length;
    if (mine.length < loss.rows) problems.push(`${loss.what}: ${mine.length} of ${loss.rows} rows found`);
    if (repaired < mine.length) problems.push(`${loss.what}: ${repaired} of ${mine.length} rows repaired`);
    return { ...loss, by: 'comparison', lost: true, found: mine.length, repaired };
  });
  const strange = [...left, ...found.filter((row) => !own(row))];
  for (const row of strange) problems.push(`${kindOf(row)} ${row.row_key} was not provoked`);
  const sum = (of: (outcome: LossOutcome) => number): number =>
    outcomes.reduce((total, outcome) => total + (outcome.lost ? of(outcome) : 0), 0);
  return {
    outcomes,
    check: {
      name: 'every loss was found, named rightly and repaired, and nothing else',
      ok: problems.length === 0,
      found:
        problems.length === 0
          ? `${sum(({ rows }) => rows)} rows provoked, ${sum((outcome) => outcome.found)} found`
          : problems.join('; '),
    },
  };
}

/** What the windows have made of each loss, once every change has an outcome. */
async function deliveredOf({ provoked, postgres, signal, progress }: FindOptions): Promise<(Delivered | null)[]> {
  progress('waiting for the delivery windows of what was lost');
  await accounted(
    postgres,
    provoked.losses.flatMap(({ changeIds }) => changeIds),
    signal,
  );
  const delivered: (Delivered | null)[] = [];
  for (const { changeIds, shown } of provoked.losses) {
    if (shown === null) {
      delivered.push(null);
      continue;
    }
    const origins = await Promise.all(changeIds.map((id) => originsOf(postgres, id)));
    const answer = await postgres.query<{ shown: boolean }>(`SELECT ${shown} AS shown`);
    delivered.push({
      lost: origins.some((each) => !each.has('stream')),
      found: origins.every((each) => each.has('replay') || each.has('stream')),
      shown: answer.rows[0]?.shown === true,
    });
  }
  return delivered;
}

/** The rows must be at rest. Rejects where a comparison can't be carried out. */
export async function findLosses(options: FindOptions): Promise<LossesResult> {
  const { provoked, postgres, progress, tell } = options;
  const delivered = await deliveredOf(options);
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
  const { outcomes, check } = accountOf(provoked, delivered, found);
  for (const { what, by, found: rows, type, cause } of outcomes) {
    if (rows > 0) tell('found', `${what}: ${rows} × ${type} (${cause}), by ${by}`);
  }
  tell(
    'repair',
    `${outcomes.reduce((sum, { repaired }) => sum + repaired, 0)} rows replayed, or repaired by compare-and-set`,
  );
  progress('comparing again: a repair is no verification');
  const later = await compare();
  const failed = later.filter(({ verdict }) => verdict !== 'PASS');
  return {
    outcomes,
    replayed: provoked.losses.reduce(
      (sum, { changeIds }, i) => sum + (delivered[i]?.lost === true ? changeIds.length : 0),
      0,
    ),
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
