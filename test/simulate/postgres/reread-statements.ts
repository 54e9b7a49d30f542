/** The statements over the entries of `_cdc_queue` that ask for the source, and the look for ties. */
import { contestable } from '../../../src/target/row-statements.ts';
import { parseArray, parseBigints } from './array-literal.ts';
import type { RereadRow } from './relations.ts';
import { targetKey } from './row-statements.ts';
import { done, immediately, lockOf, selected, type Handler, type KnownStatement, type Line } from './statements.ts';

function entriesFrom(partition: unknown, lists: readonly unknown[]): Omit<RereadRow, 'queuedAt'>[] {
  const [kinds, dues, rowKeys, triggers] = lists.map((list) => parseArray(list as string));
  return kinds!.map((kind, i) => ({
    partition: partition as number,
    kind: kind!,
    dueUs: BigInt(dues![i]!),
    rowKey: rowKeys![i]!,
    trigger: triggers![i]!,
  }));
}

function keyOf({ partition, kind, dueUs, rowKey }: Omit<RereadRow, 'queuedAt'>): string {
  return `${partition} ${kind} ${dueUs} ${rowKey}`;
}

const queue: Handler = (tx, [, , partition, , ...lists], { now }) => {
  const { rereads } = tx.storage;
  const entries = entriesFrom(partition, lists);
  const queuedAt = now();
  return {
    locks: entries.map((entry) => lockOf(rereads, keyOf(entry))),
    run: () => {
      for (const entry of entries) {
        const known = tx.get(rereads, keyOf(entry));
        const documents = (text: string): unknown[] => JSON.parse(text) as unknown[];
        const trigger =
          known === null ? entry.trigger : JSON.stringify([...documents(known.trigger), ...documents(entry.trigger)]);
        tx.put(rereads, keyOf(entry), { ...entry, trigger, queuedAt: known?.queuedAt ?? queuedAt });
      }
      return done('INSERT', entries.length);
    },
  };
};

const pick: Handler = (tx, [, partition, , nowUs, , limit]) => {
  const due = tx
    .scan(tx.storage.rereads)
    .map(([, row]) => row)
    .filter((row) => row.partition === partition && row.dueUs <= BigInt(nowUs as string))
    .sort((a, b) => (a.dueUs < b.dueUs ? -1 : a.dueUs > b.dueUs ? 1 : 0));
  const rows = new Set([...new Set(due.map(({ rowKey }) => rowKey))].slice(0, limit as number));
  const lines = due
    .filter(({ rowKey }) => rows.has(rowKey))
    .map(({ kind, dueUs, rowKey, trigger, queuedAt }): Line => [
      kind,
      String(dueUs),
      rowKey,
      trigger,
      String(queuedAt),
    ]);
  return immediately(() => selected(lines));
};

const remove: Handler = (tx, [, , partition, , ...lists]) => {
  const { rereads } = tx.storage;
  const entries = entriesFrom(partition, lists);
  const present = (): Omit<RereadRow, 'queuedAt'>[] =>
    entries.filter((entry) => tx.get(rereads, keyOf(entry))?.trigger === entry.trigger);
  return {
    locks: present().map((entry) => lockOf(rereads, keyOf(entry))),
    run: () => {
      const gone = present();
      for (const entry of gone) tx.put(rereads, keyOf(entry), null);
      return done('DELETE', gone.length);
    },
  };
};

/** Rows that hold one of the columns at the very time at which the batch writes it. */
export const ties: Handler = (tx, values, { table }) => {
  const keyCount = table.keys.length;
  const columns = contestable(table);
  const keys = values.slice(0, keyCount).map((list) => parseArray(list as string));
  const times = values.slice(keyCount).map((list) => parseBigints(list as string));
  const lines = keys[0]!.flatMap((_, row): Line[] => {
    const stored = tx.get(tx.storage.target, targetKey(keys.map((list) => list[row]!)));
    const meets = columns.some(({ ordinal }, i) => {
      const time = times[i]![row] ?? null;
      return time !== null && stored?.versions[ordinal - 1] === time;
    });
    return meets ? [[String(row + 1)]] : [];
  });
  return immediately(() => selected(lines));
};

export const rereadStatements: readonly KnownStatement[] = [
  { begins: /^INSERT INTO \S+_cdc_queue" AS q [^]*trigger\)/, handler: queue },
  { begins: /^WITH next AS \(SELECT q\.row_key/, handler: pick },
  { begins: /^DELETE FROM \S+_cdc_queue" AS q/, handler: remove },
  // A sequence: no rollback and no lost commit turns it back here; without multi-cell columns nothing hangs on it.
  {
    begins: /^SELECT nextval\(/,
    handler: (tx) => immediately(() => selected([[tx.storage.nextLedgerKey()]])),
  },
];
