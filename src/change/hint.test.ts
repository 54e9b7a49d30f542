import { describe, expect, it } from 'vitest';
import { NO_READ, rowKey, type Cell, type RowWrite } from './change-event.ts';
import {
  EMPTY_TRIGGER,
  hinted,
  joinTriggers,
  partExpiries,
  settlingTrigger,
  stateOfRead,
  triggerOf,
  withdrawn,
  withoutKnownExpiring,
  type ReadContext,
  type RereadPolicy,
} from './hint.ts';
import {
  cover,
  emptyRow,
  GONE_CELL,
  isAlive,
  joinMultiCell,
  mergeMarkers,
  mergeRows,
  UNKNOWN_MARKER,
} from './row-state.ts';
import { INT64_MAX, NEVER } from './write-time.ts';

// Columns: a text, s set<text> (multi-cell), d duration.
const names = ['a', 's', 'd'];
const policy: RereadPolicy = {
  multiCell: [false, true, false],
  lossy: [false, false, true],
  everyWrite: false,
  existence: true,
  undecided: [(left, right) => left !== right, null, (left, right) => left !== right],
};
const context: ReadContext = { names, policy, coveredBefore: NEVER, goneBefore: NEVER };
const orders = names.map(() => (left: string, right: string) => (left < right ? -1 : Number(left > right)));
const live = (writeTime: bigint, value: string): Cell => ({ writeTime, value, expiry: null });
const KEY = rowKey(['1']);
const write = (cells: RowWrite['cells'], more: Partial<RowWrite> = {}): RowWrite => ({
  kind: 'write',
  table: 'k.t',
  key: KEY,
  writeTime: 10n,
  ambiguity: null,
  marker: { writeTime: 10n, expiry: null },
  cells,
  ...more,
});

describe('what of a change is applied, and what becomes a hint', () => {
  it('announces a multi-cell column of an insert too: another write may have added to it meanwhile', () => {
    const change = hinted(write([live(10n, 'x'), live(10n, '["e"]'), null]), policy);
    expect(change).toMatchObject({
      marker: { writeTime: 10n },
      cells: [live(10n, 'x'), { writeTime: 10n, value: null, sequence: NO_READ }, null],
      hint: { columns: [1], marker: false },
    });
  });

  it('leaves a change without anything uncertain as it is', () => {
    const change = write([live(10n, 'x'), null, null]);
    expect(hinted(change, policy)).toBe(change);
  });

  it('keeps the lossy duration out, and its deletion in', () => {
    expect(hinted(write([null, null, live(10n, '3ns')], { ambiguity: 'duration' }), policy)).toMatchObject({
      ambiguity: null,
      cells: [null, null, null],
      hint: { columns: [2] },
    });
    const deletion = write([null, null, { writeTime: 10n, value: null, expiry: null }]);
    expect(hinted(deletion, policy)).toBe(deletion);
  });

  it('takes no marker for lasting whose expiry is unknown', () => {
    expect(hinted(write([null, null, null], { ambiguity: 'marker-expiry-unknown' }), policy)).toMatchObject({
      marker: null,
      hint: { columns: [], marker: true },
    });
  });

  it('applies nothing of a write in mode reread', () => {
    const change = hinted(write([live(10n, 'x'), live(10n, '["e"]'), null]), { ...policy, everyWrite: true });
    expect(change).toMatchObject({ marker: null, hint: { columns: [0, 1], marker: true } });
    expect((change as RowWrite).cells[0]).toBeNull();
  });

  it('asks for the existence of a row after its delete only where a delete can swallow an insert', () => {
    const deletion = { kind: 'row-delete', table: 'k.t', key: KEY, writeTime: 10n, ambiguity: null } as const;
    expect(hinted(deletion, policy).hint).toEqual({ columns: [], marker: false });
    expect(hinted(deletion, { ...policy, existence: false }).hint).toBeUndefined();
  });

  it('puts the triggers of one row together, each column at its newest time', () => {
    const first = triggerOf({ columns: [1], marker: false }, 10n, names);
    const second = triggerOf({ columns: [1, 2], marker: true }, 7n, names);
    const joined = { columns: { s: 10n, d: 7n }, marker: 7n, since: null, settles: {}, foreign: false };
    expect(joinTriggers(first, second)).toEqual(joined);
    expect(joinTriggers(second, first)).toEqual(joined);
  });

  it('begins anew to look at a row whose marker was written again', () => {
    const old = { ...EMPTY_TRIGGER, marker: 7n, since: 100n };
    const written = triggerOf({ columns: [], marker: true }, 8n, names);
    expect(joinTriggers(old, written)).toMatchObject({ marker: 8n, since: null });
    expect(joinTriggers(old, triggerOf({ columns: [1], marker: false }, 9n, names))).toMatchObject({ since: 100n });
    expect(joinTriggers({ ...old, since: 90n }, old)).toMatchObject({ since: 100n });
  });
});

