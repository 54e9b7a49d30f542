/** The statements over `_cdc_*`: gates, memory of what is gone, queue, ledger, dead letters. */
import { parseArray, parseBigints } from './array-literal.ts';
import type { LedgerRow, Transaction } from './relations.ts';
import {
  done,
  immediately,
  lockOf,
  selected,
  type Handler,
  type KnownStatement,
  type Line,
  type Prepared,
} from './statements.ts';

/** Beside an outside batch, as a redrive notes its letters: the records that it carried. */
export const NOTE_OUTSIDE = 'INSERT INTO simulated_outside';

const gate: Handler = (_tx, [table]) => ({
  locks: [{ name: `gate:${String(table)}`, mode: 'exclusive' }],
  run: () => selected([['']]),
});

const sharedGate: Handler = (_tx, [table]) => ({
  locks: [{ name: `gate:${String(table)}`, mode: 'shared' }],
  run: () => selected([['']]),
});

const graves: Handler = (tx, [, keys]) => {
  const rows = parseArray(keys as string).flatMap((key): Line[] => {
    const grave = tx.get(tx.storage.graves, key!);
    return grave === null ? [] : [[key!, String(grave.deletedAt), grave.versions, grave.expiries, '0']];
  });
  return immediately(() => selected(rows));
};

const ranges: Handler = (tx, [, partitions]) => {
  const wanted = new Set(parseArray(partitions as string));
  const rows = tx
    .scan(tx.storage.ranges)
    .filter(([, row]) => wanted.has(row.partition))
    .map(([, row]): Line => [row.partition, row.bounds, String(row.writeTime), '0']);
  return immediately(() => selected(rows));
};

function rangeKey(partition: string, bounds: string): string {
  return `${partition} ${bounds}`;
}

const addRanges: Handler = (tx, values) => {
  const { ranges: relation } = tx.storage;
  const [partitions, bounds, times] = values.slice(1).map((value) => parseArray(value as string));
  const keys = partitions!.map((partition, i) => rangeKey(partition!, bounds![i]!));
  return {
    locks: keys.map((key) => lockOf(relation, key)),
    run: () => {
      for (const [i, key] of keys.entries()) {
        const known = tx.get(relation, key);
        const writeTime = BigInt(times![i]!);
        if (known !== null && known.writeTime >= writeTime) continue;
        tx.put(relation, key, { partition: partitions![i]!, bounds: bounds![i]!, writeTime });
      }
      return done('INSERT', keys.length);
    },
  };
};

const removeRanges: Handler = (tx, values) => {
  const { ranges: relation } = tx.storage;
  const [partitions, bounds] = values.slice(1).map((value) => parseArray(value as string));
  const keys = partitions!.map((partition, i) => rangeKey(partition!, bounds![i]!));
  return {
    locks: keys.map((key) => lockOf(relation, key)),
    run: () => {
      for (const key of keys) tx.put(relation, key, null);
      return done('DELETE', keys.length);
    },
  };
};

const bury: Handler = (tx, values) => {
  const { graves: relation } = tx.storage;
  const [keys, deletedAt, versions, expiries] = values.slice(1).map((value) => parseArray(value as string));
  return {
    locks: keys!.map((key) => lockOf(relation, key!)),
    run: () => {
      for (const [i, key] of keys!.entries()) {
        const known = tx.get(relation, key!);
        const time = BigInt(deletedAt![i]!);
        tx.put(relation, key!, {
          deletedAt: known !== null && known.deletedAt > time ? known.deletedAt : time,
          versions: versions![i] ?? null,
          expiries: expiries![i] ?? null,
        });
      }
      return done('INSERT', keys!.length);
    },
  };
};

/** `isOld`: entries that are dated before any growth, also where they are there already. */
function queueExpiry(isOld: boolean): Handler {
  return (tx, [topic, , partition, , due, keys], { now }) => {
    const { queue } = tx.storage;
    const dues = parseBigints(due as string);
    const queuedAt = isOld ? 0 : now();
    const rows = parseArray(keys as string).map((rowKey, i) => ({
      topic: topic as string,
      partition: partition as number,
      dueUs: dues[i]!,
      rowKey: rowKey!,
      queuedAt,
    }));
    return immediately(() => {
      for (const row of rows) {
        const key = `${row.partition} ${row.dueUs} ${row.rowKey}`;
        if (isOld || tx.get(queue, key) === null) tx.put(queue, key, row);
      }
      return done('INSERT', rows.length);
    });
  };
}

