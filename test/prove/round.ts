/** One round: histories under faults, then rest, then Cassandra's answer against PostgreSQL's. */
import { checkLedger, type Check } from '../../src/demo/proof/check-ledger.ts';
import { readLedger } from '../../src/demo/proof/ledger-account.ts';
import { pause, waitFor } from '../../src/demo/waiting.ts';
import { seededRandom, type Random } from '../../src/demo/workload/random.ts';
import { compareTable, type Difference, type DifferingRow } from './audit/image-difference.ts';
import { healAll, injectFaults, type FaultCounts, type FaultKind } from './faults/fault.ts';
import { History } from './generate/history.ts';
import type { Repertoire } from './generate/semantics.ts';
import type { WriteTimes } from './generate/write-times.ts';
import { addColumn } from './stage/schema-change.ts';
import { barrier, type LostChange } from './stage/barrier.ts';
import { proveStatics } from './stage/statics.ts';
import type { Site } from './stage/site.ts';
import type { ProvenTable, TableSet } from './stage/table-set.ts';

/** Histories that are written at the same time. */
const WRITERS = 6;
/** Between two statements of a writer: as fast as can be, so that Lockstep lags and folds much, or slowly. */
const THINK_MS = [0, 4, 25];
/** Rounds in which a column is added. */
const SCHEMA_CHANGE_SHARE = 0.5;
const STATEMENTS = { least: 15, most: 60 };
/** A row is gone from PostgreSQL at most 2 s after it is gone from Cassandra, which counts in whole seconds. */
const AFTER_EXPIRY_MS = 3_000;
/**
 * CQL does not show when a row marker expires, so a row that nothing else keeps is looked at when it has been there for 1, 2,
 * 4 … s: it may be there for as long again as its TTL was. Longest of the short ones, and the time a look may take.
 */
const MARKER_GONE_AFTER_MS = 12_000 + AFTER_EXPIRY_MS;
/** How long a difference may last while values come and go, before it counts. */
const SETTLE_LIMIT_MS = 10_000;
const SETTLE_EVERY_MS = 1_000;
const SETTLED_LIMIT_MS = 6_000;
const STANDS_AFTER_MS = 3_500;

export interface RoundOptions {
  readonly site: Site;
  readonly set: TableSet;
  readonly times: ReadonlyMap<ProvenTable, WriteTimes>;
  readonly random: Random;
  /** Part of the partition keys that this round writes to. */
  readonly share: readonly [number, number];
  readonly repertoire: Repertoire;
  readonly writeMs: number;
  readonly faults: ReadonlySet<FaultKind> | null;
  readonly counts: FaultCounts;
  readonly beforeComparing?: ((where: { readonly site: Site; readonly set: TableSet }) => Promise<void>) | undefined;
  readonly signal: AbortSignal;
  readonly tell: (text: string) => void;
}

export interface RoundResult {
  readonly histories: number;
  readonly schemaChanges: number;
  readonly rowsCompared: number;
  readonly valuesCompared: number;
  readonly lost: readonly LostChange[];
  /** Times that the agents stood still and were started again. */
  readonly agentStalls: number;
  readonly differences: readonly { readonly table: ProvenTable; readonly difference: Difference }[];
  readonly failedChecks: readonly Check[];
  /** What was found wrong about static columns. */
  readonly statics: readonly string[];
  readonly deadLetters: readonly string[];
  readonly inconclusive: string | null;
  readonly stuck: string | null;
}

async function writeHistories(options: RoundOptions, until: AbortSignal): Promise<number> {
  const { set, times, random, repertoire, share } = options;
  const thinkMs = random.pick(THINK_MS);
  const stopped = (): boolean => until.aborted;
  let histories = 0;
  const writer = async (own: Random): Promise<void> => {
    while (!stopped()) {
      const table = own.pick(set.tables);
      const clock = times.get(table);
      if (clock === undefined) throw new Error(`${table.topic} has no write times`);
      const history = new History(table.table, own, clock, repertoire, share);
      histories += 1;
      for (let left = own.between(STATEMENTS.least, STATEMENTS.most); left > 0 && !stopped(); left -= 1) {
        await set.session.write(history.next());
        if (thinkMs > 0) await pause(thinkMs);
      }
    }
  };
  await Promise.all(Array.from({ length: WRITERS }, () => writer(seededRandom(random.below(2 ** 32)))));
  return histories;
}

