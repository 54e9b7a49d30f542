/** The parts that many routes' contracts share. Field names are snake_case; 64-bit integers are text. */
import { z } from 'zod';

const MAX_PAGE = 1_000;

export const time = z.iso.datetime({ offset: true });
export const bigintText = z.string().regex(/^\d+$/);

/** Query of a list: which part of it. */
export const page = {
  limit: z.coerce.number().int().min(1).max(MAX_PAGE).default(100).describe('Entries at most.'),
  offset: z.coerce.number().int().min(0).default(0).describe('Entries to leave out first.'),
};

export const problem = z
  .object({
    type: z.literal('about:blank'),
    title: z.string(),
    status: z.number().int(),
    detail: z.string(),
    code: z.string(),
    remedy: z.string().optional(),
    errors: z.array(z.object({ pointer: z.string(), detail: z.string() })).optional(),
  })
  .describe('RFC 9457 problem document.');

/** Answers that every guarded route may give. */
export const problems = { 400: problem, 401: problem, 403: problem, 404: problem, 409: problem, 503: problem };

export const security = [{ bearer: [] }];
