import { z } from 'zod';
import type { ZodTypeProvider } from 'fastify-type-provider-zod';
import type { ResolveOutcome } from '../../reconcile/end-state/resolve-outcome.ts';
import { LockstepError, messageOf } from '../../shared/errors.ts';
import { mismatchDocument } from '../end-state/job-document.ts';
import { ACTIONS, CLOSED_AS, FINDING_REF, findingRef, type Decision } from '../end-state/resolve-by-hand.ts';
import type { Operations } from '../service/operations.ts';
import { ruleFindingDocument } from '../rules/rule-job.ts';
import { problems, security } from './contract.ts';
import { image, mismatch } from './mismatch-contract.ts';
import { HttpProblem } from './problem.ts';
import { ruleFinding } from './rule-contract.ts';
import { notStarted, type RouteGroup } from './server.ts';

/** Longest request: what the stream has not passed by then is told. */
const LIMIT_MS = 60_000;
/** Codes of what a caller can't mend by another request body. */
const STATUS_OF: Readonly<Record<string, number>> = {
  FINDING_UNKNOWN: 404,
  RULE_FINDING_UNKNOWN: 404,
  FINDING_RESOLVED: 409,
  TABLE_UNKNOWN: 409,
  SOURCE_MISSING: 409,
};

const resolveBody = z
  .strictObject({
    resolution_status: z
      .enum(CLOSED_AS)
      .optional()
      .describe(
        'Closes the finding and writes no row. MANUAL_RESOLVED: dealt with elsewhere; seen again, it is a new finding. IGNORED: accepted while both sides look the same.',
      ),
    action: z
      .enum(ACTIONS)
      .optional()
      .describe(
        'APPLY_SOURCE: reads the row from the source again and repairs the target. KEEP_TARGET: accepts the difference while both sides look the same. CUSTOM_FIX: writes `value`. Repairs replace exactly the row that was looked at, and can be taken back (lockstep reconcile undo).',
      ),
    value: z
      .record(z.string(), z.unknown())
      .nullable()
      .optional()
      .describe(
        'CUSTOM_FIX: values by column of the source, as docs/type-mapping.md writes them; numbers that are no small integers as text; null empties a column. Columns that are not named stay. Null: the row is to be gone.',
      ),
    resolution_notes: z.string().trim().min(1).max(1_000).describe('Why; kept with the finding and in the audit log.'),
    dry_run: z.boolean().default(false).describe('Tell what would happen; write nothing.'),
  })
  .check((context) => {
    const { action, resolution_status: status, value } = context.value;
    const issue = (path: string, message: string): void => {
      context.issues.push({ code: 'custom', message, path: [path], input: context.value });
    };
    // What an action leaves is a finding that somebody has resolved: saying so beside it is no contradiction.
    const isOne = action === undefined ? status !== undefined : status === undefined || status === 'MANUAL_RESOLVED';
    if (!isOne) issue('action', 'give either action or resolution_status');
    if ((action === 'CUSTOM_FIX') !== (value !== undefined)) {
      issue('value', 'CUSTOM_FIX needs a value, and nothing else takes one');
    }
  });

const resolved = z.object({
  outcome: z
    .enum(['applied', 'equal', 'closed'])
    .describe(
      'applied: the row was written; equal: it showed already what the source has; closed: no row was touched.',
    ),
  dry_run: z.boolean(),
  before: image.describe('The target’s row as it was; null: none, or none was touched.'),
  after: image.describe('The target’s row as it is now.'),
  mismatch: mismatch.nullable().describe('The finding as it is now; null for one of a business rule.'),
  rule_finding: ruleFinding.nullable(),
});

function decisionOf({ action, resolution_status: status, value }: z.output<typeof resolveBody>): Decision {
  if (action === 'CUSTOM_FIX') return { action, value: value ?? null };
  if (action !== undefined) return { action };
  return { status: status ?? 'MANUAL_RESOLVED' };
}

/** @throws HttpProblem 409 where nothing was done, with what to do. */
function done(outcome: ResolveOutcome): Exclude<ResolveOutcome, { readonly kind: 'stale' | 'refused' }> {
  if ('reason' in outcome) {
    const code = outcome.kind === 'stale' ? 'FINDING_STALE' : 'ACTION_REFUSED';
    throw new HttpProblem(409, code, outcome.reason, outcome.remedy);
  }
  return outcome;
}

/** A person's decision about a finding, scope `operate`. */
export function resolveRoutes(source: () => Operations | null): RouteGroup {
  return (plain, guard) => {
    plain.withTypeProvider<ZodTypeProvider>().post(
      '/reconciliation/mismatches/:id/resolve',
      {
        schema: {
          summary: 'Decide what becomes of a mismatch',
          description:
            'Findings of business rules are named `rule-N`. 409 where the finding was dealt with before, where the row has changed since, or where the action does not fit; the remedy says what to do.',
          tags: ['reconciliation'],
          security,
          params: z.object({ id: z.string().regex(FINDING_REF).describe('mismatch_id, or `rule-` and its number.') }),
          body: resolveBody,
          response: { 200: resolved, ...problems },
        },
      },
      async (request) => {
        const caller = guard('operate', request);
        const operations = source() ?? notStarted();
        const ref = findingRef(request.params.id);
        if (ref === null) throw new HttpProblem(404, 'FINDING_UNKNOWN', `There is no finding ${request.params.id}.`);
        const { resolution_notes: why, dry_run: dryRun } = request.body;
        const limit = AbortSignal.timeout(LIMIT_MS);
        const hand = { by: caller.name, why, dryRun };
        const { outcome, finding } = await operations
          .resolve(ref, decisionOf(request.body), hand, limit)
          .catch((error: unknown) => {
            if (limit.aborted) {
              throw new HttpProblem(
                503,
                'RESOLVE_TIMEOUT',
                `Nothing was written: the target has not caught up with the stream within ${LIMIT_MS / 1000} s.`,
                'Try again when the backlog is smaller: GET /status shows it.',
              );
            }
            const status = error instanceof LockstepError ? STATUS_OF[error.code] : undefined;
            if (status === undefined || !(error instanceof LockstepError)) throw error;
            throw new HttpProblem(status, error.code, messageOf(error), error.remedy);
          });
        const ended = done(outcome);
        return {
          outcome: ended.kind,
          dry_run: dryRun,
          before: ended.kind === 'applied' ? ended.before : null,
          after: ended.kind === 'applied' ? ended.after : null,
          mismatch:
            finding.of === 'row' ? (mismatchDocument(finding.row, [], new Set()) as z.output<typeof mismatch>) : null,
          rule_finding:
            finding.of === 'rule' ? (ruleFindingDocument(finding.rule) as z.output<typeof ruleFinding>) : null,
        };
      },
    );
  };
}