async function compareAll(
  { site, set }: RoundOptions,
  only: readonly ProvenTable[],
): Promise<RoundResult['differences']> {
  const client = await site.postgres.connect();
  try {
    const found: { table: ProvenTable; difference: Difference }[] = [];
    for (const table of only) {
      const { keyspace, name } = table.table;
      const target = { schema: set.names.set, table: name };
      const difference = await compareTable(site.source, client, { keyspace, table: name, target }, table.columns);
      found.push({ table, difference });
    }
    return found;
  } finally {
    client.release();
  }
}

/**
 * Compares until the sides agree, or for as long as they may differ. Values expire on either side at their own moments, so a
 * row counts as differing only where it stood so, unchanged, for a while.
 */
async function settle(options: RoundOptions, limitMs: number): Promise<RoundResult['differences']> {
  const since = new Map<string, number>();
  const ageMs = (table: ProvenTable, row: DifferingRow): number => {
    const state = `${table.topic} ${JSON.stringify(row)}`;
    const first = since.get(state) ?? performance.now();
    since.set(state, first);
    return performance.now() - first;
  };
  let all = await compareAll(options, options.set.tables);
  let standing = new Map<ProvenTable, DifferingRow[]>();
  await waitFor(
    async () => {
      const open = all.filter(({ difference }) => difference.differing.length > 0).map(({ table }) => table);
      if (open.length === 0) return true;
      const again = new Map((await compareAll(options, open)).map((each) => [each.table, each]));
      all = all.map((each) => again.get(each.table) ?? each);
      standing = new Map(
        all.map(({ table, difference }) => [
          table,
          difference.differing.filter((row) => ageMs(table, row) >= STANDS_AFTER_MS),
        ]),
      );
      return all.every(({ difference }) => difference.differing.length === 0);
    },
    { limitMs, everyMs: SETTLE_EVERY_MS, signal: options.signal },
  );
  return all.map(({ table, difference }) => ({
    table,
    difference: { ...difference, differing: standing.get(table) ?? [] },
  }));
}

/** A row without a value that Cassandra has no more: only a marker keeps it, whose TTL CQL does not show. */
function isKeptByMarker({ table, columns }: ProvenTable, { source, target }: DifferingRow): boolean {
  if (!table.usesTtl || source !== null || target === null) return false;
  const keys = columns.filter(({ isKey }) => isKey).length;
  return target.slice(keys).every((value) => value === null);
}

/** The differences without rows that may still go by themselves. */
function withoutMarkerRows(differences: RoundResult['differences']): RoundResult['differences'] {
  return differences.map(({ table, difference }) => {
    const differing = difference.differing.filter((row) => !isKeptByMarker(table, row));
    return { table, difference: { ...difference, differing } };
  });
}

async function untilMs({ signal }: RoundOptions, ms: number): Promise<void> {
  await waitFor(() => Date.now() >= ms, { limitMs: Math.max(0, ms - Date.now()), everyMs: 200, signal });
}

async function deadLetters({ site, set }: RoundOptions): Promise<string[]> {
  const { rows } = await site.postgres.query<{ code: string; place: string; reason: string }>(
    `SELECT code, topic || '/' || partition || '@' || "offset" AS place, reason FROM "${set.names.set}"._cdc_dead_letters
     WHERE status IN ('pending', 'waiting') ORDER BY id LIMIT 20`,
  );
  return rows.map(({ code, place, reason }) => `${place}: ${code}: ${reason}`);
}

