/** A whole run: table sets one after another, rounds on each, until the time is over or something is refuted. */
import { setMaxListeners } from 'node:events';
import type { Closing } from '../../src/demo/closing.ts';
import { fromPostgres } from '../../src/demo/proof/postgres-value.ts';
import { seededRandom } from '../../src/demo/workload/random.ts';
import { evidenceOf } from './audit/evidence.ts';
import { comparableKey, type DifferingRow } from './audit/image-difference.ts';
import { noFaults, type FaultKind } from './faults/fault.ts';
import type { Repertoire } from './generate/semantics.ts';
import { randomTable } from './generate/table.ts';
import { WriteTimes } from './generate/write-times.ts';
import type { RowRefutation } from './refutation.ts';
import type { ProofReport, Verdict } from './report.ts';
import { runRound, type RoundOptions, type RoundResult } from './round.ts';
import { openSite, type Site } from './stage/site.ts';
import { makeTableSet, type ProvenTable, type TableSet } from './stage/table-set.ts';

export interface ProofOptions {
  readonly seed: number;
  readonly minutes: number;
  /** End after so many rounds, even within the minutes. */
  readonly rounds?: number;
  readonly nodes: 1 | 2;
  /** Tables of a set. */
  readonly tables: number;
  readonly dir: string;
  /** The program that is proven: `dist/main.js`. */
  readonly program: string;
  readonly repertoire: Repertoire;
  readonly faults: ReadonlySet<FaultKind>;
  readonly writeMs?: number;
  /** Runs at the barrier of each round, before the sides are compared: how the proof is proven to fail. */
  readonly beforeComparing?: RoundOptions['beforeComparing'];
  readonly signal: AbortSignal;
  readonly tell: (text: string) => void;
}

const ROUNDS_PER_SET = 4;
const FIRST_MEMBERS = 2;
const WRITE_MS = 12_000;
/** Rows found to be Lockstep's fault in a round before the others are left alone: one fault mostly makes many. */
const MAX_REFUTATIONS = 12;
const MAX_EXAMPLES = 5;

/** µs, each greater than the one before: what the prover's own clients would send. */
function strictClock(): () => bigint {
  let last = 0n;
  return () => {
    const now = BigInt(Date.now()) * 1000n;
    last = now > last ? now : last + 1n;
    return last;
  };
}

/** The target row's write times and expiries as PostgreSQL prints them. */
async function bookkeepingOf(
  { postgres }: Site,
  set: TableSet,
  { table, columns }: ProvenTable,
  row: DifferingRow,
): Promise<string | null> {
  if (row.target === null) return null;
  const keys = columns.filter(({ isKey }) => isKey);
  const names = keys.map(({ name }) => `"${name}"::text AS "${name}"`).join(', ');
  const { rows } = await postgres.query<Record<string, string | null>>(
    `SELECT ${names}, _cdc_versions::text AS versions, _cdc_expiries::text AS expiries
     FROM "${set.names.set}"."${table.name}"`,
  );
  const found = rows.find(
    (each) =>
      comparableKey(
        columns,
        keys.map(({ name, type }) => fromPostgres(type, each[name] ?? null)),
      ) === row.key,
  );
  return found === undefined ? null : `versions ${found['versions']}, expiries ${found['expiries']}`;
}

async function judgeRows(site: Site, set: TableSet, round: number, result: RoundResult): Promise<RowRefutation[]> {
  const judged: RowRefutation[] = [];
  const nowUs = BigInt(Date.now()) * 1000n;
  for (const { table, difference } of result.differences) {
    for (const row of difference.differing) {
      // Every row is judged until then: one that is the connector's fault must not hide one that is not.
      if (judged.filter(({ evidence }) => evidence.fault !== 'connector').length >= MAX_REFUTATIONS) return judged;
      const evidence = await evidenceOf(site, set, table, row, nowUs);
      const bookkeeping = await bookkeepingOf(site, set, table, row);
      judged.push({ round, table, row, evidence, bookkeeping });
    }
  }
  return judged;
}

