import type { FastifyInstance } from 'fastify';
import { ConfigurationError } from '../../config/index.ts';
import { messageOf } from '../../shared/errors.ts';

/** Errors of `listen` that no waiting mends: the address is taken, not ours, or not allowed. */
const ADDRESS_ERRORS: ReadonlySet<unknown> = new Set(['EADDRINUSE', 'EACCES', 'EADDRNOTAVAIL', 'ENOTFOUND']);

/**
 * Gives the server its socket; answers its URL.
 * @throws {ConfigurationError} where the configured address can't be listened on.
 */
export async function listen(app: FastifyInstance, host: string, port: number): Promise<string> {
  try {
    return await app.listen({ host, port });
  } catch (error) {
    if (!ADDRESS_ERRORS.has((error as NodeJS.ErrnoException).code)) throw error;
    throw new ConfigurationError(
      [
        {
          code: 'CONFIG_VALUE',
          path: 'api.port',
          where: 'api.host and api.port',
          found: `${host}:${port}: ${messageOf(error)}`,
          expected: 'an address of this machine that is free',
          remedy: 'Stop what listens there, or set another api.port (0 = any free one).',
        },
      ],
      error,
    );
  }
}
