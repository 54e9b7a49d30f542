/** What is told of a run that found something: the smallest differing row with its history, and whose fault it is. */
import type { CapturedEvent } from './audit/captured-event.ts';
import type { RowEvidence } from './audit/row-evidence.ts';
import type { DifferingRow } from './audit/image-difference.ts';
import { tableDdl } from './generate/table.ts';
import type { Statement } from './generate/statement.ts';
import type { ProvenTable } from './stage/table-set.ts';

/** A row that is not what it should be. */
export interface RowRefutation {
  readonly round: number;
  readonly table: ProvenTable;
  readonly row: DifferingRow;
  readonly evidence: RowEvidence;
  /** The target row with its bookkeeping, as PostgreSQL prints it; null where there is none. */
  readonly bookkeeping: string | null;
}

/** Rows of one table that differ are mostly the same fault: the one with the shortest history shows it best. */
export function smallest(refutations: readonly RowRefutation[]): RowRefutation | undefined {
  return [...refutations].sort(
    (a, b) => a.evidence.statements.length - b.evidence.statements.length || a.row.key.length - b.row.key.length,
  )[0];
}

const timed = ({ cql, requestTimeUs, effects }: Statement): string => {
  if (requestTimeUs !== null) return `${cql}   -- at ${requestTimeUs}`;
  const servers = effects.some(({ timeUs }) => timeUs === null) && !/\bTIMESTAMP\b/.test(cql);
  return servers ? `${cql}   -- time chosen by the server` : cql;
};

const eventText = ({ kind, timeUs, place, text }: CapturedEvent): string =>
  `${place} ${kind} at ${timeUs}: ${text.slice(text.indexOf('"after"'))}`;

/** The refutation as a document. */
export function refutationDocument({
  round,
  table,
  row,
  evidence,
  bookkeeping,
}: RowRefutation): Record<string, unknown> {
  const names = table.columns.filter(({ kind }) => kind !== 'static').map(({ name }) => name);
  const shown = (values: readonly (string | null)[] | null): Record<string, string | null> | null =>
    values === null ? null : Object.fromEntries(names.map((name, index) => [name, values[index] ?? null]));
  return {
    round,
    fault: evidence.fault,
    finding: evidence.finding,
    table: tableDdl(table.table),
    uses_ttl: table.table.usesTtl,
    key: row.key,
    cassandra: shown(row.source),
    postgres: shown(row.target),
    bookkeeping,
    history: evidence.statements.map(({ number, statement }) => `#${number} ${timed(statement)}`),
    events: evidence.events.map(eventText),
  };
}

/** The same for people. */
export function refutationText(refutation: RowRefutation): string {
  const { history, events, ...rest } = refutationDocument(refutation) as {
    history: string[];
    events: string[];
  } & Record<string, unknown>;
  const section = (title: string, lines: readonly string[]): string[] => [
    `${title}:`,
    ...lines.map((line) => `  ${line}`),
  ];
  return [
    ...Object.entries(rest).map(
      ([name, value]) => `${name}: ${typeof value === 'string' ? value : JSON.stringify(value)}`,
    ),
    ...section('history', history),
    ...section('events', events),
  ].join('\n');
}
