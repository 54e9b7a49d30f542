/** Findings of business rules on a terminal. */
import CliTable from 'cli-table3';
import type { RuleFinding } from '../target/stores/rule-finding-store.ts';

export const valuesText = (values: unknown): string => (values === null ? '–' : JSON.stringify(values));

export function printRuleFindings(findings: readonly RuleFinding[]): void {
  const table = new CliTable({
    head: ['id', 'rule', 'severity', 'key', 'type', 'source', 'target', 'status', 'seen', 'first seen (UTC)'],
    style: { head: [], border: [] },
  });
  for (const each of findings) {
    table.push([
      `rule-${each.id}`,
      each.rule,
      each.severity,
      each.key,
      each.kind,
      valuesText(each.source),
      valuesText(each.target),
      each.status,
      each.seen,
      new Date(each.firstSeenMs).toISOString().slice(0, 19),
    ]);
  }
  process.stdout.write(`${table.toString()}\n`);
}
