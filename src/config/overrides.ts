import { distance } from 'fastest-levenshtein';
import { coerceText } from './coerce.ts';
import type { ConfigurationProblem } from './configuration-error.ts';
import type { Environment } from './interpolation.ts';
import { itemsOf, nodeAt, pathText, propertiesOf, walk, type KeyPath, type SchemaNode } from './schema-node.ts';

/** Prefix of environment variables that override a key of the configuration. */
export const OVERRIDE_PREFIX = 'LOCKSTEP_';

/** Variables that operators of such pipelines already know, and the keys they stand for. */
export const WELL_KNOWN_VARIABLES: Readonly<Record<string, KeyPath>> = {
  RECONCILIATION_ENABLED: ['reconciliation', 'enabled'],
  RECONCILIATION_INTERVAL_MINUTES: ['reconciliation', 'intervalMinutes'],
  RECONCILIATION_DRIFT_WARNING_THRESHOLD: ['reconciliation', 'driftWarningThreshold'],
  RECONCILIATION_DRIFT_CRITICAL_THRESHOLD: ['reconciliation', 'driftCriticalThreshold'],
  RECONCILIATION_SAMPLE_SIZE: ['reconciliation', 'sampleSize'],
  RECONCILIATION_TABLES: ['reconciliation', 'tables'],
};

/** Kubernetes sets `<SERVICE>_PORT=tcp://…` and friends for every Service; one named `lockstep` would hit our prefix. */
const SERVICE_LINK_NAME = /_SERVICE_(HOST|PORT)(_|$)|_PORT_\d+_(TCP|UDP|SCTP)(_|$)/;
const SERVICE_LINK_VALUE = /^(tcp|udp|sctp):\/\//;

/** One value from the environment and the place it goes to. */
export interface Override {
  readonly variable: string;
  readonly path: KeyPath;
  readonly value: unknown;
}

/** Both spellings of a key in a variable's name: `groupId` is GROUPID and GROUP_ID. */
function segments(key: string): readonly string[] {
  const joined = key.toUpperCase();
  const words = key.replace(/([a-z0-9])([A-Z])/g, '$1_$2').toUpperCase();
  return joined === words ? [joined] : [joined, words];
}

/** The variable's name that documentation gives for a key. */
export function variableName(path: KeyPath): string {
  return OVERRIDE_PREFIX + path.map((part) => String(part).toUpperCase()).join('_');
}

/** Finds the key that a variable's name (without the prefix) means. */
function resolve(node: SchemaNode, name: string, path: KeyPath = []): KeyPath | undefined {
  if (name === '') return path;
  for (const [key, child] of Object.entries(propertiesOf(node))) {
    for (const segment of segments(key)) {
      if (name === segment) return [...path, key];
      if (!name.startsWith(`${segment}_`)) continue;
      const found = resolve(child, name.slice(segment.length + 1), [...path, key]);
      if (found !== undefined) return found;
    }
  }
  const items = itemsOf(node);
  const match = /^(\d{1,4})(?:_(.+))?$/.exec(name);
  if (items !== undefined && match !== null) return resolve(items, match[2] ?? '', [...path, Number(match[1])]);
  return undefined;
}

function unknownVariable(variable: string, root: SchemaNode): ConfigurationProblem {
  const known = [...walk(root)].map(({ path }) => variableName(path));
  const nearest = known.reduce((best, name) => (distance(name, variable) < distance(best, variable) ? name : best));
  return {
    code: 'CONFIG_ENVIRONMENT',
    path: variable,
    where: `environment variable ${variable}`,
    found: 'a variable that names no key of the configuration',
    expected: `${OVERRIDE_PREFIX}<PATH>, where PATH is a key path in capitals joined by _`,
    remedy: `Did you mean ${nearest}? Otherwise unset it. docs/configuration.md lists every variable.`,
  };
}

/**
 * The values that the environment gives, in the order in which they take effect: `RECONCILIATION_*` first, then
 * `LOCKSTEP_*`, shorter paths before longer ones so that a whole list can be set and one entry of it changed.
 *
 * A `LOCKSTEP_` variable that names no key is a problem if its first word is a section of the configuration; others
 * (`LOCKSTEP_HOME` of some script) are not ours to judge.
 */
export function readOverrides(
  env: Environment,
  root: SchemaNode,
): { readonly overrides: readonly Override[]; readonly problems: readonly ConfigurationProblem[] } {
  const wellKnown: Override[] = [];
  const own: Override[] = [];
  const problems: ConfigurationProblem[] = [];
  const sections = Object.keys(propertiesOf(root)).flatMap(segments);
  const setBy = new Map<string, Override>();
  for (const [variable, text] of Object.entries(env)) {
    if (text === undefined) continue;
    const known = Object.hasOwn(WELL_KNOWN_VARIABLES, variable) ? WELL_KNOWN_VARIABLES[variable] : undefined;
    if (known !== undefined) {
      wellKnown.push({ variable, path: known, value: coerceText(text, nodeAt(root, known)) });
      continue;
    }
    if (!variable.startsWith(OVERRIDE_PREFIX)) continue;
    if (SERVICE_LINK_NAME.test(variable) || SERVICE_LINK_VALUE.test(text)) continue;
    const name = variable.slice(OVERRIDE_PREFIX.length);
    const path = resolve(root, name);
    if (path === undefined) {
      const inSection = sections.some((section) => name === section || name.startsWith(`${section}_`));
      if (inSection) problems.push(unknownVariable(variable, root));
      continue;
    }
    const override = { variable, path, value: coerceText(text, nodeAt(root, path)) };
    const other = setBy.get(pathText(path));
    if (other !== undefined && JSON.stringify(other.value) !== JSON.stringify(override.value)) {
      problems.push({
        code: 'CONFIG_CONFLICT',
        path: pathText(path),
        where: `environment variable ${variable}`,
        found: `a value other than that of ${other.variable}`,
        expected: 'one variable for one key',
        remedy: `Unset ${other.variable} or ${variable}.`,
      });
    }
    setBy.set(pathText(path), override);
    own.push(override);
  }
  own.sort((a, b) => a.path.length - b.path.length);
  return { overrides: [...wellKnown, ...own], problems };
}

/** A copy of `value` with one place set; what is missing on the way there is made. */
export function withValueAt(value: unknown, path: KeyPath, replacement: unknown): unknown {
  const [part, ...rest] = path;
  if (part === undefined) return replacement;
  if (typeof part === 'number') {
    const list: unknown[] = Array.isArray(value) ? [...(value as unknown[])] : [];
    list[part] = withValueAt(list[part], rest, replacement);
    // A gap (entry 3 of a list of one) becomes nulls, which validation then reports by position.
    return Array.from(list, (entry) => entry ?? null);
  }
  const mapping = typeof value === 'object' && value !== null && !Array.isArray(value) ? value : {};
  const before = Object.hasOwn(mapping, part) ? (mapping as Record<string, unknown>)[part] : undefined;
  return { ...mapping, [part]: withValueAt(before, rest, replacement) };
}

/** True where the key can be set by a variable of its own (keys below free-named mappings can't). */
export function isOverridable(path: KeyPath, root: SchemaNode): boolean {
  return resolve(root, variableName(path).slice(OVERRIDE_PREFIX.length)) !== undefined;
}

/** How a variable's text is read (coerce.ts), for the documentation. */
export const ENVIRONMENT_FORMS =
  'Text stays text where the key takes text; `null` is null where the key may be null; everything else is read as YAML or ' +
  'JSON. A list of texts may also be written with commas: `LOCKSTEP_KAFKA_BROKERS=a:9092,b:9092`.';
