import { ConfigurationError, type Configuration } from '../../config/index.ts';
import { counted, fault, ok, warn, type Check } from './check.ts';

/** Tokens shorter than this can be guessed. */
const MIN_TOKEN_LENGTH = 16;

/** The configuration: every problem is a fault of its own; without it nothing else can be looked at. */
export function configurationChecks(load: () => Configuration): readonly Check[] {
  return [
    {
      id: 'configuration',
      needs: [],
      run() {
        try {
          const { tables } = load();
          return Promise.resolve([ok(`valid, ${counted(tables.length, 'table')}`)]);
        } catch (error) {
          if (!(error instanceof ConfigurationError)) throw error;
          return Promise.resolve(
            error.problems.map(({ path, where, found, expected, remedy }) =>
              fault(`${where}: found ${found}, expected ${expected}`, remedy, path),
            ),
          );
        }
      },
    },
    {
      id: 'api.tokens',
      needs: ['configuration'],
      run() {
        const { tokens } = load().api;
        const weak = tokens.filter(({ token }) => token.length < MIN_TOKEN_LENGTH);
        if (weak.length > 0) {
          const names = weak.map(({ name }) => name).join(', ');
          return Promise.resolve([
            warn(
              `tokens of fewer than ${MIN_TOKEN_LENGTH} characters: ${names}`,
              'Replace them with the output of openssl rand -hex 32.',
            ),
          ]);
        }
        if (tokens.length === 0) {
          return Promise.resolve([ok('no tokens: only health and metrics can be asked for over HTTP')]);
        }
        return Promise.resolve([ok(counted(tokens.length, 'token'))]);
      },
    },
  ];
}
