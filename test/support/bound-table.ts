import type pg from 'pg';
import type { Table } from '../../src/catalog/table.ts';
import { registerTables, type BoundTable } from '../../src/target/bound-table.ts';

/** A table bound as a fresh registry would bind it, without a PostgreSQL. */
export async function boundWithoutServer(table: Table): Promise<BoundTable> {
  const client = {
    query: (text: string) => Promise.resolve({ rows: text.trimStart().startsWith('INSERT') ? [{ id: '1' }] : [] }),
    release: () => undefined,
  };
  const pool = { connect: () => Promise.resolve(client) } as unknown as pg.Pool;
  const [bound] = await registerTables(pool, 'public', [table]);
  return bound!;
}
