/** What a run says in the end. */
import type { FaultCounts } from './faults/fault.ts';
import { refutationDocument, refutationText, smallest, type RowRefutation } from './refutation.ts';

export type Verdict = 'PASS' | 'REFUTED' | 'INCONCLUSIVE';

export interface ProofReport {
  readonly verdict: Verdict;
  readonly seed: number;
  readonly nodes: number;
  readonly semantics: readonly string[];
  readonly hazards: readonly string[];
  readonly rounds: number;
  readonly tableSets: number;
  readonly histories: number;
  /** Columns that were added. */
  readonly schemaChanges: number;
  readonly statements: number;
  /** Statements that Cassandra refused as such. */
  readonly refused: number;
  readonly records: number;
  readonly rowsCompared: number;
  readonly valuesCompared: number;
  readonly faults: FaultCounts;
  /** Times that the agents stood still of their own accord and were started again. */
  readonly agentStalls: number;
  /** Changes that Cassandra acknowledged and no topic has. */
  readonly lostByConnector: number;
  readonly lostExamples: readonly string[];
  /** Rows that differ because of those. */
  readonly connectorRows: number;
  readonly refutations: readonly RowRefutation[];
  /** Everything else that must not be: dead letters, ledger gaps, shards that stand still. */
  readonly failures: readonly string[];
  readonly inconclusive: string | null;
  readonly tookMs: number;
}

/** As published: `npm run prove -- --json`. */
export function reportDocument(report: ProofReport): Record<string, unknown> {
  const shown = smallest(report.refutations);
  return {
    verdict: report.verdict,
    seed: report.seed,
    nodes: report.nodes,
    semantics: report.semantics,
    hazards: report.hazards,
    rounds: report.rounds,
    table_sets: report.tableSets,
    histories: report.histories,
    schema_changes: report.schemaChanges,
    statements: report.statements,
    statements_refused: report.refused,
    records: report.records,
    rows_compared: report.rowsCompared,
    values_compared: report.valuesCompared,
    ...report.faults,
    agent_stalls: report.agentStalls,
    lost_by_connector: report.lostByConnector,
    lost_examples: report.lostExamples,
    rows_differing_by_connector: report.connectorRows,
    refuted_rows: report.refutations.length,
    refutation: shown === undefined ? null : refutationDocument(shown),
    failures: report.failures,
    inconclusive: report.inconclusive,
    took_ms: Math.round(report.tookMs),
  };
}

/** For people: the counts, and the smallest refutation. */
export function reportText(report: ProofReport): string {
  const { verdict, lost_examples, refutation, failures, inconclusive, ...counts } = reportDocument(report);
  const shown = smallest(report.refutations);
  return [
    ...Object.entries(counts).map(([name, value]) => `${name.padEnd(28)} ${String(value)}`),
    ...report.lostExamples.map((text) => `lost by the connector: ${text}`),
    ...report.failures.map((text) => `failure: ${text}`),
    ...(report.inconclusive === null ? [] : [`inconclusive: ${report.inconclusive}`]),
    ...(shown === undefined ? [] : ['', refutationText(shown)]),
    '',
    report.verdict,
  ].join('\n');
}
