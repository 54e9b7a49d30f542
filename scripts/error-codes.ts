/**
 * docs/error-codes.md, made from the code: the tables of the decoder, of the value mappings and of PostgreSQL's SQLSTATEs,
 * and every code that stands beside a `kind` in a literal of src/. Nothing can be raised with a code that is not listed.
 */
import { globSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import ts from 'typescript';
import { VALUE_PROBLEMS } from '../src/catalog/value-problems.ts';
import { DECODE_CODES } from '../src/decode/debezium-cassandra/codes.ts';
import { BY_CLASS, BY_STATE, REMEDY } from '../src/target/postgres-errors.ts';

interface Raised {
  readonly code: string;
  readonly kind: string;
  readonly remedy: string;
  readonly file: string;
}

const cell = (text: string): string => text.replaceAll('|', '\\|').replaceAll('\n', ' ');

/** The text of a literal; what is put in at run time shows as …. */
function textOf(node: ts.Expression | undefined): string | null {
  if (node === undefined) return null;
  if (ts.isStringLiteralLike(node)) return node.text;
  if (ts.isTemplateExpression(node)) {
    return node.head.text + node.templateSpans.map(({ literal }) => `…${literal.text}`).join('');
  }
  if (ts.isBinaryExpression(node)) return (textOf(node.left) ?? '…') + (textOf(node.right) ?? '…');
  return null;
}

function raisedIn(root: string, file: string): Raised[] {
  const source = ts.createSourceFile(file, readFileSync(join(root, file), 'utf8'), ts.ScriptTarget.Latest, true);
  const constants = new Map<string, string>();
  const found: Raised[] = [];
  const visit = (node: ts.Node): void => {
    if (ts.isVariableDeclaration(node) && ts.isIdentifier(node.name)) {
      const text = textOf(node.initializer);
      if (text !== null) constants.set(node.name.text, text);
    }
    if (ts.isObjectLiteralExpression(node)) {
      const valueOf = (name: string): string | null => {
        for (const property of node.properties) {
          if (!ts.isPropertyAssignment(property) || property.name.getText() !== name) continue;
          const { initializer } = property;
          return ts.isIdentifier(initializer) ? (constants.get(initializer.text) ?? null) : textOf(initializer);
        }
        return null;
      };
      const [code, kind] = [valueOf('code'), valueOf('kind')];
      if (code !== null && kind !== null && /^[A-Z][A-Z_0-9]+$/.test(code)) {
        found.push({ code, kind, remedy: valueOf('remedy') ?? '', file });
      }
    }
    ts.forEachChild(node, visit);
  };
  visit(source);
  return found;
}

/** Codes of literals in src/, each once, the one with the longest remedy. */
function raisedCodes(root: string): Raised[] {
  const files = globSync('src/**/*.ts', { cwd: root }).filter((file) => !file.endsWith('.test.ts'));
  const byCode = new Map<string, Raised>();
  for (const raised of files.sort().flatMap((file) => raisedIn(root, file.replaceAll('\\', '/')))) {
    const known = byCode.get(raised.code);
    if (known === undefined || known.remedy.length < raised.remedy.length) byCode.set(raised.code, raised);
  }
  return [...byCode.values()].sort((a, b) => (a.code < b.code ? -1 : 1));
}

/** The page. */
export function errorCodesPage(root: string): string {
  const states = { ...BY_CLASS, ...BY_STATE };
  const sqlstates = Object.entries(states)
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(
      ([state, kind]) => `| \`PG_${state}${state.length === 2 ? '…' : ''}\` | ${kind} | ${cell(REMEDY[state] ?? '')} |`,
    );
  const others = Object.keys(REMEDY)
    .filter((state) => BY_STATE[state] === undefined)
    .map((state) => `| \`PG_${state}\` | ${BY_CLASS[state.slice(0, 2)] ?? 'batch'} | ${cell(REMEDY[state] ?? '')} |`);
  const explained = (table: Readonly<Record<string, { readonly meaning: string; readonly remedy: string }>>): string =>
    Object.entries(table)
      .map(([code, { meaning, remedy }]) => `| \`${code}\` | ${cell(meaning)} | ${cell(remedy)} |`)
      .join('\n');
  return `<!-- Made by npm run docs from the code; edit there. -->
# Error codes

The \`kind\` alone decides what happens:

| kind | what happens |
|---|---|
| \`transient\` | tried again with back-off for as long as it takes; never a dead letter |
| \`batch\` | everything in this place would fail alike: the shard stops and says why, and tries again by itself |
| \`row\` | one change can't be applied: it is isolated and set aside as a dead letter |
| \`fenced\` | somebody else moved the position: what is in memory is dropped and the position read again |
| \`config\` | wrong configuration: exit code 78 |
| \`usage\` | wrong use of a command: exit code 2 |
| \`bug\` | a fault of ours: the shard stops, commands exit with 70 |

## Records that can't be read

All of kind \`row\`; the letter names the place in the record.

| code | meaning | remedy |
|---|---|---|
${explained(DECODE_CODES)}

## Values that the target can't hold exactly

All of kind \`row\`.

| code | meaning | remedy |
|---|---|---|
${explained(VALUE_PROBLEMS)}

## What PostgreSQL answers

\`PG_\` and the SQLSTATE. An exact state comes before its class; a state in neither is \`batch\`, so nothing is set aside by guess. Integrity errors of Lockstep's own control tables are \`batch\`.

| code | kind | remedy |
|---|---|---|
${[...sqlstates, ...others].join('\n')}

## What Lockstep says itself

| code | kind | remedy | raised in |
|---|---|---|---|
${raisedCodes(root)
  .map(({ code, kind, remedy, file }) => `| \`${code}\` | ${kind} | ${cell(remedy)} | ${file} |`)
  .join('\n')}
`;
}
