/**
 * Reads and adapts what is shipped in `connectors/`: the development stack runs with the very files that a user
 * copies to their nodes, so what is documented there is what is tested here.
 */
import { readFile } from 'node:fs/promises';
import { parse } from 'yaml';
import { packageFile } from './package-root.ts';

/** Java properties as a map, in file order. Comments and blank lines are dropped; no escapes are interpreted. */
export function parseProperties(text: string): Map<string, string> {
  const properties = new Map<string, string>();
  for (const line of text.split('\n')) {
    const trimmed = line.trim();
    if (trimmed === '' || trimmed.startsWith('#')) continue;
    const equals = trimmed.indexOf('=');
    if (equals < 1) throw new Error(`not a property: ${trimmed}`);
    properties.set(trimmed.slice(0, equals).trim(), trimmed.slice(equals + 1).trim());
  }
  return properties;
}

/** Java properties as text. Backslashes (never in our paths, but in a user's directory name) are escaped. */
export function renderProperties(properties: Iterable<readonly [string, string | number]>): string {
  return [...properties].map(([key, value]) => `${key}=${String(value).replaceAll('\\', '\\\\')}\n`).join('');
}

/** The shipped agent configuration with the given keys replaced. */
export async function agentProperties(replaced: Readonly<Record<string, string | number>>): Promise<string> {
  const shipped = parseProperties(
    await readFile(packageFile('connectors', 'debezium-cassandra', 'agent.properties'), 'utf8'),
  );
  const properties = new Map<string, string | number>(shipped);
  for (const [key, value] of Object.entries(replaced)) {
    if (!shipped.has(key))
      throw new Error(`connectors/debezium-cassandra/agent.properties has no key ${key} to replace`);
    properties.set(key, value);
  }
  return renderProperties(properties);
}

/** The agent's driver configuration (HOCON, of which JSON is a subset) for one node. */
export async function agentDriverConfig(contactPoint: string): Promise<string> {
  const shipped = await readFile(packageFile('connectors', 'debezium-cassandra', 'application.conf'), 'utf8');
  const adapted = shipped.replace('"127.0.0.1:9042"', JSON.stringify(contactPoint));
  if (adapted === shipped && contactPoint !== '127.0.0.1:9042')
    throw new Error('application.conf has no contact point to replace');
  return adapted;
}

/** The settings of cassandra.yaml that capture needs. */
export async function cassandraCaptureSettings(): Promise<Record<string, unknown>> {
  return parse(await readFile(packageFile('connectors', 'debezium-cassandra', 'cassandra-cdc.yaml'), 'utf8')) as Record<
    string,
    unknown
  >;
}
