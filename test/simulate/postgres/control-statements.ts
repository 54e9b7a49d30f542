/** The statements over `_cdc_*`: positions, memory of what is gone, queue, ledger, dead letters. */
import { parseArray, parseBigints } from './array-literal.ts';
import type { LedgerRow, OffsetRow, Relation, Transaction } from './relations.ts';
import { done, lockOf, selected, type Handler, type Line, type Prepared } from './statements.ts';

/** Beside an outside batch, as a redrive notes its letters: the records that it carried. */
export const NOTE_OUTSIDE = 'INSERT INTO simulated_outside';

function immediately(run: Prepared['run']): Prepared {
  return { locks: [], run };
}

function any(relation: Relation<unknown>): Relation<never> {
  return relation as Relation<never>;
}

function shardKey(topic: unknown, partition: unknown): string {
  return `${topic as string}/${String(partition)}`;
}

function offsetLine(row: OffsetRow): Line {
  const { last } = row;
  return [
    row.topic,
    String(row.incarnation),
    String(row.partition),
    String(row.next),
    last === null ? null : String(last.offset),
    last === null ? null : String(last.timestampMs),
    last === null ? null : `\\x${last.hash.toString('hex')}`,
    row.owner,
    String(row.epoch),
    row.state,
  ];
}

/** UPDATE of one shard row, re-evaluated when the lock is had. */
function updateShard(
  tx: Transaction,
  key: string,
  change: (row: OffsetRow) => OffsetRow | null,
  answer: (row: OffsetRow) => Line[] = () => [],
): Prepared {
  const { offsets } = tx.storage;
  if (tx.get(offsets, key) === null) return immediately(() => done('UPDATE', 0));
  return {
    locks: [lockOf(any(offsets), key)],
    run: () => {
      const row = tx.get(offsets, key);
      const after = row === null ? null : change(row);
      if (after === null) return done('UPDATE', 0);
      tx.put(offsets, key, after);
      return { rows: answer(after), rowCount: 1, command: 'UPDATE' };
    },
  };
}

const gate: Handler = (_tx, [table]) => ({
  locks: [{ name: `gate:${String(table)}`, mode: 'exclusive' }],
  run: () => selected([['']]),
});

const sharedGate: Handler = (_tx, [table]) => ({
  locks: [{ name: `gate:${String(table)}`, mode: 'shared' }],
  run: () => selected([['']]),
});

const lockPosition: Handler = (tx, [topic, , partition], { table }) => {
  const { offsets } = tx.storage;
  const key = shardKey(topic, partition);
  if (tx.get(offsets, key) === null) return immediately(() => selected([]));
  return {
    locks: [lockOf(any(offsets), key)],
    run: () => {
      const row = tx.get(offsets, key);
      return selected(row === null ? [] : [[String(row.next), 'f', null, null, table.generation]]);
    },
  };
};

const movePosition: Handler = (tx, [topic, , partition, next, offset, timestampMs, hash]) =>
  updateShard(tx, shardKey(topic, partition), (row) => ({
    ...row,
    next: BigInt(next as string),
    last:
      offset === null
        ? row.last
        : { offset: BigInt(offset as string), timestampMs: timestampMs as number, hash: hash as Buffer },
  }));

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
    locks: keys.map((key) => lockOf(any(relation as Relation<unknown>), key)),
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
    locks: keys.map((key) => lockOf(any(relation as Relation<unknown>), key)),
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
    locks: keys!.map((key) => lockOf(any(relation as Relation<unknown>), key!)),
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

const queueExpiry: Handler = (tx, [topic, , partition, , due, keys]) => {
  const { queue } = tx.storage;
  const dues = parseBigints(due as string);
  const rows = parseArray(keys as string).map((rowKey, i) => ({
    topic: topic as string,
    partition: partition as number,
    dueUs: dues[i]!,
    rowKey: rowKey!,
  }));
  return immediately(() => {
    for (const row of rows) tx.put(queue, `${row.partition} ${row.dueUs} ${row.rowKey}`, row);
    return done('INSERT', rows.length);
  });
};

