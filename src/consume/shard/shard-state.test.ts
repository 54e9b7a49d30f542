import { describe, expect, it } from 'vitest';
import { initialState, step } from './shard-state.ts';
import type { Effect, ShardEvent, ShardState } from './shard-state.ts';

const hash = Buffer.alloc(32, 1);
const mark = { offset: 9n, timestampMs: 0, hash };
const stop = { code: 'MISSING_TABLE', reason: 'no table' };

const states: Record<ShardState['phase'], ShardState> = {
  released: initialState,
  loading: { phase: 'loading' },
  verifying: { phase: 'verifying', position: 10n, mark, misses: 0 },
  running: { phase: 'running', position: 10n, expected: 12n },
  stopped: { phase: 'stopped', stop },
};

const events: Record<ShardEvent['kind'], ShardEvent> = {
  assigned: { kind: 'assigned' },
  revoked: { kind: 'revoked' },
  loaded: { kind: 'loaded', next: 10n, mark, logStart: 0n, logEnd: 20n },
  'gap-recorded': { kind: 'gap-recorded' },
  // At the right place for `verifying`, at the wrong one for `running`.
  fetched: { kind: 'fetched', fetchedOffset: 9n, next: 14n, hashAt: () => hash },
  committed: { kind: 'committed', next: 11n },
  fenced: { kind: 'fenced' },
  interrupted: { kind: 'interrupted' },
  failed: { kind: 'failed', stop },
  probe: { kind: 'probe' },
};

const reload = 'loading: drop hold load';

/** Every state with every event: the phase that follows, and the effects in order. The compiler forces it to be total. */
const table: Record<ShardState['phase'], Record<ShardEvent['kind'], string>> = {
  released: {
    assigned: reload,
    revoked: 'released: drop',
    loaded: 'released:',
    'gap-recorded': 'released:',
    fetched: 'released: discard',
    committed: 'released:',
    fenced: 'released:',
    interrupted: 'released:',
    failed: 'released:',
    probe: 'released:',
  },
  loading: {
    assigned: reload,
    revoked: 'released: drop',
    loaded: 'verifying: seek',
    'gap-recorded': 'loading: load',
    fetched: 'loading: discard hold',
    committed: 'loading:',
    fenced: 'loading:',
    interrupted: 'loading:',
    failed: 'stopped: drop hold report-stop',
    probe: 'loading:',
  },
  verifying: {
    assigned: reload,
    revoked: 'released: drop',
    loaded: 'verifying:',
    'gap-recorded': 'verifying:',
    fetched: 'running: accept',
    committed: 'verifying:',
    fenced: 'verifying:',
    interrupted: 'verifying:',
    failed: 'stopped: drop hold report-stop',
    probe: 'verifying:',
  },
  running: {
    assigned: reload,
    revoked: 'released: drop',
    loaded: 'running:',
    'gap-recorded': 'running:',
    fetched: 'loading: discard drop hold load',
    committed: 'running:',
    fenced: reload,
    interrupted: reload,
    failed: 'stopped: drop hold report-stop',
    probe: 'running:',
  },
  stopped: {
    assigned: reload,
    revoked: 'released: drop',
    loaded: 'stopped:',
    'gap-recorded': 'stopped:',
    fetched: 'stopped: discard hold',
    committed: 'stopped:',
    fenced: 'stopped:',
    interrupted: 'stopped:',
    failed: 'stopped:',
    probe: reload,
  },
};

function kinds(effects: readonly Effect[]): string {
  return effects.map(({ kind }) => ` ${kind}`).join('');
}

function load(next: bigint, logStart: bigint, logEnd: bigint, theMark: typeof mark | null = mark) {
  return step(states.loading, { kind: 'loaded', next, mark: theMark, logStart, logEnd });
}

function fetched(
  fetchedOffset: bigint,
  next: bigint,
  hashAt: (offset: bigint) => Buffer | null = () => hash,
): ShardEvent {
  return { kind: 'fetched', fetchedOffset, next, hashAt };
}

describe('shard state', () => {
  for (const [phase, row] of Object.entries(table)) {
    for (const [event, expected] of Object.entries(row)) {
      it(`${phase} + ${event} → ${expected}`, () => {
        const { state, effects } = step(states[phase as keyof typeof states], events[event as keyof typeof events]);
        expect(`${state.phase}:${kinds(effects)}`).toBe(expected);
      });
    }
  }

  it('discards a batch by its fetched offset, although its first record is the wanted one', () => {
    // Compaction or a control record can make the first message of a fetch at 5 be the one at 12.
    const { state, effects } = step(states.running, fetched(5n, 20n));
    expect(kinds(effects)).toBe(' discard drop hold load');
    expect(state.phase).toBe('loading');
  });

  it('accepts a batch whose first record lies after its fetched offset', () => {
    const { state, effects } = step(states.running, fetched(12n, 20n));
    expect(effects).toEqual([{ kind: 'accept', from: 12n, next: 20n }]);
    expect(state).toMatchObject({ expected: 20n, position: 10n });
  });

  it('asks for the log range after the second miss instead of seeking for ever', () => {
    const once = step(states.verifying, fetched(30n, 40n));
    expect(once.effects).toEqual([{ kind: 'discard' }, { kind: 'seek', offset: 9n }]);
    const twice = step(once.state, fetched(30n, 40n));
    expect(twice.state.phase).toBe('loading');
    expect(kinds(twice.effects)).toBe(' discard drop hold load');
  });

  it('verifies after a miss while running: a seek alone succeeds in a topic that was created again', () => {
    expect(step(states.running, fetched(0n, 5n)).state.phase).toBe('loading');
  });

  it('records a gap where the position is below the log start', () => {
    expect(load(10n, 15n, 20n)).toEqual({
      state: { phase: 'loading' },
      effects: [{ kind: 'record-gap', from: 10n, to: 15n }],
    });
  });

  it('stops where the position is above the log end', () => {
    expect(load(10n, 0n, 9n).state).toMatchObject({ phase: 'stopped', stop: { code: 'TOPIC_RECREATED' } });
  });

  it('goes on at the log end, where nothing is missing', () => {
    expect(load(10n, 0n, 10n).state.phase).toBe('verifying');
  });

  it('begins at the position where no record was applied yet', () => {
    expect(load(0n, 0n, 5n, null).effects).toEqual([{ kind: 'seek', offset: 0n }]);
  });

  it('states and accepts that the record before the position is gone by retention', () => {
    const { state, effects } = load(10n, 10n, 20n);
    expect(state.phase).toBe('running');
    expect(kinds(effects)).toBe(' note-unverified seek');
  });

  it('stops where the record before the position is another one', () => {
    const { state, effects } = step(
      states.verifying,
      fetched(9n, 14n, () => Buffer.alloc(32, 2)),
    );
    expect(state).toMatchObject({ phase: 'stopped', stop: { code: 'TOPIC_RECREATED' } });
    expect(kinds(effects)).not.toContain('accept');
  });

  it('takes only what lies at and after the position from the batch that it compared', () => {
    expect(step(states.verifying, fetched(9n, 14n)).effects).toEqual([{ kind: 'accept', from: 10n, next: 14n }]);
  });

  it('waits for the next fetch where the compared batch ends before the position', () => {
    const far: ShardState = { phase: 'verifying', position: 12n, mark, misses: 0 };
    const first = step(far, fetched(9n, 10n));
    expect(kinds(first.effects)).toBe(' discard');
    expect(step(first.state, fetched(10n, 15n)).effects).toEqual([{ kind: 'accept', from: 12n, next: 15n }]);
  });
});
