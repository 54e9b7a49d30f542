/** A filter of dead letters as JSON: in a job's parameters, and in requests over HTTP. */
import { z } from 'zod';
import {
  LETTER_STATUSES,
  letterFilter,
  parseSourceOffsets,
  type LetterFilter,
} from '../../deadletter/letter-filter.ts';

const time = z.iso.datetime({ offset: true }).transform((text) => Date.parse(text));

/** Field names as in queries of `GET /dlq/records`. */
export const filterSchema = z.strictObject({
  table: z.string().min(1).optional(),
  reason: z.string().min(1).optional(),
  code: z.string().min(1).optional(),
  status: z.enum(LETTER_STATUSES).optional(),
  from: time.optional(),
  to: time.optional(),
  source_offsets: z
    .string()
    .transform((text, context) => {
      const offsets = parseSourceOffsets(text);
      if (offsets !== null) return offsets;
      context.addIssue({ code: 'custom', message: 'expected TOPIC:PARTITION:FROM-TO' });
      return z.NEVER;
    })
    .optional(),
  id: z.coerce.bigint().positive().optional(),
});

export type FilterDocument = z.input<typeof filterSchema>;

/** The filter of a document that `filterDocument` made. */
export function filterFrom(document: unknown): LetterFilter {
  return filterOf(filterSchema.parse(document));
}

/** The filter that the schema has read out of a request. */
export function filterOf(parsed: z.output<typeof filterSchema>): LetterFilter {
  const { from, to, source_offsets: sourceOffsets, table, reason, code, status, id } = parsed;
  return letterFilter({ table, reason, code, status, fromMs: from, toMs: to, sourceOffsets, id });
}

export function filterDocument(filter: LetterFilter): FilterDocument {
  const { fromMs, toMs, sourceOffsets, id, ...rest } = filter;
  return {
    ...rest,
    ...(fromMs === undefined ? {} : { from: new Date(fromMs).toISOString() }),
    ...(toMs === undefined ? {} : { to: new Date(toMs).toISOString() }),
    ...(sourceOffsets === undefined
      ? {}
      : {
          source_offsets: `${sourceOffsets.topic}:${sourceOffsets.partition}:${sourceOffsets.from}-${sourceOffsets.to}`,
        }),
    ...(id === undefined ? {} : { id: String(id) }),
  };
}