describe('a multi-cell column has two ordinals', () => {
  const read = (writeTime: bigint, value: string | null, sequence: bigint): Cell => ({
    writeTime,
    value,
    expiry: null,
    sequence,
  });

  it('takes the later read whatever the write times say: MAXWRITETIME falls when the newest element is removed', () => {
    const before = read(5000n, '["a","b"]', 1n);
    const after = read(3000n, '["b"]', 2n);
    const joined = read(5000n, '["b"]', 2n);
    expect(joinMultiCell(before, after)).toEqual(joined);
    expect(joinMultiCell(after, before)).toEqual(joined);
  });

  it('an announced write raises the event time and leaves the value to the next read', () => {
    expect(joinMultiCell(read(10n, '["a"]', 3n), read(20n, null, NO_READ))).toEqual(read(20n, '["a"]', 3n));
  });

  it('is emptied by a tombstone at or above the newest event time, and by none below', () => {
    const row = { ...emptyRow(3), cells: [null, read(20n, '["a"]', 3n), null] };
    expect(cover(row, 20n).cells[1]).toBeNull();
    expect(cover(row, 19n).cells[1]).toEqual(read(20n, '["a"]', 3n));
  });

  it('joins associatively, whatever comes first', () => {
    const cells = [read(5n, '["a"]', 1n), read(3n, null, 2n), read(9n, null, NO_READ), read(4n, '["c"]', 7n)];
    const [a, b, c] = cells as [Cell, Cell, Cell, Cell];
    for (const d of cells) {
      expect(joinMultiCell(joinMultiCell(a, b), joinMultiCell(c, d))).toEqual(
        joinMultiCell(joinMultiCell(joinMultiCell(d, c), b), a),
      );
    }
  });
});

