/** Every cell of `shop.poisoned` as text, on either side, when the target is mended: what is exactly equal is equal there. */
import cassandra from 'cassandra-driver';
import type pg from 'pg';

const PAGE_ROWS = 5_000;
const FIRST_DAY = 2 ** 31;
const NAMES = 'v, wide, note, code, doc, nul, extra, amount, big, at, clock, day, parent';

/** Rows by ID. */
export type Side = ReadonlyMap<number, string>;

function cellText(name: string, value: unknown): string | null {
  if (value === null || value === undefined) return null;
  if (name === 'nul') return Buffer.from(value as string).toString('hex');
  if (value instanceof cassandra.types.LocalTime) return String(value.toBuffer().readBigInt64BE());
  if (value instanceof cassandra.types.LocalDate) return String(value.toBuffer().readUInt32BE() - FIRST_DAY);
  if (value instanceof Date) return String(value.getTime());
  return (value as string | number | bigint | cassandra.types.BigDecimal).toString();
}

export async function sourceSide(client: cassandra.Client): Promise<Side> {
  const side = new Map<number, string>();
  const options = { prepare: true, fetchSize: PAGE_ROWS };
  for await (const row of await client.execute(`SELECT id, ${NAMES} FROM shop.poisoned`, [], options)) {
    const cells = NAMES.split(', ').map((name) => cellText(name, row.get(name)));
    side.set(row.get('id') as number, JSON.stringify(cells));
  }
  return side;
}

export async function targetSide(pool: pg.Pool): Promise<Side> {
  const { rows } = await pool.query<(string | null)[]>({
    text: `SELECT id::text, v, wide, note, code, doc, encode(nul, 'hex'), extra, amount::text, big::text, at::text,
             clock::text, day::text, parent::text FROM poisoned`,
    rowMode: 'array',
  });
  return new Map(rows.map(([id, ...cells]) => [Number(id), JSON.stringify(cells)]));
}

/** The first few rows that are not the same on both sides. */
export function differences(source: Side, target: Side): readonly string[] {
  const ids = new Set([...source.keys(), ...target.keys()]);
  return [...ids]
    .filter((id) => source.get(id) !== target.get(id))
    .slice(0, 10)
    .map((id) => `${id}: source ${source.get(id) ?? 'has none'}, target ${target.get(id) ?? 'has none'}`);
}