async function ledgerChecks({ site, set }: RoundOptions): Promise<Check[]> {
  const client = await site.postgres.connect();
  try {
    const segments = await readLedger(client, set.names.set, set.events.topics);
    return checkLedger(set.events.account, segments).checks.filter(({ ok }) => !ok);
  } finally {
    client.release();
  }
}

const sum = (all: RoundResult['differences'], of: (difference: Difference) => number): number =>
  all.reduce((total, { difference }) => total + of(difference), 0);

/** Runs a round. */
export async function runRound(options: RoundOptions): Promise<RoundResult> {
  const { site, set, signal, tell } = options;
  const over = new AbortController();
  const until = AbortSignal.any([signal, over.signal]);
  const faults =
    options.faults?.size === 0
      ? Promise.resolve()
      : injectFaults(
          {
            site,
            set,
            random: seededRandom(options.random.below(2 ** 32)),
            counts: options.counts,
            signal: until,
            tell,
          },
          { least: 300, most: 2_500 },
          options.faults,
        );
  const change =
    options.repertoire.semantics.has('schema-change') && options.random.chance(SCHEMA_CHANGE_SHARE)
      ? addColumn(site, set, seededRandom(options.random.below(2 ** 32)), options.repertoire, until)
      : Promise.resolve(null);
  const timer = pause(options.writeMs, until).finally(() => {
    over.abort();
  });
  let histories: number;
  let schemaChanged: string | null;
  try {
    [histories] = await Promise.all([writeHistories(options, until), timer.catch(() => undefined)]);
  } finally {
    over.abort();
    await Promise.allSettled([timer]);
    await faults;
    schemaChanged = await change;
    if (schemaChanged !== null) tell(schemaChanged);
  }
  await healAll(site);
  await set.members.revive();
  const base = {
    histories,
    schemaChanges: schemaChanged === null ? 0 : 1,
    rowsCompared: 0,
    valuesCompared: 0,
    lost: [],
    agentStalls: 0,
    differences: [],
    failedChecks: [],
    statics: [],
    deadLetters: [],
    inconclusive: null,
    stuck: null,
  };
  const reached = await barrier(site, set, signal, { restartsAgents: options.repertoire.hazards.size === 0 });
  if (reached.kind === 'inconclusive') return { ...base, inconclusive: reached.why };
  if (reached.kind === 'reached' && reached.stalled) tell('the agents stood still, and were started again');
  if (reached.kind === 'stuck') return { ...base, stuck: reached.why, deadLetters: await deadLetters(options) };

  await options.beforeComparing?.({ site, set });
  const before = await settle(options, SETTLE_LIMIT_MS);
  await untilMs(options, set.history.lastExpiryMs + AFTER_EXPIRY_MS);
  const after = await settle(options, SETTLED_LIMIT_MS);
  const differing = (all: RoundResult['differences']): number => sum(all, (each) => each.differing.length);
  let last = after;
  if (differing(after) > differing(withoutMarkerRows(after))) {
    await untilMs(options, set.history.lastExpiryMs + MARKER_GONE_AFTER_MS);
    last = await settle(options, SETTLED_LIMIT_MS);
  }
  const statics =
    options.repertoire.semantics.has('statics') && differing(before) + differing(last) === 0
      ? await proveStatics(site, set, signal)
      : [];
  return {
    ...base,
    statics,
    rowsCompared: sum(before, ({ rowsCompared }) => rowsCompared) + sum(after, ({ rowsCompared }) => rowsCompared),
    valuesCompared:
      sum(before, ({ valuesCompared }) => valuesCompared) + sum(after, ({ valuesCompared }) => valuesCompared),
    lost: reached.lost,
    agentStalls: reached.stalled ? 1 : 0,
    // What stood different before the last expiry counts, even where expiry has made the sides agree.
    differences: [
      ...[...withoutMarkerRows(before), ...withoutMarkerRows(after)].filter(
        ({ difference }) => difference.differing.length > 0,
      ),
      ...last,
    ],
    failedChecks: await ledgerChecks(options),
    deadLetters: await deadLetters(options),
  };
}