const takeDue: Handler = (tx, [, partition, , nowUs, , limit]) => {
  const { queue } = tx.storage;
  const due = tx
    .scan(queue)
    .filter(([, row]) => row.partition === partition && row.dueUs <= BigInt(nowUs as string))
    .sort(([, a], [, b]) => (a.dueUs < b.dueUs ? -1 : a.dueUs > b.dueUs ? 1 : 0))
    .slice(0, limit as number);
  return {
    locks: due.map(([key]) => lockOf(queue, key)),
    run: () => {
      const taken = due.filter(([key]) => tx.get(queue, key) !== null);
      for (const [key] of taken) tx.put(queue, key, null);
      return {
        rows: taken.map(([, row]): Line => [row.rowKey, String(row.queuedAt)]),
        rowCount: taken.length,
        command: 'DELETE',
      };
    },
  };
};

function addSegment(tx: Transaction, row: LedgerRow): Prepared {
  return immediately(() => {
    tx.put(tx.storage.ledger, tx.storage.nextLedgerKey(), row);
    return done('INSERT', 1);
  });
}

const ledger: Handler = (tx, [, , , partition, from, next, records, duplicates, skipped, , , , , , ids]) =>
  addSegment(tx, {
    partition: partition as number,
    from: BigInt(from as string),
    next: BigInt(next as string),
    records: records as number,
    duplicates: duplicates as number,
    skipped: skipped as number,
    ids: (ids as string).slice(2),
    outside: false,
  });

const outsideLedger: Handler = (tx, [, , , partition, at, records, , , , ids]) =>
  addSegment(tx, {
    partition: partition as number,
    from: BigInt(at as string),
    next: BigInt(at as string),
    records: records as number,
    duplicates: 0,
    skipped: 0,
    ids: (ids as string).slice(2),
    outside: true,
  });

const deadLetter: Handler = (tx, [, , partition, offset, , code, , , , , status, sha256]) => {
  const { letters } = tx.storage;
  const key = `${String(partition)}:${String(offset)}`;
  return {
    locks: [lockOf(letters, key)],
    run: () => {
      const known = tx.get(letters, key);
      const fresh = {
        partition: partition as number,
        offset: BigInt(offset as string),
        status: status as string,
        sha256: sha256 as Buffer,
      };
      tx.put(letters, key, { ...(known ?? fresh), code: code as string });
      return done('INSERT', 1);
    },
  };
};

const noteOutside: Handler = (tx, [partitions, offsets]) =>
  immediately(() => {
    for (const [i, partition] of parseArray(partitions as string).entries()) {
      const offset = BigInt(parseArray(offsets as string)[i]!);
      tx.put(tx.storage.outside, `${partition}:${offset}`, { partition: Number(partition), offset });
      const letter = tx.get(tx.storage.letters, `${partition}:${offset}`);
      if (letter !== null) tx.put(tx.storage.letters, `${partition}:${offset}`, { ...letter, status: 'redriven' });
    }
    return done('INSERT', 1);
  });

export const controlStatements: readonly KnownStatement[] = [
  { begins: /^SELECT pg_advisory_xact_lock\(/, handler: gate },
  { begins: /^SELECT pg_advisory_xact_lock_shared\(/, handler: sharedGate },
  {
    begins: /^SELECT extract\(epoch FROM pg_postmaster_start_time/,
    handler: (_tx, _values, { startedAt }) => immediately(() => selected([[String(startedAt)]])),
  },
  {
    begins: /^SELECT next_ordinal FROM/,
    handler: (_tx, _values, { table }) => immediately(() => selected([[table.generation]])),
  },
  { begins: /^SELECT row_key, deleted_at, versions, expiries, [^]*_cdc_graveyard"/, handler: graves },
  { begins: /^SELECT partition_key, bounds, write_time[^]*_cdc_range_tombstones"/, handler: ranges },
  { begins: /^INSERT INTO \S+_cdc_range_tombstones"/, handler: addRanges },
  { begins: /^DELETE FROM \S+_cdc_range_tombstones" USING/, handler: removeRanges },
  { begins: /^INSERT INTO \S+_cdc_graveyard"/, handler: bury },
  { begins: /^INSERT INTO \S+_cdc_queue"[^]*row_key, queued_at\)/, handler: queueExpiry(true) },
  { begins: /^INSERT INTO \S+_cdc_queue" \(topic, incarnation, partition, kind, due_us/, handler: queueExpiry(false) },
  { begins: /^DELETE FROM \S+_cdc_queue" WHERE[^]*kind = 'expiry'/, handler: takeDue },
  { begins: /^INSERT INTO \S+_cdc_ledger"[^]*outcomes, origin\)/, handler: outsideLedger },
  { begins: /^INSERT INTO \S+_cdc_ledger"/, handler: ledger },
  { begins: /^INSERT INTO \S+_cdc_dead_letters"/, handler: deadLetter },
  { begins: /^INSERT INTO simulated_outside/, handler: noteOutside },
];
