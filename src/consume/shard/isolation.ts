/**
 * Which of a stretch's changes the target refuses, found by bounded work (DESIGN §5, "Errors"): everything else is
 * committed, and only the guilty change becomes a dead letter.
 *
 * What a guilty change costs, in transactions (`npm run bench:poison`; figures in bench/README.md):
 * - named by PostgreSQL (`suspect`): the attempt that failed, the trial of the change alone (not where the target proves
 *   which row it was and the stretch has one change of it), the attempt without it. The rest stays one transaction;
 * - not named, or one of many: the stretch is cut into PARTS, most of which commit at once. Halving would send every
 *   change of it through one more failing attempt per guilty one.
 */
import type { LockstepError } from '../../shared/errors.ts';
import { messageOf } from '../../shared/errors.ts';
import { partsOf, refused, withoutItsChange } from './apply-batch-of.ts';
import { stopFor, type ApplyOutcome } from './apply-outcome.ts';
import { rowKeyOf, type ChangeItem } from './item.ts';
import type { Stretch } from './shard-queue.ts';

/** How a transaction ended: as it should, or in a way that has the stretch cut. */
export type Attempt = ApplyOutcome | { readonly kind: 'cut'; readonly error: LockstepError };

export interface IsolationPorts {
  /** Brings a stretch through the door, whatever transient errors come; never rejects. */
  attempt(stretch: Stretch): Promise<Attempt>;
  /** Why the door refuses one change of a stretch alone (kind `row`), found out without committing; null = it may be innocent. */
  refusalOf(stretch: Stretch, item: ChangeItem): Promise<LockstepError | null>;
  /** One change is known to be guilty: it failed alone. */
  foundGuilty(item: ChangeItem): void;
  /** Ends the work between two parts. */
  readonly signal: AbortSignal;
  /** For messages: `topic/partition`. */
  readonly place: string;
}

/** How many parts a stretch is cut into. With 8 the changes beside one guilty in 2,000 fail 1.14 times, with halves twice. */
const PARTS = 8;
/** Of a longer stretch only the first suspect is taken out: where there are more, a failing attempt at all of it is dear. */
const SHORT_STRETCH = 128;

/**
 * Applies the parts of a stretch one after the other, without the changes that the target refuses. Some may have committed
 * whatever the outcome.
 */
export async function applyAll(parts: readonly Stretch[], ports: IsolationPorts): Promise<ApplyOutcome> {
  for (const [at, part] of parts.entries()) {
    if (at > 0 && ports.signal.aborted) return { kind: 'cancelled' };
    const outcome = await applyIsolating(part, ports);
    if (outcome.kind !== 'committed') return outcome;
  }
  return { kind: 'committed' };
}

/** Applies a stretch, without the changes that the target refuses. */
async function applyIsolating(stretch: Stretch, ports: IsolationPorts): Promise<ApplyOutcome> {
  let rest = stretch;
  for (let found = 0; ; found += 1) {
    const attempt = await ports.attempt(rest);
    if (attempt.kind !== 'cut') return attempt;
    const parts = partsOf(rest, PARTS);
    if (parts.length < 2) return applyWithoutIts(rest, attempt.error, ports);
    const mayBeNamed = found === 0 || rest.items.length <= SHORT_STRETCH;
    const without = mayBeNamed ? await withoutSuspect(rest, attempt.error, ports) : null;
    if (without === null) return applyAll(parts, ports);
    rest = without;
  }
}

/** The stretch without the change that PostgreSQL named; null where it named none, or one that does not fail alone. */
async function withoutSuspect(stretch: Stretch, error: LockstepError, ports: IsolationPorts): Promise<Stretch | null> {
  const { suspect, isSuspectProven } = error;
  if (error.kind !== 'row' || suspect === undefined) return null;
  const ofRow = stretch.items.filter((item) => item.kind === 'change' && rowKeyOf(item.change) === suspect);
  for (const item of ofRow) {
    if (item.kind !== 'change') continue;
    // Of several changes of the row the target can't say which one it was.
    const isProven = isSuspectProven && ofRow.length === 1;
    const failure = isProven ? error : await ports.refusalOf(stretch, item);
    if (failure === null) continue;
    ports.foundGuilty(item);
    const instead = refused(item, failure);
    return { ...stretch, items: stretch.items.map((each) => (each === item ? instead : each)) };
  }
  return null;
}

/** One change is left and the door refuses it. */
async function applyWithoutIts(stretch: Stretch, error: LockstepError, ports: IsolationPorts): Promise<ApplyOutcome> {
  const guilty = stretch.items.find((item) => item.kind === 'change');
  const stopped = (reason: string): ApplyOutcome => ({
    kind: 'stopped',
    stop: { code: error.code, reason: `${ports.place} at offset ${guilty?.record.offset ?? stretch.from}: ${reason}` },
  });
  // A statement timeout of one change is no proof against it: a person decides.
  if (error.kind !== 'row') return stopped(stopFor(error).reason);
  const rest = withoutItsChange(stretch, error);
  if (guilty === undefined || rest === null) return stopped(`${messageOf(error)} (without any change)`);
  ports.foundGuilty(guilty);
  return applyIsolating(rest, ports);
}