const takeDue: Handler = (tx, [, partition, , nowUs, , limit]) => {
  const { queue } = tx.storage;
  const due = tx
    .scan(queue)
    .filter(([, row]) => row.partition === partition && row.dueUs <= BigInt(nowUs as string))
    .sort(([, a], [, b]) => (a.dueUs < b.dueUs ? -1 : a.dueUs > b.dueUs ? 1 : 0))
    .slice(0, limit as number);
  return {
    locks: due.map(([key]) => lockOf(any(queue as Relation<unknown>), key)),
    run: () => {
      const taken = due.filter(([key]) => tx.get(queue, key) !== null);
      for (const [key] of taken) tx.put(queue, key, null);
      return { rows: taken.map(([, row]): Line => [row.rowKey, '1']), rowCount: taken.length, command: 'DELETE' };
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
    locks: [lockOf(any(letters), key)],
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

const listShards: Handler = (tx, [topic]) => {
  const rows = tx
    .scan(tx.storage.offsets)
    .map(([, row]) => row)
    .filter((row) => row.topic === topic)
    .sort((a, b) => a.partition - b.partition)
    .map(offsetLine);
  return immediately(() => selected(rows));
};

const claimShard: Handler = (tx, [topic, , partition, owner]) =>
  updateShard(
    tx,
    shardKey(topic, partition),
    (row) => ({ ...row, owner: owner as string, epoch: row.epoch + 1n }),
    (row) => [offsetLine(row)],
  );

const setState: Handler = (tx, [topic, , partition, state]) =>
  updateShard(tx, shardKey(topic, partition), (row) =>
    row.state === state ? null : { ...row, state: state as string },
  );

const addShards: Handler = (tx, [topic, starts]) =>
  immediately(() => {
    const { offsets } = tx.storage;
    for (const [partition, next] of parseBigints(starts as string).entries()) {
      const key = shardKey(topic, partition);
      if (tx.get(offsets, key) !== null) continue;
      const fresh = { topic: topic as string, incarnation: 1, partition, next: next!, last: null };
      tx.put(offsets, key, { ...fresh, owner: null, epoch: 0n, state: 'running' });
    }
    // The topics of the simulation don't grow.
    return selected([['f']]);
  });

export const controlStatements: readonly { readonly begins: RegExp; readonly handler: Handler }[] = [
  { begins: /^SELECT pg_advisory_xact_lock\(/, handler: gate },
  { begins: /^SELECT pg_advisory_xact_lock_shared\(/, handler: sharedGate },
  { begins: /^SELECT next_offset, growing/, handler: lockPosition },
  { begins: /^UPDATE \S+_cdc_offsets" SET next_offset = \$4, last_offset/, handler: movePosition },
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
  {
    begins: /^INSERT INTO \S+_cdc_queue" \(topic, incarnation, partition, kind, due_us, table_id, row_key/,
    handler: queueExpiry,
  },
  { begins: /^DELETE FROM \S+_cdc_queue" WHERE[^]*kind = 'expiry'/, handler: takeDue },
  { begins: /^INSERT INTO \S+_cdc_ledger"[^]*outcomes, origin\)/, handler: outsideLedger },
  { begins: /^INSERT INTO \S+_cdc_ledger"/, handler: ledger },
  { begins: /^INSERT INTO \S+_cdc_dead_letters"/, handler: deadLetter },
  { begins: /^INSERT INTO simulated_outside/, handler: noteOutside },
  { begins: /^SELECT topic, incarnation, partition, next_offset[^]*ORDER BY partition$/, handler: listShards },
  { begins: /^UPDATE \S+_cdc_offsets" SET owner = \$4/, handler: claimShard },
  { begins: /^UPDATE \S+_cdc_offsets" SET state = \$4/, handler: setState },
  { begins: /^WITH present AS/, handler: addShards },
  {
    begins: /^SELECT id FROM \S+_cdc_tables"/,
    handler: (_tx, _values, { table }) => immediately(() => selected([[String(table.id)]])),
  },
];
