import { LockstepError } from '../shared/errors.ts';

/** Longest wait for the gate of a writer beside the stream, ms; shared requests queue behind a waiting exclusive one. */
export const GATE_TIMEOUT_MS = 50;

/** The error as `GATE_BUSY` (transient) where the gate, or a row, was not to be had in time (55P03); else null. */
export function gateBusy(error: unknown): LockstepError | null {
  if ((error as { code?: unknown } | null)?.code !== '55P03') return null;
  return new LockstepError('the stream holds the table: stepping back', {
    code: 'GATE_BUSY',
    kind: 'transient',
    cause: error,
  });
}
