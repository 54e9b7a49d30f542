/**
 * What differs while nothing moves, by the demo's own readers of both databases: they share no decoder with the service
 * and know nothing of what was injected.
 */
import pg from 'pg';
import { logRanges } from '../../src/demo/kafka/kafka.ts';
import { lagBehind } from '../../src/demo/drain.ts';
import { readSource, sourceColumns } from '../../src/demo/proof/source-rows.ts';
import { readTarget } from '../../src/demo/proof/target-rows.ts';
import { waitFor } from '../../src/demo/waiting.ts';
import { LOSSY, type LossSite } from './site.ts';

const REST_LIMIT_MS = 120_000;
/** The agent delivers some records twice, a second later. */
const STABLE_MS = 3_000;
/** A marker that has not come by then was lost with its segment: another one is written. */
const MARKER_MS = 5_000;
const MARKER_PARTITION = 999_999;

let markers = 0;

/** Waits until everything that was written has arrived, or will never. Nobody may write meanwhile. */
export async function comeToRest(site: LossSite): Promise<void> {
  const { source, postgres, kafka, keyspace, topic } = site;
  const deadline = performance.now() + REST_LIMIT_MS;
  for (let seen = false; !seen;) {
    if (performance.now() > deadline) throw new Error('no marker arrives: what is written is not captured');
    const ck = ++markers;
    await source.execute(`INSERT INTO ${keyspace}.${LOSSY} (pk, ck) VALUES (${MARKER_PARTITION}, ${ck})`);
    seen = await waitFor(
      async () => {
        const { rowCount } = await postgres.query(
          `SELECT 1 FROM ${LOSSY} WHERE pk = ${MARKER_PARTITION} AND ck = ${ck}`,
        );
        return rowCount === 1;
      },
      { limitMs: MARKER_MS, everyMs: 100 },
    );
  }
  let ends = '';
  let sinceMs = performance.now();
  const atRest = await waitFor(
    async () => {
      const ranges = await logRanges(kafka, [topic]);
      const now = ranges.map(({ end }) => end).join(' ');
      if (now !== ends) sinceMs = performance.now();
      ends = now;
      const { rows } = await postgres.query<{ n: number }>(
        `SELECT count(*)::int AS n FROM _cdc_queue WHERE due_us <= (extract(epoch FROM now()) * 1000000)::bigint + 7000000`,
      );
      return rows[0]?.n === 0 && (await lagBehind(postgres, ranges)) === 0 && performance.now() - sinceMs >= STABLE_MS;
    },
    { limitMs: Math.max(0, deadline - performance.now()), everyMs: 250 },
  );
  if (!atRest) throw new Error('the table does not come to rest');
}

/** Keys of rows that differ or stand on one side only, `["pk","ck"]`; of partitions whose static value does, `["pk"]`. */
export async function differingKeys(site: LossSite): Promise<ReadonlySet<string>> {
  const { source, postgresUrl, keyspace } = site;
  const client = new pg.Client({ connectionString: postgresUrl });
  await client.connect();
  try {
    const columns = (await sourceColumns(source, keyspace, LOSSY)).filter(({ kind }) => kind !== 'static');
    const target = await readTarget(client, { schema: 'public', table: LOSSY }, columns);
    const rows = await readSource(source, keyspace, LOSSY, columns);
    const differing = new Set<string>();
    for (const [key, row] of rows.rows) {
      if (JSON.stringify(row) !== JSON.stringify(target.rows.get(key))) differing.add(key);
    }
    for (const key of target.rows.keys()) if (!rows.rows.has(key)) differing.add(key);
    const shown = await source.execute(`SELECT DISTINCT pk, s FROM ${keyspace}.${LOSSY}`);
    const statics = new Map<string, string>();
    for await (const row of shown) {
      const value = row['s'] as string | null;
      if (value !== null) statics.set(`["${row['pk'] as number}"]`, value);
    }
    const stored = await client.query<{ pk: number; s: string | null }>(`SELECT pk, s FROM ${LOSSY}__static`);
    const stands = new Map<string, string>(
      stored.rows.flatMap(({ pk, s }) => (s === null ? [] : [[`["${pk}"]`, s] as const])),
    );
    for (const key of new Set([...statics.keys(), ...stands.keys()])) {
      if (statics.get(key) !== stands.get(key)) differing.add(key);
    }
    return differing;
  } finally {
    await client.end();
  }
}

/** All that both sides and the findings say of a row: what there is to look at where it should not differ. */
export async function evidenceOf(site: LossSite, key: string): Promise<string> {
  const [pk, ck] = (JSON.parse(key) as string[]).map(Number);
  const { source, postgres, keyspace } = site;
  if (pk === undefined || ck === undefined) return key;
  const where = `pk = ${pk} AND ck = ${ck}`;
  const times = ['v', 'n', 'home', 'tags'].flatMap((name) =>
    name === 'home' || name === 'tags' ? [name, `maxwritetime(${name})`] : [name, `writetime(${name})`, `ttl(${name})`],
  );
  const inSource = await source.execute(`SELECT ${times.join(', ')} FROM ${keyspace}.${LOSSY} WHERE ${where}`);
  const inTarget = await postgres.query<{ row: string }>(
    `SELECT row_to_json(t)::text AS row FROM ${LOSSY} AS t WHERE ${where}`,
  );
  const grave = await postgres.query<{ row: string }>(
    `SELECT row_to_json(g)::text AS row FROM _cdc_graveyard AS g WHERE row_to_json(g)::text LIKE '%' || $1 || '%'`,
    [`\\"${pk}\\",\\"${ck}\\"`],
  );
  const findings = await postgres.query<{ row: string }>(
    `SELECT row_to_json(f)::text AS row FROM _cdc_findings AS f WHERE row_key = $1 ORDER BY id`,
    [key],
  );
  const queue = await postgres.query<{ row: string }>(
    `SELECT row_to_json(q)::text AS row FROM _cdc_queue AS q WHERE row_key = $1`,
    [key],
  );
  const rows = (of: { rows: { row: string }[] }): string => of.rows.map(({ row }) => row).join(', ');
  return [
    `${key}: source ${JSON.stringify(inSource.rows, (_, value: unknown) => (typeof value === 'bigint' ? String(value) : value))}`,
    `target ${rows(inTarget)}`,
    `graves ${rows(grave)}`,
    `findings ${rows(findings)}`,
    `queue ${rows(queue)}`,
  ].join('; ');
}