/** Runs until the minutes are over, or to the end of the first round that refutes. What is opened is closed by `closing`. */
export async function runProof(options: ProofOptions, closing: Closing): Promise<ProofReport> {
  const { seed, nodes, repertoire, signal, tell } = options;
  const began = performance.now();
  // Every wait listens for the end of the run.
  setMaxListeners(0, signal);
  const random = seededRandom(seed);
  const clockUs = strictClock();
  const faults = noFaults();
  const totals = {
    rounds: 0,
    tableSets: 0,
    histories: 0,
    schemaChanges: 0,
    statements: 0,
    refused: 0,
    records: 0,
    rows: 0,
    values: 0,
    agentStalls: 0,
  };
  const lostExamples: string[] = [];
  let lostByConnector = 0;
  let connectorRows = 0;
  const refutations: RowRefutation[] = [];
  const failures: string[] = [];
  let inconclusive: string | null = null;
  const ended = (): boolean =>
    refutations.length > 0 ||
    failures.length > 0 ||
    inconclusive !== null ||
    totals.rounds >= (options.rounds ?? Infinity) ||
    performance.now() - began >= options.minutes * 60_000;

  const site = await openSite({ dir: options.dir, nodes }, closing, signal);
  tell('the stack is up');
  while (!ended()) {
    totals.tableSets += 1;
    const ofSet = seededRandom(random.below(2 ** 32));
    const set = await makeTableSet({
      site,
      name: `prove_${totals.tableSets}`,
      tables: (keyspace) =>
        Array.from({ length: options.tables }, (_, index) => randomTable(keyspace, `t${index + 1}`, ofSet, repertoire)),
      random: ofSet,
      program: options.program,
      signal,
      clockUs,
    });
    closing.add(() => set.members.stop());
    tell(`set ${totals.tableSets}: ${set.tables.length} tables`);
    for (let member = 0; member < FIRST_MEMBERS; member += 1) await set.members.add();
    await set.members.ready(signal);
    const times = new Map(set.tables.map((each) => [each, new WriteTimes(clockUs, each.table.ties)]));
    // Counted over all rounds of a set each time.
    let lostInSet = 0;
    // A set that was made is used, however long it took to make.
    for (let round = 0; round < ROUNDS_PER_SET && (round === 0 || !ended()); round += 1) {
      const result = await runRound({
        site,
        set,
        times,
        random: seededRandom(random.below(2 ** 32)),
        share: [round / ROUNDS_PER_SET, (round + 1) / ROUNDS_PER_SET],
        repertoire,
        writeMs: options.writeMs ?? WRITE_MS,
        faults: options.faults,
        beforeComparing: options.beforeComparing,
        counts: faults,
        signal,
        tell: (text) => {
          tell(`  ${text}`);
        },
      });
      totals.rounds += 1;
      totals.histories += result.histories;
      totals.schemaChanges += result.schemaChanges;
      totals.rows += result.rowsCompared;
      totals.values += result.valuesCompared;
      totals.agentStalls += result.agentStalls;
      inconclusive = result.inconclusive;
      if (result.stuck !== null) failures.push(`not applied though captured: ${result.stuck}`);
      failures.push(
        ...result.deadLetters.map((text) => `dead letter ${text}`),
        ...result.statics,
        ...result.failedChecks.map(({ name, found }) => `not so: ${name}: ${found}`),
        ...result.differences.flatMap(({ difference }) => difference.unreadable.map((text) => `unreadable: ${text}`)),
      );
      lostInSet = result.lost.length;
      for (const { written, effect } of result.lost.slice(0, MAX_EXAMPLES - lostExamples.length)) {
        lostExamples.push(`#${written.number} ${written.statement.cql} (${effect.kind})`);
      }
      const judged = await judgeRows(site, set, totals.rounds, result);
      connectorRows += judged.filter(({ evidence }) => evidence.fault === 'connector').length;
      refutations.push(...judged.filter(({ evidence }) => evidence.fault !== 'connector'));
      tell(
        `round ${totals.rounds}: ${result.histories} histories, ${result.rowsCompared} rows compared, ` +
          `${judged.length} differ, ${result.lost.length} changes not captured`,
      );
    }
    lostByConnector += lostInSet;
    totals.statements += set.history.count;
    totals.refused += set.session.refused;
    totals.records += set.events.size;
    for (const text of set.session.refusals) tell(`refused by Cassandra: ${text}`);
    if (!ended()) await set.members.stop();
  }
  const refuted = refutations.length > 0 || failures.length > 0;
  const verdict: Verdict = refuted ? 'REFUTED' : inconclusive !== null || totals.rows === 0 ? 'INCONCLUSIVE' : 'PASS';
  return {
    verdict,
    seed,
    nodes,
    semantics: [...repertoire.semantics],
    hazards: [...repertoire.hazards],
    rounds: totals.rounds,
    tableSets: totals.tableSets,
    histories: totals.histories,
    schemaChanges: totals.schemaChanges,
    statements: totals.statements,
    refused: totals.refused,
    records: totals.records,
    rowsCompared: totals.rows,
    valuesCompared: totals.values,
    faults,
    agentStalls: totals.agentStalls,
    lostByConnector,
    lostExamples,
    connectorRows,
    refutations,
    failures,
    inconclusive,
    tookMs: performance.now() - began,
  };
}
