/**
 * What a shard does next (DESIGN §5 "The position is the fence", §6): a function of (state, event), without I/O, clock or
 * Kafka. The worker carries out the effects.
 *
 * Invariant: `accept` is the only effect that lets records in, and it is given only to a batch that continues exactly
 * where the last accepted one ended (or where the stored position is). Everything else is discarded unread.
 */
import type { RecordMark } from '../../target/batch.ts';
import { unreachable } from '../../shared/assert.ts';

/** Why a shard does not go on; shown to operators, kept in `_cdc_offsets`. */
export interface Stop {
  readonly code: string;
  readonly reason: string;
}

export type ShardState =
  /** Not ours. */
  | { readonly phase: 'released' }
  /** The stored position is being read. Nothing is fetched. */
  | { readonly phase: 'loading' }
  /** The next fetch begins at the record before the position: it must be the one that was applied. */
  | { readonly phase: 'verifying'; readonly position: bigint; readonly mark: RecordMark; readonly misses: number }
  /** `position` is committed, `expected` is where the next fetch must begin; what lies between is in the pipeline. */
  | { readonly phase: 'running'; readonly position: bigint; readonly expected: bigint }
  /** Nothing is fetched until the next probe. */
  | { readonly phase: 'stopped'; readonly stop: Stop };

export type ShardEvent =
  /** A rebalance gave us this shard, or gave it to us again. */
  | { readonly kind: 'assigned' }
  | { readonly kind: 'revoked' }
  | {
      readonly kind: 'loaded';
      readonly next: bigint;
      readonly mark: RecordMark | null;
      readonly logStart: bigint;
      readonly logEnd: bigint;
    }
  /** The gap row is written (or somebody else moved the position): read it again. */
  | { readonly kind: 'gap-recorded' }
  | {
      readonly kind: 'fetched';
      readonly fetchedOffset: bigint;
      readonly next: bigint;
      /** Hash of the record at an offset of this batch, null where there is none. */
      readonly hashAt: (offset: bigint) => Buffer | null;
    }
  | { readonly kind: 'committed'; readonly next: bigint }
  /** The door's answer: the stored position is elsewhere. */
  | { readonly kind: 'fenced' }
  /** A rebalance broke off the hand-over of an accepted batch, so the pipeline has a hole. */
  | { readonly kind: 'interrupted' }
  | { readonly kind: 'failed'; readonly stop: Stop }
  /** Time to try again what stopped the shard, or somebody asked for it. */
  | { readonly kind: 'probe' };

export type Effect =
  /** Fetch nothing until the next seek. */
  | { readonly kind: 'hold' }
  /** Forget queue and fingerprints; a transaction in flight may end, its result counts for nothing. */
  | { readonly kind: 'drop' }
  /** Once nothing is in flight: read position and log range, answer with `loaded`. */
  | { readonly kind: 'load' }
  | { readonly kind: 'seek'; readonly offset: bigint }
  /** Records [from, to) are gone: gap row, alarm, then `gap-recorded`. */
  | { readonly kind: 'record-gap'; readonly from: bigint; readonly to: bigint }
  /** Take this batch's records at and after `from`; afterwards the position is `next`. */
  | { readonly kind: 'accept'; readonly from: bigint; readonly next: bigint }
  | { readonly kind: 'discard' }
  /** The stop is recorded and probed slowly. */
  | { readonly kind: 'report-stop'; readonly stop: Stop }
  /** The record before the position can't be compared: stated in the log, and accepted. */
  | { readonly kind: 'note-unverified'; readonly mark: RecordMark };

export interface Step {
  readonly state: ShardState;
  readonly effects: readonly Effect[];
}

export const initialState: ShardState = { phase: 'released' };

/** While verifying a batch from elsewhere is normal once (it was under way); twice in a row, the log has moved. */
const MISSES_BEFORE_RELOAD = 2;

const reload: Step = { state: { phase: 'loading' }, effects: [{ kind: 'drop' }, { kind: 'hold' }, { kind: 'load' }] };

function stay(state: ShardState, ...effects: readonly Effect[]): Step {
  return { state, effects };
}

function stopped(stop: Stop): Step {
  return {
    state: { phase: 'stopped', stop },
    effects: [{ kind: 'drop' }, { kind: 'hold' }, { kind: 'report-stop', stop }],
  };
}

