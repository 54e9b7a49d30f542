import type { ChangeId } from '../change/change-id.ts';
import type { ApplyBatch, BatchChange, Outcome } from './batch.ts';

/** Several outcomes of one ID fold to the best: what was applied once is applied. */
const BEST_FIRST: Readonly<Record<Outcome, number>> = { processed: 0, filtered: 1, dead_lettered: 2 };
const OUTCOME_BYTE: Readonly<Record<Outcome, string>> = { processed: '00', filtered: '01', dead_lettered: '02' };

/** One ledger row: the batch's distinct change IDs, sorted, 16 bytes each, with one outcome byte each. */
export interface LedgerSegment {
  readonly ids: string;
  readonly outcomes: string;
  readonly minId: ChangeId | null;
  readonly maxId: ChangeId | null;
  readonly counts: Readonly<Record<Outcome, number>>;
}

/** Packs the outcomes of a batch. Hex throughout: PostgreSQL reads `\x…` and the sort needs no decoding. */
export function packLedger(
  batch: Pick<ApplyBatch, 'duplicates' | 'deadLetters'> & { readonly changes: readonly Pick<BatchChange, 'id'>[] },
): LedgerSegment {
  const outcomes = new Map<ChangeId, Outcome>();
  const note = (id: ChangeId, outcome: Outcome): void => {
    const known = outcomes.get(id);
    if (known === undefined || BEST_FIRST[outcome] < BEST_FIRST[known]) outcomes.set(id, outcome);
  };
  for (const { id } of batch.changes) note(id, 'processed');
  for (const id of batch.duplicates) note(id, 'processed');
  for (const letter of batch.deadLetters) if (letter.changeId !== null) note(letter.changeId, 'dead_lettered');
  const ids = [...outcomes.keys()].sort();
  const counts = { processed: 0, filtered: 0, dead_lettered: 0 };
  let outcomeHex = '';
  for (const id of ids) {
    const outcome = outcomes.get(id) ?? 'processed';
    counts[outcome] += 1;
    outcomeHex += OUTCOME_BYTE[outcome];
  }
  return {
    ids: `\\x${ids.join('')}`,
    outcomes: `\\x${outcomeHex}`,
    minId: ids[0] ?? null,
    maxId: ids.at(-1) ?? null,
    counts,
  };
}
