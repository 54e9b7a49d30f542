import { readFileSync } from 'node:fs';
import { basename, resolve } from 'node:path';
import { messageOf } from '../shared/errors.ts';
import { checkAcrossKeys } from './checks.ts';
import { coerceText } from './coerce.ts';
import { ConfigurationError, type ConfigurationProblem } from './configuration-error.ts';
import { interpolate, type Environment } from './interpolation.ts';
import { readOverrides, withValueAt } from './overrides.ts';
import { problemsOf } from './problems.ts';
import { configurationNode, configurationSchema, validSections, type Configuration } from './schema.ts';
import { nodeAt, pathText, type KeyPath } from './schema-node.ts';
import { parseYaml } from './yaml-source.ts';

/** File that is read when no other is named. */
export const DEFAULT_CONFIGURATION_FILE = 'lockstep.yaml';

/** Where configuration comes from. */
export interface LoadOptions {
  /** File; default `lockstep.yaml` in the working directory. */
  readonly path?: string | undefined;
  readonly env: Environment;
}

/** Replaces `${NAME}` in every text of a document, and reads what was put in as what its key expects. */
function interpolateAll(
  value: unknown,
  path: KeyPath,
  env: Environment,
  report: (path: KeyPath, found: string, expected: string, remedy: string) => void,
): unknown {
  if (typeof value === 'string') {
    const result = interpolate(value, env);
    switch (result.kind) {
      case 'text':
        return result.changed ? coerceText(result.text, nodeAt(configurationNode, path)) : value;
      case 'missing':
        report(
          path,
          `\${${result.name}}, a variable that is not set`,
          'a variable of the environment',
          `Set ${result.name}, or give a default: \${${result.name}:-default}.`,
        );
        return value;
      case 'malformed':
        report(
          path,
          `the malformed reference ${result.reference}`,
          '${NAME} or ${NAME:-default}',
          'Correct the reference, or write $${ for a literal ${.',
        );
        return value;
    }
  }
  if (Array.isArray(value)) return value.map((entry, index) => interpolateAll(entry, [...path, index], env, report));
  if (typeof value === 'object' && value !== null && !(value instanceof Date)) {
    return Object.fromEntries(
      Object.entries(value).map(([key, entry]) => [key, interpolateAll(entry, [...path, key], env, report)]),
    );
  }
  return value;
}

/** True where path `a` is path `b` or lies below it. */
function related(a: string, b: string): boolean {
  return a === b || a.startsWith(`${b}.`) || a.startsWith(`${b}[`);
}

/**
 * Parses and validates configuration text. The environment is applied in this order: `${NAME}` in the file, then
 * `RECONCILIATION_*`, then `LOCKSTEP_<PATH>`.
 * @throws {ConfigurationError} naming every problem at once; exit code 78.
 */
export function parseConfiguration(text: string, fileName: string, env: Environment): Configuration {
  const yaml = parseYaml(text, fileName);
  if (yaml.problems.length > 0) throw new ConfigurationError(yaml.problems);

  const references: ConfigurationProblem[] = [];
  let value = interpolateAll(yaml.value, [], env, (path, found, expected, remedy) => {
    const code = 'CONFIG_ENVIRONMENT';
    references.push({ code, path: pathText(path), where: yaml.where(path), found, expected, remedy });
  });
  const fromEnvironment = new Map<string, string>();
  const { overrides, problems: overrideProblems } = readOverrides(env, configurationNode);
  for (const override of overrides) {
    value = withValueAt(value, override.path, override.value);
    fromEnvironment.set(pathText(override.path), override.variable);
  }
  // A reference in a value that a variable replaces is of no consequence.
  const unresolved = references.filter(({ path }) => ![...fromEnvironment.keys()].some((key) => related(path, key)));
  const problems: ConfigurationProblem[] = [...unresolved, ...overrideProblems];
  const locate = (path: KeyPath): string => {
    for (let length = path.length; length > 0; length -= 1) {
      const variable = fromEnvironment.get(pathText(path.slice(0, length)));
      if (variable !== undefined) return `environment variable ${variable}`;
    }
    return yaml.where(path);
  };

  const result = configurationSchema.safeParse(value);
  if (!result.success) {
    const found = problemsOf(result.error.issues, value, configurationNode, locate);
    // A reference that could not be resolved is reported once, not again as a value of the wrong kind.
    problems.push(...found.filter((problem) => !unresolved.some(({ path }) => related(problem.path, path))));
  }
  problems.push(...checkAcrossKeys(validSections(value), locate));
  if (!result.success || problems.length > 0) throw new ConfigurationError(problems);
  return result.data;
}

/**
 * Reads the configuration file and the environment.
 * @throws {ConfigurationError} kind `config`: exit code 78.
 */
export function loadConfiguration(options: LoadOptions): Configuration {
  const path = resolve(options.path ?? DEFAULT_CONFIGURATION_FILE);
  let text: string;
  try {
    text = readFileSync(path, 'utf8');
  } catch (error) {
    throw new ConfigurationError(
      [
        {
          code: 'CONFIG_FILE',
          path: 'configuration file',
          where: path,
          found: messageOf(error),
          expected: 'a readable file',
          remedy: `Create ${DEFAULT_CONFIGURATION_FILE} in the working directory or name a file with -c FILE.`,
        },
      ],
      error,
    );
  }
  return parseConfiguration(text, basename(path), options.env);
}
