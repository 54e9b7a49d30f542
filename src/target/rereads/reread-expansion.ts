import type { PoolClient } from 'pg';
import { rowKey, type PartitionDelete, type RangeDelete, type RowKey } from '../../change/change-event.ts';
import { EMPTY_TRIGGER } from '../../change/hint.ts';
import { LockstepError } from '../../shared/errors.ts';
import type { ShardId } from '../batch.ts';
import type { BoundTable } from '../bound-table.ts';
import type { ControlStatements } from '../control-statements.ts';
import { rangePredicate } from '../range-predicate.ts';
import type { Expansion, QueueEntry, RereadQueue } from './reread-queue.ts';
import type { TableDoor } from '../row-writes.ts';
import { arrayTypeOf, quoteIdentifier } from '../sql-text.ts';
import { checkCommitted, gateStatement, pipeline, type Statement } from '../transaction.ts';

/** Rows queued per transaction. */
const PAGE_ROWS = 1_000;

function deleteOf(bound: BoundTable, entry: QueueEntry, expansion: Expansion): PartitionDelete | RangeDelete {
  const base = { table: bound.table.name, writeTime: 0n, ambiguity: null };
  const partition = rowKey(JSON.parse(entry.rowKey) as string[]);
  if (expansion.bounds === null) return { ...base, kind: 'partition-delete', partition };
  const [startIncluded, start, endIncluded, end] = JSON.parse(expansion.bounds) as [
    boolean,
    string[],
    boolean,
    string[],
  ];
  return {
    ...base,
    kind: 'range-delete',
    partition,
    start: { values: start, inclusive: startIncluded },
    end: { values: end, inclusive: endIncluded },
  };
}

/** Rows of the range of which a multi-cell column was written after the delete, or all, where its time is lost. */
function pageStatement(bound: BoundTable, entry: QueueEntry, expansion: Expansion): Statement {
  const range = rangePredicate(bound, 't', deleteOf(bound, entry, expansion));
  const values: string[] = [...range.values];
  const conditions = [range.sql];
  if (expansion.writeTime !== null) {
    values.push(String(expansion.writeTime));
    const time = `$${values.length}::bigint`;
    const newer = bound.regular
      .filter(({ readOrdinal }) => readOrdinal !== 0)
      .map(({ ordinal }) => `t._cdc_versions[${ordinal}] > ${time}`);
    conditions.push(`(${newer.join(' OR ')})`);
  }
  const clustering = bound.keys.slice(bound.table.partitionKey.length);
  const columns = clustering.map(({ column }) => `t.${quoteIdentifier(column.target)}`);
  if (expansion.after !== null) {
    const last = expansion.after.map((value, i) => {
      const column = clustering[i];
      if (column === undefined) throw new LockstepError('a cursor of another key', { code: 'BUG_CURSOR', kind: 'bug' });
      values.push(column.mapping.toTarget(value));
      return `$${values.length}::${arrayTypeOf(column.column.targetType).slice(0, -2)}`;
    });
    conditions.push(`(${columns.join(', ')}) > (${last.join(', ')})`);
  }
  return {
    text: `SELECT ${columns.join(', ')} FROM ${bound.target} AS t WHERE ${conditions.join(' AND ')}
           ORDER BY ${columns.join(', ')} LIMIT ${PAGE_ROWS}`,
    values,
  };
}

/**
 * Queues one page of the rows that a partition or range delete leaves to be read again, and what is left of the entry.
 * The rows may be another shard's, so their reads are marked as foreign. Bounded, whatever the size of the partition.
 */
export async function expandPage(
  client: PoolClient,
  { control, queue }: { readonly control: ControlStatements; readonly queue: RereadQueue },
  { bound }: TableDoor,
  shard: ShardId,
  entry: QueueEntry,
  nowUs: bigint,
): Promise<void> {
  const { expansion } = entry;
  if (expansion === null) return;
  const [, , , removed, page] = await pipeline(client, [
    { text: 'BEGIN' },
    { name: 'gate-shared', text: gateStatement('shared'), values: [bound.id] },
    control.lockPosition(shard, bound.id),
    queue.remove(shard, bound.id, [entry]),
    pageStatement(bound, entry, expansion),
  ]);
  if (removed?.rowCount !== 1) {
    await client.query('ROLLBACK');
    return;
  }
  const partition = JSON.parse(entry.rowKey) as string[];
  const clustering = bound.keys.slice(bound.table.partitionKey.length);
  const keys = (page?.rows ?? []).map((line): RowKey => {
    const values = clustering.map((column, i) => column.mapping.fromTarget(line[i] ?? ''));
    return rowKey([...partition, ...values]);
  });
  const names = bound.regular.flatMap(({ column, readOrdinal }) => (readOrdinal === 0 ? [] : [column.name]));
  const columns =
    expansion.writeTime === null ? {} : Object.fromEntries(names.map((name) => [name, expansion.writeTime ?? 0n]));
  const owed = keys.map((key) => ({ key, trigger: { ...EMPTY_TRIGGER, columns, foreign: true } }));
  const last = keys.at(-1);
  const rest =
    keys.length < PAGE_ROWS || last === undefined
      ? []
      : queue.addExpansion(
          shard,
          bound.id,
          entry.rowKey,
          { ...expansion, after: last.values.slice(partition.length) },
          nowUs,
        );
  const writes = [...queue.add(shard, bound.id, owed, nowUs), ...rest, { text: 'COMMIT' }];
  checkCommitted((await pipeline(client, writes)).at(-1));
}
