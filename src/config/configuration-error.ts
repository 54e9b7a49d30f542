import { LockstepError } from '../shared/errors.ts';

/** Codes of single problems; docs/configuration.md lists them. */
export type ConfigurationCode =
  | 'CONFIG_FILE'
  | 'CONFIG_SYNTAX'
  | 'CONFIG_UNKNOWN_KEY'
  | 'CONFIG_MISSING'
  | 'CONFIG_VALUE'
  | 'CONFIG_ENVIRONMENT'
  | 'CONFIG_CONFLICT'
  | 'CONFIG_NOT_FOUND';

/** One thing wrong with the configuration: where, what was found, what was expected, what to do. */
export interface ConfigurationProblem {
  readonly code: ConfigurationCode;
  /** Key path, e.g. `tables[0].topic`. */
  readonly path: string;
  /** `lockstep.yaml:12`, or `environment variable LOCKSTEP_API_PORT`. */
  readonly where: string;
  /** The value as found, secrets masked. */
  readonly found: string;
  readonly expected: string;
  readonly remedy: string;
}

/** The problem as one paragraph for a person. */
export function problemText(problem: ConfigurationProblem): string {
  return (
    `${problem.path} (${problem.where}): found ${problem.found}, expected ${problem.expected}.` +
    `\n    remedy: ${problem.remedy}`
  );
}

/**
 * Everything that is wrong with the configuration, at once (exit code 78). Also raised before consuming, when what a key
 * names does not exist: a topic, a table.
 */
export class ConfigurationError extends LockstepError {
  readonly problems: readonly ConfigurationProblem[];

  constructor(problems: readonly ConfigurationProblem[], cause?: unknown) {
    const count = problems.length === 1 ? '1 problem' : `${problems.length} problems`;
    super(`configuration: ${count}\n${problems.map((problem) => `  ${problemText(problem)}`).join('\n')}`, {
      code: problems[0]?.code ?? 'CONFIG_VALUE',
      kind: 'config',
      cause,
    });
    this.name = 'ConfigurationError';
    this.problems = problems;
  }
}
