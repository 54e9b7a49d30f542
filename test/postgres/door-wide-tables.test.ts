import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest';
import { rowKey, type Cell, type RowWrite } from '../../src/change/change-event.ts';
import type { Table } from '../../src/catalog/table.ts';
import { column, openDoorRig, scalar, tableOf, type DoorRig } from '../support/door-rig.ts';

/** Write times go as one time and a mask of slots: around the halves of the mask (31) and beyond its end (62). */
const WIDTHS = [1, 30, 31, 32, 61, 62, 70];
const NEVER = '-9223372036854775808';

function wideTable(width: number): Table {
  const columns = Array.from({ length: width }, (_, i) => column(`c${i}`, 'regular', scalar('int'), 'integer'));
  return tableOf(`wide_${width}`, [column('id', 'partition', scalar('int'), 'integer'), ...columns]);
}
const tables = WIDTHS.map(wideTable);

let rig: DoorRig;
beforeAll(async () => {
  rig = await openDoorRig(inject('postgresUrl'), tables, { schema: 'door_wide' });
});
afterAll(() => rig.close());

function write(table: Table, at: (position: number) => bigint | null, marker: bigint | null): RowWrite {
  const cells = table.regular.map((_, i): Cell | null => {
    const writeTime = at(i);
    return writeTime === null ? null : { writeTime, value: String(i), expiry: null };
  });
  return {
    kind: 'write',
    table: table.name,
    key: rowKey(['1']),
    writeTime: 1n,
    ambiguity: null,
    marker: marker === null ? null : { writeTime: marker, expiry: null },
    cells,
  };
}

describe.each(tables.map((table) => [table.regular.length, table] as const))(
  'a table of %i columns',
  (width, table) => {
    const versions = async (): Promise<string[]> => {
      const { rows } = await rig.pool.query<{ v: string }>(
        `SELECT array_to_string(_cdc_versions, ',') AS v FROM ${table.targetTable}`,
      );
      return (rows[0]?.v ?? '').split(',');
    };

    it('keeps the write time of exactly the cells that were written', async () => {
      for (const last of new Set([0, Math.floor(width / 2), width - 1])) {
        await rig.pool.query(`TRUNCATE ${table.targetTable}`);
        await rig.apply(table, 0, [write(table, (i) => (i === last ? 5n : null), null)]);
        const expected = table.regular.map((_, i) => (i === last ? '5' : NEVER));
        expect(await versions()).toEqual([NEVER, ...expected]);
      }
    });

    it('merges a row of one time with a row of many', async () => {
      await rig.pool.query(`TRUNCATE ${table.targetTable}`);
      await rig.apply(table, 0, [write(table, () => 5n, 5n)]);
      await rig.apply(table, 0, [write(table, (i) => BigInt(i % 9) + 1n, null)]);
      expect(await versions()).toEqual(['5', ...table.regular.map((_, i) => String(Math.max(5, (i % 9) + 1)))]);
    });
  },
);
