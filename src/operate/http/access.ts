import { createHash, timingSafeEqual } from 'node:crypto';
import { HttpProblem } from './problem.ts';

/** What a token may do: look, change what runs, erase records. One does not include another. */
export type Scope = 'read' | 'operate' | 'erase';

/** A bearer token of the configuration. */
export interface AccessToken {
  readonly name: string;
  readonly token: string;
  readonly scopes: readonly Scope[];
}

/** Who asked: the name goes to the audit log. */
export interface Caller {
  readonly name: string;
  readonly scopes: ReadonlySet<Scope>;
}

function digest(text: string): Buffer {
  return createHash('sha256').update(text).digest();
}

/**
 * Answers who may do what. Tokens are compared by digest and in constant time, and all of them on every request, so that
 * the answer's time tells nothing about them.
 */
export class AccessControl {
  readonly #tokens: readonly { readonly digest: Buffer; readonly caller: Caller }[];

  constructor(tokens: readonly AccessToken[]) {
    this.#tokens = tokens.map(({ name, token, scopes }) => ({
      digest: digest(token),
      caller: { name, scopes: new Set(scopes) },
    }));
  }

  /**
   * The caller behind an `Authorization` header.
   * @throws {HttpProblem} 401 without a known token.
   */
  identify(authorization: string | undefined): Caller {
    const remedy = 'Send "Authorization: Bearer TOKEN" with a token of api.tokens in the configuration.';
    const given = /^Bearer +(\S+)$/i.exec(authorization ?? '')?.[1];
    if (given === undefined) throw new HttpProblem(401, 'UNAUTHENTICATED', 'This needs a bearer token.', remedy);
    const givenDigest = digest(given);
    let caller: Caller | undefined;
    for (const token of this.#tokens) if (timingSafeEqual(token.digest, givenDigest)) caller = token.caller;
    if (caller === undefined) throw new HttpProblem(401, 'UNAUTHENTICATED', 'The bearer token is not known.', remedy);
    return caller;
  }

  /**
   * The caller behind an `Authorization` header that may use `scope`.
   * @throws {HttpProblem} 401 without a known token, 403 without the scope.
   */
  require(scope: Scope, authorization: string | undefined): Caller {
    const caller = this.identify(authorization);
    if (!caller.scopes.has(scope)) {
      throw new HttpProblem(
        403,
        'SCOPE_MISSING',
        `The token of ${caller.name} has no scope ${scope}.`,
        `Add ${scope} to the token's scopes in api.tokens, or use another token.`,
      );
    }
    return caller;
  }
}
