import swagger from '@fastify/swagger';
import swaggerUi from '@fastify/swagger-ui';
import fastify, { type FastifyInstance, type FastifyRequest } from 'fastify';
import {
  hasZodFastifySchemaValidationErrors,
  jsonSchemaTransform,
  serializerCompiler,
  validatorCompiler,
} from 'fastify-type-provider-zod';
import { LockstepError, messageOf } from '../../shared/errors.ts';
import { packageVersion } from '../service/package-version.ts';
import type { Logger } from '../telemetry/logger.ts';
import { AccessControl, type AccessToken, type Caller, type Scope } from './access.ts';
import { HttpProblem, PROBLEM_TYPE, problemDocument } from './problem.ts';

/** Longest request body. Filters and notes are small; records never come in this way. */
const MAX_BODY_BYTES = 1_048_576;
/** A client that sends its request slower than this is cut off. */
const REQUEST_TIMEOUT_MS = 30_000;

/** Requires a scope of the request's bearer token and says who it is. */
export type Guard = (scope: Scope, request: FastifyRequest) => Caller;

/** Adds the routes of one subject (health, shards, jobs) to the server. */
export type RouteGroup = (app: FastifyInstance, guard: Guard) => void;

export interface HttpServerOptions {
  readonly tokens: readonly AccessToken[];
  readonly routes: readonly RouteGroup[];
  readonly logger: Logger;
}

/** What a thrown thing answers: our own problems as they are, fastify's by their status, anything else as 500. */
function asProblem(error: unknown): HttpProblem {
  if (error instanceof HttpProblem) return error;
  if (hasZodFastifySchemaValidationErrors(error)) {
    const errors = error.validation.map(({ instancePath, message }) => ({
      pointer: instancePath === '' ? '/' : instancePath,
      detail: message ?? 'not as the contract says',
    }));
    const detail = errors.map(({ pointer, detail: what }) => `${pointer}: ${what}`).join('; ');
    return new HttpProblem(400, 'INVALID_REQUEST', detail, '/openapi.json has the contract, /docs shows it.', errors);
  }
  if (error instanceof LockstepError) {
    // What the caller can correct, and what may work in a moment; everything else is ours.
    if (error.kind === 'usage') return new HttpProblem(400, error.code, messageOf(error), error.remedy);
    if (error.kind === 'transient') return new HttpProblem(503, error.code, messageOf(error), error.remedy);
  }
  const { statusCode } = error as { statusCode?: unknown };
  if (typeof statusCode === 'number' && statusCode >= 400 && statusCode < 500) {
    return new HttpProblem(statusCode, 'BAD_REQUEST', messageOf(error));
  }
  return new HttpProblem(500, 'INTERNAL', 'The request failed here.', 'The log of the service has the reason.');
}

/** For routes that need what is not there yet. */
export function notStarted(): never {
  throw new HttpProblem(503, 'STARTING', 'The service is still starting.', '/health/ready says what it waits for.');
}

/** The HTTP server without a socket: `listen` gives it one, tests call `inject`. */
export function createHttpServer(options: HttpServerOptions): FastifyInstance {
  const { logger } = options;
  const access = new AccessControl(options.tokens);
  const app = fastify({
    bodyLimit: MAX_BODY_BYTES,
    requestTimeout: REQUEST_TIMEOUT_MS,
    // On shutdown idle keep-alive connections are closed, so that `close` does not wait for them.
    forceCloseConnections: 'idle',
  });
  app.setErrorHandler(async (error, request, reply) => {
    const problem = asProblem(error);
    if (problem.status >= 500) logger.error({ err: error, method: request.method, url: request.url }, 'request failed');
    if (problem.status === 401) void reply.header('www-authenticate', 'Bearer');
    return reply.code(problem.status).type(PROBLEM_TYPE).send(problemDocument(problem));
  });
  app.setNotFoundHandler(async (request, reply) => {
    const path = request.url.split('?')[0] ?? '';
    const problem = new HttpProblem(404, 'NOT_FOUND', `There is no ${request.method} ${path}.`);
    return reply.code(404).type(PROBLEM_TYPE).send(problemDocument(problem));
  });
  app.addHook('onResponse', async (request, reply) => {
    const fields = { method: request.method, url: request.routeOptions.url, status: reply.statusCode };
    logger.debug({ ...fields, ms: Math.round(reply.elapsedTime) }, 'request');
  });
  const guard: Guard = (scope, request) => access.require(scope, request.headers.authorization);
  app.setValidatorCompiler(validatorCompiler);
  app.setSerializerCompiler(serializerCompiler);
  // The document is made from the routes' own schemas, so contract and code can't drift. It needs no token: a page in a
  // browser could not send one, and it says nothing about this installation.
  void app.register(swagger, {
    openapi: {
      info: {
        title: 'Lockstep',
        version: packageVersion(),
        description: 'Operating a Lockstep service. Errors are RFC 9457 problem documents.',
      },
      components: { securitySchemes: { bearer: { type: 'http', scheme: 'bearer' } } },
    },
    transform: jsonSchemaTransform,
  });
  void app.register(swaggerUi, {
    routePrefix: '/docs',
    // Without the bar of swagger-ui, which offers to explore other APIs.
    uiConfig: { docExpansion: 'list', layout: 'BaseLayout' },
    theme: { title: 'Lockstep' },
  });
  void app.register((instance, _options, done) => {
    // Before anything is made of a request: a stranger learns nothing of what is wrong with it.
    instance.addHook('onRequest', (request, _reply, next) => {
      if (request.routeOptions.schema?.security !== undefined) access.identify(request.headers.authorization);
      next();
    });
    for (const addRoutes of options.routes) addRoutes(instance, guard);
    instance.get('/openapi.json', { schema: { hide: true } }, async (_request, reply) => reply.send(app.swagger()));
    done();
  });
  return app;
}
