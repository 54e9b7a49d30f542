import { LockstepError } from '../shared/errors.ts';
import { gateStatement, type Statement } from './transaction.ts';

/** Longest wait for the gate of a writer beside the stream, ms; shared requests queue behind a waiting exclusive one. */
const GATE_TIMEOUT_MS = 50;

/** Begins the transaction of a writer beside the stream: it has the table's gate, or fails with 55P03 within a moment. */
export function beginExclusively(tableId: number): readonly Statement[] {
  return [
    { text: 'BEGIN' },
    { text: `SET LOCAL lock_timeout = ${GATE_TIMEOUT_MS}` },
    { name: 'gate-exclusive', text: gateStatement('exclusive'), values: [tableId] },
    { text: 'SET LOCAL lock_timeout = DEFAULT' },
  ];
}

/** The error as `GATE_BUSY` (transient) where the gate, or a row, was not to be had in time (55P03); else null. */
export function gateBusy(error: unknown): LockstepError | null {
  if ((error as { code?: unknown } | null)?.code !== '55P03') return null;
  return new LockstepError('the stream holds the table: stepping back', {
    code: 'GATE_BUSY',
    kind: 'transient',
    cause: error,
  });
}