function recreated(reason: string): Step {
  return stopped({ code: 'TOPIC_RECREATED', reason });
}

/** Where to go from a stored position, given what the log holds. */
function fromLoaded(event: Extract<ShardEvent, { kind: 'loaded' }>): Step {
  const { next, mark, logStart, logEnd } = event;
  if (next > logEnd) {
    return recreated(
      `the position ${next} is above the log end ${logEnd}: the topic was created anew, or its log was cut`,
    );
  }
  if (next < logStart) {
    return stay({ phase: 'loading' }, { kind: 'record-gap', from: next, to: logStart });
  }
  if (mark !== null && mark.offset >= logStart) {
    return stay({ phase: 'verifying', position: next, mark, misses: 0 }, { kind: 'seek', offset: mark.offset });
  }
  const running: ShardState = { phase: 'running', position: next, expected: next };
  return mark === null
    ? stay(running, { kind: 'seek', offset: next })
    : stay(running, { kind: 'note-unverified', mark }, { kind: 'seek', offset: next });
}

type Fetched = Extract<ShardEvent, { kind: 'fetched' }>;

/**
 * A batch from elsewhere: kafkajs goes to the log start when the offset is out of range, and that happens when retention
 * has passed it or when the topic was deleted and created again. So the position is loaded and verified anew: a seek
 * alone would loop for ever in the first case, and in the second succeed as soon as the new log is long enough ⚠.
 */
const missed: Step = { ...reload, effects: [{ kind: 'discard' }, ...reload.effects] };

/** A batch at the right place. What lies before the position was applied already. */
function taken(position: bigint, expected: bigint, event: Fetched, ...before: readonly Effect[]): Step {
  const from = expected > position ? expected : position;
  const state: ShardState = { phase: 'running', position, expected: event.next };
  if (event.next <= from) return stay(state, ...before, { kind: 'discard' });
  return stay(state, ...before, { kind: 'accept', from, next: event.next });
}

function onFetched(state: ShardState, event: Fetched): Step {
  switch (state.phase) {
    case 'running':
      if (event.fetchedOffset !== state.expected) return missed;
      return taken(state.position, state.expected, event);
    case 'verifying': {
      const { mark, position } = state;
      if (event.fetchedOffset !== mark.offset) {
        const misses = state.misses + 1;
        if (misses >= MISSES_BEFORE_RELOAD) return missed;
        return stay({ ...state, misses }, { kind: 'discard' }, { kind: 'seek', offset: mark.offset });
      }
      const hash = event.hashAt(mark.offset);
      if (hash !== null && !hash.equals(mark.hash)) {
        return recreated(
          `the record at offset ${mark.offset}, the last one before the position, is not the one that was applied: ` +
            'the topic was created anew',
        );
      }
      return hash === null
        ? taken(position, mark.offset, event, { kind: 'note-unverified', mark })
        : taken(position, mark.offset, event);
    }
    case 'loading':
    case 'stopped':
      // Under way when the hold was asked for.
      return stay(state, { kind: 'discard' }, { kind: 'hold' });
    case 'released':
      return stay(state, { kind: 'discard' });
    default:
      return unreachable(state);
  }
}

/** The next state and what to do, in order. */
export function step(state: ShardState, event: ShardEvent): Step {
  switch (event.kind) {
    case 'assigned':
      return reload;
    case 'revoked':
      return stay({ phase: 'released' }, { kind: 'drop' });
    case 'loaded':
      return state.phase === 'loading' ? fromLoaded(event) : stay(state);
    case 'gap-recorded':
      return state.phase === 'loading' ? stay(state, { kind: 'load' }) : stay(state);
    case 'fetched':
      return onFetched(state, event);
    case 'committed':
      return state.phase === 'running' ? stay({ ...state, position: event.next }) : stay(state);
    case 'fenced':
    case 'interrupted':
      return state.phase === 'running' ? reload : stay(state);
    case 'failed':
      return state.phase === 'released' || state.phase === 'stopped' ? stay(state) : stopped(event.stop);
    case 'probe':
      return state.phase === 'stopped' ? reload : stay(state);
    default:
      return unreachable(event);
  }
}
