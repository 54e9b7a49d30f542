/** The statements over positions and the growth of topics. */
import { parseBigints } from './array-literal.ts';
import type { OffsetRow, Transaction } from './relations.ts';
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
    locks: [lockOf(offsets, key)],
    run: () => {
      const row = tx.get(offsets, key);
      const after = row === null ? null : change(row);
      if (after === null) return done('UPDATE', 0);
      tx.put(offsets, key, after);
      return { rows: answer(after), rowCount: 1, command: 'UPDATE' };
    },
  };
}

const lockPosition: Handler = (tx, [topic, , partition], { table }) => {
  const { offsets } = tx.storage;
  const key = shardKey(topic, partition);
  if (tx.get(offsets, key) === null) return immediately(() => selected([]));
  return {
    locks: [lockOf(offsets, key)],
    run: () => {
      const row = tx.get(offsets, key);
      if (row === null) return selected([]);
      const grownUntil = row.grownUntil === null ? null : String(row.grownUntil);
      return selected([[String(row.next), row.growing ? 't' : 'f', grownUntil, null, table.generation]]);
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

const addShards: Handler = (tx, [topic, starts]) => {
  const { offsets } = tx.storage;
  const had = tx.scan(offsets).length;
  return immediately(() => {
    let added = 0;
    for (const [partition, next] of parseBigints(starts as string).entries()) {
      const key = shardKey(topic, partition);
      if (tx.get(offsets, key) !== null) continue;
      added += 1;
      const fresh = { topic: topic as string, incarnation: 1, partition, next: next!, last: null };
      const idle = { owner: null, epoch: 0n, state: 'running', growing: false, grownUntil: null };
      tx.put(offsets, key, { ...fresh, ...idle });
    }
    return selected([[had > 0 && added > 0 ? 't' : 'f']]);
  });
};

/** UPDATE of all shard rows of the topic. */
function updateShards(tx: Transaction, change: (row: OffsetRow) => OffsetRow): Prepared {
  const { offsets } = tx.storage;
  const keys = tx.scan(offsets).map(([key]) => key);
  return {
    locks: keys.map((key) => lockOf(offsets, key)),
    run: () => {
      for (const key of keys) {
        const row = tx.get(offsets, key);
        if (row !== null) tx.put(offsets, key, change(row));
      }
      return done('UPDATE', keys.length);
    },
  };
}

const markGrowing: Handler = (tx) => updateShards(tx, (row) => ({ ...row, growing: true }));

const endGrowing: Handler = (tx, _values, { now }) =>
  updateShards(tx, (row) => ({ ...row, growing: false, grownUntil: now() }));

const beginGrowth: Handler = (tx, [topic], { now }) =>
  immediately(() => {
    tx.put(tx.storage.growth, topic as string, { grownAt: now(), ends: null });
    return done('INSERT', 1);
  });

const growthOf: Handler = (tx, [topic, ageMs], { now }) => {
  const row = tx.get(tx.storage.growth, topic as string);
  const isSettled = row !== null && (now() - row.grownAt) * 1000 >= (ageMs as number);
  return immediately(() => selected(row === null ? [] : [[row.ends, isSettled ? 't' : 'f', String(row.grownAt)]]));
};

const noteEnds: Handler = (tx, [topic, grownAt, ends]) => {
  const { growth } = tx.storage;
  return {
    locks: [lockOf(growth, topic as string)],
    run: () => {
      const row = tx.get(growth, topic as string);
      if (row === null || String(row.grownAt) !== grownAt) return done('UPDATE', 0);
      tx.put(growth, topic as string, { ...row, ends: ends as string });
      return done('UPDATE', 1);
    },
  };
};

const shardBehind: Handler = (tx, [topic]) => {
  const growth = tx.get(tx.storage.growth, topic as string);
  const isBehind =
    growth !== null &&
    (growth.ends === null ||
      parseBigints(growth.ends).some((end, partition) => {
        const row = tx.get(tx.storage.offsets, shardKey(topic, partition));
        return row === null || row.next < end!;
      }));
  return immediately(() => selected(isBehind ? [['1']] : []));
};

const endGrowth: Handler = (tx, [topic, grownAt]) => {
  const { growth } = tx.storage;
  return {
    locks: [lockOf(growth, topic as string)],
    run: () => {
      const row = tx.get(growth, topic as string);
      if (row === null || String(row.grownAt) !== grownAt) return done('DELETE', 0);
      tx.put(growth, topic as string, null);
      return done('DELETE', 1);
    },
  };
};

export const shardStatements: readonly KnownStatement[] = [
  { begins: /^SELECT next_offset, growing/, handler: lockPosition },
  { begins: /^UPDATE \S+_cdc_offsets" SET next_offset = \$4, last_offset/, handler: movePosition },
  { begins: /^SELECT topic, incarnation, partition, next_offset[^]*ORDER BY partition$/, handler: listShards },
  { begins: /^UPDATE \S+_cdc_offsets" SET owner = \$4/, handler: claimShard },
  { begins: /^UPDATE \S+_cdc_offsets" SET state = \$4/, handler: setState },
  { begins: /^WITH present AS/, handler: addShards },
  { begins: /^UPDATE \S+_cdc_offsets" SET growing = true/, handler: markGrowing },
  { begins: /^UPDATE \S+_cdc_offsets" SET growing = false/, handler: endGrowing },
  { begins: /^INSERT INTO \S+_cdc_growth"/, handler: beginGrowth },
  { begins: /^SELECT ends, clock_timestamp/, handler: growthOf },
  { begins: /^UPDATE \S+_cdc_growth" SET ends/, handler: noteEnds },
  { begins: /^SELECT 1 FROM \S+_cdc_growth"/, handler: shardBehind },
  { begins: /^DELETE FROM \S+_cdc_growth"/, handler: endGrowth },
  {
    begins: /^SELECT id FROM \S+_cdc_tables"/,
    handler: (_tx, _values, { table }) => immediately(() => selected([[String(table.id)]])),
  },
];