describe('what a read says', () => {
  it('speaks about the columns that the trigger wrote, null included, and about no other null', () => {
    const trigger = { ...EMPTY_TRIGGER, columns: { d: 10n } };
    const state = stateOfRead({ cells: [null, null, null] }, trigger, 4n, context);
    expect(state.cells).toEqual([null, null, { writeTime: 10n, value: null, expiry: GONE_CELL }]);
    // A slower clock's write of another column must still get in.
    const slower = { ...emptyRow(3), cells: [live(5n, 'late'), null, null] };
    expect(mergeRows(state, slower, orders).cells[0]).toEqual(live(5n, 'late'));
  });

  it('takes what is gone for expired: a later expiry of the very same time still wins, as it does in the source', () => {
    const trigger = settlingTrigger({ a: 10n });
    const gone = stateOfRead({ cells: [null, null, null] }, trigger, 4n, context);
    const joined = (cell: Cell) => {
      const other = { ...emptyRow(3), cells: [cell, null, null] };
      expect(mergeRows(other, gone, orders)).toEqual(mergeRows(gone, other, orders));
      return mergeRows(gone, other, orders).cells[0];
    };
    const expiring: Cell = { writeTime: 10n, value: 'x', expiry: 99n };
    const tombstone: Cell = { writeTime: 10n, value: null, expiry: null };
    expect(joined(expiring)).toEqual(expiring);
    expect(joined(tombstone)).toEqual(tombstone);
    expect(joined(live(10n, 'x'))?.value).toBeNull();
    expect(joined(live(9n, 'x'))?.value).toBeNull();
  });

  it('merges other cells at their own write times', () => {
    const state = stateOfRead({ cells: [live(3n, 'x'), null, null] }, EMPTY_TRIGGER, 4n, context);
    expect(state.cells[0]).toEqual(live(3n, 'x'));
  });

  it('makes a row that was found at least exist, but never against a tombstone that came after the read began', () => {
    const found = stateOfRead({ cells: [null, null, null] }, EMPTY_TRIGGER, 4n, { ...context, coveredBefore: 50n });
    expect(found.marker).toEqual({ writeTime: 51n, expiry: UNKNOWN_MARKER });
    expect(isAlive(found, 0n)).toBe(true);
    expect(isAlive(cover(found, 60n), 0n)).toBe(false);
  });

  it('claims no marker above the last of all times', () => {
    const found = stateOfRead({ cells: [] }, EMPTY_TRIGGER, 4n, { ...context, coveredBefore: INT64_MAX });
    expect(cover(found, INT64_MAX).marker).toBeNull();
  });

  it('leaves a known marker alone, also one of the same time', () => {
    const unknown = { writeTime: 51n, expiry: UNKNOWN_MARKER };
    for (const expiry of [null, 99n]) {
      const known = { writeTime: 51n, expiry };
      expect(mergeMarkers(known, unknown)).toEqual(known);
      expect(mergeMarkers(unknown, known)).toEqual(known);
    }
  });

  it('withdraws an unknown marker where no row was found, and no known one', () => {
    const row = emptyRow(3);
    expect(withdrawn({ ...row, marker: { writeTime: 1n, expiry: UNKNOWN_MARKER } }).marker).toBeNull();
    expect(withdrawn({ ...row, marker: { writeTime: 1n, expiry: null } }).marker).not.toBeNull();
  });

  it('takes the marker that its trigger wrote for gone where no row was found, and every older one with it', () => {
    const gone = stateOfRead(null, { ...EMPTY_TRIGGER, marker: 10n }, 4n, context);
    for (const older of [
      { writeTime: 5n, expiry: null },
      { writeTime: 10n, expiry: null },
      { writeTime: 5n, expiry: INT64_MAX },
    ]) {
      for (const merged of [mergeMarkers(gone.marker, older), mergeMarkers(older, gone.marker)]) {
        expect(isAlive({ ...emptyRow(3), marker: merged }, 0n)).toBe(false);
      }
    }
    // An expiry that an event told of is more than "gone", and so is whatever was written later.
    for (const known of [
      { writeTime: 10n, expiry: 99n },
      { writeTime: 11n, expiry: null },
    ]) {
      expect(mergeMarkers(gone.marker, known)).toEqual(known);
      expect(mergeMarkers(known, gone.marker)).toEqual(known);
    }
    expect(stateOfRead(null, EMPTY_TRIGGER, 4n, context).marker).toBeNull();
  });

  it('shows a row again that an earlier read had found gone: its marker was written again at the same time', () => {
    const trigger = { ...EMPTY_TRIGGER, marker: 10n };
    const gone = stateOfRead(null, trigger, 4n, context);
    const found = stateOfRead({ cells: [null, null, null] }, trigger, 5n, { ...context, goneBefore: 10n });
    expect(isAlive(mergeRows(gone, found, orders), 0n)).toBe(true);
  });

  it('takes a remaining TTL for the write that is known already, also after it was swept', () => {
    const expiring = (expiry: bigint, value: string | null): Cell => ({ writeTime: 5n, value, expiry });
    const readState = { ...emptyRow(3), cells: [expiring(3_000_000n, 'x'), null, null] };
    const known = (cell: Cell) => ({ ...emptyRow(3), cells: [cell, null, null] });
    const left = (cell: Cell, trigger = EMPTY_TRIGGER) =>
      withoutKnownExpiring(readState, known(cell), trigger, context).cells[0];
    expect(left(expiring(2_400_000n, null))).toBeNull();
    expect(left(expiring(9_000_000n, 'x'))).not.toBeNull();
    // What was swept lost against what the read found: of two conflicting values the target held that one.
    const [name = ''] = context.names;
    expect(left(expiring(2_400_000n, null), settlingTrigger({ [name]: 5n }))).toEqual(expiring(3_000_000n, 'x'));
    expect(left(expiring(2_400_000n, null), settlingTrigger({ [name]: 4n }))).toBeNull();
  });

  it('asks again when a part of a multi-cell column expires', () => {
    const part: Cell = { writeTime: 8n, value: '["a"]', expiry: 77n };
    expect(partExpiries({ cells: [null, part, null] }, context)).toMatchObject({ columns: { s: 8n } });
    expect(partExpiries({ cells: [{ ...part }, null, null] }, context)).toBeNull();
  });
});
