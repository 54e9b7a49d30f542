/**
 * docs/configuration.md and lockstep.schema.json, made from the schema. A test compares the files with what is made here,
 * `npm run docs` writes them.
 */
import { ENVIRONMENT_FORMS, WELL_KNOWN_VARIABLES, isOverridable, variableName } from './overrides.ts';
import { expectedText } from './problems.ts';
import { configurationNode } from './schema.ts';
import {
  alternatives,
  descriptionOf,
  pathText,
  propertiesOf,
  typesOf,
  walk,
  type KeyPath,
  type SchemaNode,
} from './schema-node.ts';

/** A text with a reference to the environment is fine for an editor wherever another kind of value is expected. */
const REFERENCE_NODE = { type: 'string', pattern: '\\$\\{[^}]+\\}' };

function withReferences(node: SchemaNode): unknown {
  const { properties, items, additionalProperties, anyOf, ...rest } = node;
  const own = {
    ...rest,
    ...(anyOf === undefined ? {} : { anyOf: anyOf.map(withReferences) }),
    ...(items === undefined ? {} : { items: withReferences(items) }),
    ...(properties === undefined
      ? {}
      : {
          properties: Object.fromEntries(
            Object.entries(properties).map(([key, child]) => [key, withReferences(child)]),
          ),
        }),
    ...(additionalProperties === undefined
      ? {}
      : {
          additionalProperties:
            typeof additionalProperties === 'object' ? withReferences(additionalProperties) : additionalProperties,
        }),
  };
  const scalar = properties === undefined && items === undefined && anyOf === undefined;
  const constrained = node.enum !== undefined || node.format !== undefined || node.pattern !== undefined;
  const needsText = scalar && (constrained || !typesOf(node).has('string'));
  if (!needsText || typesOf(node).has('object') || node.type === 'null') return own;
  const { description, title, default: fallback, ...constraints } = own;
  return {
    ...(title === undefined ? {} : { title }),
    ...(description === undefined ? {} : { description }),
    ...(fallback === undefined ? {} : { default: fallback }),
    anyOf: [constraints, REFERENCE_NODE],
  };
}

/** The JSON Schema that editors use: that of validation, plus references to the environment everywhere. */
export function publishedSchema(): unknown {
  return {
    $schema: 'https://json-schema.org/draft/2020-12/schema',
    title: 'Lockstep configuration (lockstep.yaml)',
    ...(withReferences({ ...configurationNode }) as object),
  };
}

function cell(text: string): string {
  return text.replaceAll('|', '\\|').replaceAll('\n', ' ');
}

/** `tables[].topic`: list positions carry no number in documentation. */
function keyText(path: KeyPath): string {
  return pathText(path).replaceAll('[0]', '[]');
}

function defaultText(node: SchemaNode, required: boolean): string {
  if (required) return '**required**';
  if (node.default === undefined) return '';
  const isEmptyMapping = JSON.stringify(node.default) === '{}';
  return isEmptyMapping && Object.keys(propertiesOf(node)).length > 0 ? '' : `\`${JSON.stringify(node.default)}\``;
}

function isSection(node: SchemaNode): boolean {
  return alternatives(node).every((choice) => choice.properties !== undefined);
}

function sectionText(name: string, node: SchemaNode): string {
  const rows = [...walk(node, [name])].filter(({ node: child }) => !isSection(child));
  const self = isSection(node)
    ? []
    : [{ path: [name], node, required: configurationNode.required?.includes(name) === true }];
  const lines = [...self, ...rows].map(({ path, node: child, required }) => {
    const variable = isOverridable(path, configurationNode) ? `\`${variableName(path)}\`` : '';
    return `| \`${keyText(path)}\` | ${cell(expectedText(child))} | ${cell(defaultText(child, required))} | ${cell(descriptionOf(child) ?? '')} | ${variable} |`;
  });
  return [
    `## \`${name}\``,
    '',
    descriptionOf(node) ?? '',
    '',
    '| key | value | default | meaning | variable |',
    '|---|---|---|---|---|',
    ...lines,
    '',
  ].join('\n');
}

/** docs/configuration.md. */
export function configurationReference(): string {
  const wellKnown = Object.entries(WELL_KNOWN_VARIABLES).map(
    ([name, path]) => `| \`${name}\` | \`${keyText(path)}\` |`,
  );
  return `<!-- Made by npm run docs from src/config/schema.ts; edit there. -->
# Configuration

Lockstep reads \`lockstep.yaml\` in the working directory, or the file named with \`-c\`. Put
\`# yaml-language-server: $schema=./node_modules/lockstep/lockstep.schema.json\` on its first line and an editor completes
and checks it. What is wrong is reported all at once, each with its line, what was found, what was expected and what to
do; the exit code is 78.

## From the environment

* \`\${NAME}\` in a value is replaced by the variable NAME, \`\${NAME:-default}\` by the default where NAME is unset or empty;
  \`$\${\` is a literal \`\${\`. A variable that is unset and has no default is an error. What is put in is not looked at again.
* Every key can be overridden by a variable: \`LOCKSTEP_\` and the key path in capitals, joined by \`_\`. A key of several words
  may be written in one or with \`_\` between them: \`kafka.groupId\` is \`LOCKSTEP_KAFKA_GROUPID\` or \`LOCKSTEP_KAFKA_GROUP_ID\`.
  Entries of lists go by position: \`LOCKSTEP_API_TOKENS_0_TOKEN\`.
* ${ENVIRONMENT_FORMS}
* A \`LOCKSTEP_\` variable whose first word is a section below and that names no key is an error. Those that Kubernetes sets for
  Services (\`…_SERVICE_HOST\`, \`…_PORT=tcp://…\`) are not looked at.
* Order: the file with its references, then \`RECONCILIATION_*\`, then \`LOCKSTEP_*\`.

| variable | key |
|---|---|
${wellKnown.join('\n')}

Durations are a number with a unit: \`500ms\`, \`60s\`, \`5m\`, \`1h\`, \`7d\`. Passwords, tokens and passwords in URLs are masked
wherever configuration is shown.

${Object.entries(propertiesOf(configurationNode))
  .map(([name, node]) => sectionText(name, node))
  .join('\n')}`;
}
