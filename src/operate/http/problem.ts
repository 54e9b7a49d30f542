/** An RFC 9457 problem document. `type` stays `about:blank`: `code` is what programs look at. */
export interface Problem {
  readonly type: 'about:blank';
  readonly title: string;
  readonly status: number;
  readonly detail: string;
  readonly code: string;
  readonly remedy?: string;
  /** What is wrong with the request, place by place (JSON pointers). */
  readonly errors?: readonly FieldError[];
}

export interface FieldError {
  readonly pointer: string;
  readonly detail: string;
}

/** Media type of problem documents. */
export const PROBLEM_TYPE = 'application/problem+json';

const TITLES: Readonly<Record<number, string>> = {
  400: 'Bad Request',
  401: 'Unauthorized',
  403: 'Forbidden',
  404: 'Not Found',
  405: 'Method Not Allowed',
  409: 'Conflict',
  413: 'Content Too Large',
  415: 'Unsupported Media Type',
  429: 'Too Many Requests',
  500: 'Internal Server Error',
  503: 'Service Unavailable',
};

/** An answer that is an error, raised anywhere in a route; the server turns it into a problem document. */
export class HttpProblem extends Error {
  readonly status: number;
  readonly code: string;
  readonly remedy: string | undefined;
  readonly errors: readonly FieldError[];

  constructor(status: number, code: string, detail: string, remedy?: string, errors: readonly FieldError[] = []) {
    super(detail);
    this.name = 'HttpProblem';
    this.status = status;
    this.code = code;
    this.remedy = remedy;
    this.errors = errors;
  }
}

/** The document of a problem. */
export function problemDocument(problem: HttpProblem): Problem {
  return {
    type: 'about:blank',
    title: TITLES[problem.status] ?? 'Error',
    status: problem.status,
    detail: problem.message,
    code: problem.code,
    ...(problem.remedy === undefined ? {} : { remedy: problem.remedy }),
    ...(problem.errors.length === 0 ? {} : { errors: problem.errors }),
  };
}
