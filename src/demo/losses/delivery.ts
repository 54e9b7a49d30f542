/** What the delivery windows say of the demo: asked from the outside, by plain SQL. */
import type pg from 'pg';
import type { Check } from '../proof/check-ledger.ts';
import { KEYSPACE, SHOP_TABLES, TARGET_SCHEMA } from '../shop/schema.ts';
import { waitFor } from '../waiting.ts';

/** Windows of the time before come first; a demo whose data were kept has some that nobody has looked at yet. */
const LIMIT_MS = 240_000;
const LOOK_EVERY_MS = 500;
/** Open windows that a check shows. */
const MAX_SHOWN = 3;

/** How a change came into the ledger: `stream` by its record, `replay` because a window missed it. */
export async function originsOf(postgres: pg.Pool, changeId: string): Promise<ReadonlySet<string>> {
  const { rows } = await postgres.query<{ origin: string }>(
    `SELECT DISTINCT origin FROM ${TARGET_SCHEMA}._cdc_ledger
     WHERE min_id <= $1::uuid AND max_id >= $1::uuid AND position(decode($2, 'hex') IN ids) % 16 = 1`,
    [changeId, changeId],
  );
  return new Set(rows.map(({ origin }) => origin));
}

/** Waits until every one of these changes has an outcome; gives up after a while. */
export function accounted(postgres: pg.Pool, changeIds: readonly string[], signal: AbortSignal): Promise<boolean> {
  return waitFor(
    async () => {
      for (const id of changeIds) if ((await originsOf(postgres, id)).size === 0) return false;
      return true;
    },
    { limitMs: LIMIT_MS, everyMs: LOOK_EVERY_MS, signal },
  );
}

interface WindowLine {
  readonly source: string;
  readonly start: string;
  readonly verdict: string;
  readonly reason: string | null;
  readonly changelog: number;
  readonly accounted: number;
  readonly missing: number;
  readonly replayed: number;
  readonly end_ms: number;
}

async function windowsOf(postgres: pg.Pool): Promise<readonly WindowLine[]> {
  const { rows } = await postgres.query<WindowLine>(
    `SELECT t.source, to_timestamp(start_ms / 1000.0)::text AS start, verdict, reason, changelog::int,
       (processed + filtered + dead_lettered)::int AS accounted, missing::int, replayed::int, end_ms::float8
     FROM ${TARGET_SCHEMA}._cdc_windows AS w JOIN ${TARGET_SCHEMA}._cdc_tables AS t ON t.id = w.table_id
     WHERE t.source = ANY($1) ORDER BY start_ms`,
    [SHOP_TABLES.map((table) => `${KEYSPACE}.${table}`)],
  );
  return rows;
}

const isProven = ({ verdict, changelog, accounted, missing }: WindowLine): boolean =>
  verdict === 'PASS' && missing === 0 && changelog === accounted;

/**
 * Waits until the windows of everything that was written before `untilMs` have been verified, and checks that each holds
 * the accounting identity with nothing missing.
 *
 * @param lost Changes that were lost on purpose; null where earlier demos may have replayed some, too.
 */
export async function checkDelivery(
  postgres: pg.Pool,
  untilMs: number,
  lost: number | null,
  signal: AbortSignal,
): Promise<Check> {
  let windows: readonly WindowLine[] = [];
  const isDone = (): boolean =>
    windows.every(isProven) &&
    SHOP_TABLES.every((table) =>
      windows.some((window) => window.source === `${KEYSPACE}.${table}` && window.end_ms >= untilMs),
    );
  await waitFor(
    async () => {
      windows = await windowsOf(postgres);
      return isDone();
    },
    { limitMs: LIMIT_MS, everyMs: LOOK_EVERY_MS, signal },
  );
  const open = windows.filter((window) => !isProven(window));
  const sum = (of: (window: WindowLine) => number): number => windows.reduce((total, each) => total + of(each), 0);
  const [changes, replayed] = [sum((window) => window.changelog), sum((window) => window.replayed)];
  const shown = open
    .slice(0, MAX_SHOWN)
    .map(
      ({ source, start, verdict, missing, reason }) =>
        `${source} ${start}: ${verdict}, ${missing} missing, ${reason ?? ''}`,
    );
  return {
    name: 'every delivery window passes: each change of the changelog has its outcome',
    ok: isDone() && changes > 0 && (lost === null || replayed === lost),
    found:
      open.length > 0
        ? `${open.length} of ${windows.length} windows do not pass: ${shown.join('; ')}`
        : `${changes} changes in ${windows.length} windows, ${replayed} of them missed and replayed`,
  };
}
