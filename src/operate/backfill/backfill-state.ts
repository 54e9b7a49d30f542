/** Where a backfill stands, as its job keeps it, and how far that is. Pure. */
import { z } from 'zod';
import type { Job } from '../../target/stores/job-store.ts';
import { WHOLE_RING } from '../../change/token-range.ts';
import type { ScanPosition } from '../../source/row-scan.ts';

/** Rows first; static columns, where there are any, are read by partition afterwards. */
export type BackfillPhase = 'rows' | 'statics';

export interface BackfillState {
  readonly phase: BackfillPhase;
  /** Null = at the beginning of the phase. */
  readonly position: ScanPosition | null;
}

const hex = z
  .string()
  .regex(/^(?:[0-9a-f]{2})*$/)
  .transform((text) => Buffer.from(text, 'hex'));

/** 64-bit tokens and bytes as text: JSON numbers are neither. */
const stateSchema = z.strictObject({
  phase: z.enum(['rows', 'statics']),
  position: z
    .strictObject({
      token: z
        .string()
        .regex(/^-?\d+$/)
        .transform((text) => BigInt(text)),
      key: z.array(hex).nullable(),
    })
    .nullable(),
});

export function stateDocument({ phase, position }: BackfillState): z.input<typeof stateSchema> {
  if (position === null) return { phase, position };
  const key = position.key === null ? null : position.key.map((bytes) => bytes.toString('hex'));
  return { phase, position: { token: String(position.token), key } };
}

/** The state that a job has come to; a new one is at the beginning. */
export function stateOf({ state }: Pick<Job, 'state'>): BackfillState {
  return state === null ? { phase: 'rows', position: null } : stateSchema.parse(state);
}

/** There is a static value per partition at most, and mostly far fewer of them than rows. */
const SHARE_OF_ROWS = 0.9;
/** The share of the ring is kept in parts of this: a number can't divide 2^64. */
const PARTS = 1_000_000n;

/** Share of the work that lies behind a state, 0 to 1: tokens are spread evenly over the ring. */
export function coveredShare({ phase, position }: BackfillState, hasStatics: boolean): number {
  const ring = WHOLE_RING.upTo - WHOLE_RING.after;
  const share = position === null ? 0 : Number(((position.token - WHOLE_RING.after) * PARTS) / ring) / Number(PARTS);
  if (!hasStatics) return share;
  return phase === 'rows' ? share * SHARE_OF_ROWS : SHARE_OF_ROWS + share * (1 - SHARE_OF_ROWS);
}
