import type { MetricDefinition } from './metric-definitions.ts';

function row({ name, type, labels, help }: MetricDefinition): string {
  const labelText = labels.map((label) => `\`${label}\``).join(', ');
  return `| \`${name}\` | ${type} | ${labelText} | ${help.replaceAll('|', '\\|')} |`;
}

/** docs/metrics.md, made from the definitions; a test compares, `npm run docs` writes. */
export function metricReference(
  sections: Readonly<Record<string, Readonly<Record<string, MetricDefinition>>>>,
): string {
  const tables = Object.entries(sections).map(
    ([title, definitions]) => `## ${title}

| metric | type | labels | meaning |
|---|---|---|---|
${Object.values(definitions).map(row).join('\n')}
`,
  );
  return `<!-- Made by npm run docs from src/operate/telemetry/metric-definitions.ts; edit there. -->
# Metrics

\`GET /metrics\` (no token). Names and labels are fixed: dashboards and alerts may rely on them. Beside these there are the
metrics of the process (\`process_*\`, \`nodejs_*\`). Alert rules with their tests: \`alerts/\`.

${tables.join('\n')}`;
}
