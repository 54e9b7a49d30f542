/**
 * One round: losses beside a live workload, the truth while nothing moves, what `lockstep reconcile run` finds while the
 * workload goes on, repair, a later pass, and undo.
 */
import { comeToRest, differingKeys, evidenceOf } from './truth.ts';
import { injectLosses, LOSS_KINDS, type Injected } from './inject.ts';
import { FIRST_LIVE, type LiveWrites } from './live-writes.ts';
import { LOSSY, type LossSite } from './site.ts';

export interface Report {
  readonly job_id: string;
  readonly verdict: 'PASS' | 'DRIFT' | 'INCONCLUSIVE';
  readonly reasons: readonly string[];
  readonly compared: number;
  readonly mismatch_count: number;
  readonly in_flight: number;
  readonly unproven: number;
  readonly repaired: Readonly<Record<string, number>>;
}

interface FoundRow {
  readonly id: string;
  readonly table: string;
  readonly key: string;
  readonly type: string;
  readonly cause: string;
  readonly columns: readonly string[];
}

export interface RoundResult {
  /** Provoked, and captured after all: there was nothing to find. */
  readonly captured: readonly string[];
  /** What was lost: it differs at rest, by readers that know nothing of what was provoked. */
  readonly injected: readonly Injected[];
  /** Rows of the live workload whose changes went with the injected losses, and that nothing has rewritten since. */
  readonly alongside: number;
  readonly found: number;
  /** Injected and not found, or found as something else. */
  readonly missed: readonly string[];
  /** Found, and equal by the demo's readers while nothing moved. */
  readonly wrong: readonly string[];
  readonly repaired: number;
  /** Live rows that moved while they were compared, as the repair told of them; repaired once the workload had stopped. */
  readonly movedMeanwhile: number;
  /** Rows that still differed, at rest, although they had stood still behind the repair or were repaired at rest. */
  readonly leftAfterRepair: readonly string[];
  readonly laterVerdict: string;
  readonly undone: number;
  /** Undone, and not as it had been before the repair. */
  readonly notRestored: readonly string[];
}

export async function reconcile(site: LossSite, ...more: readonly string[]): Promise<Report> {
  const table = `${site.keyspace}.${LOSSY}`;
  const ended = await site.lockstep('reconcile', 'run', '--table', table, '--strategy', 'CHECKSUM', '--json', ...more);
  try {
    return JSON.parse(ended.stdout) as Report;
  } catch (cause) {
    throw new Error(`reconcile run ended with ${ended.code}: ${ended.stderr}`, { cause });
  }
}

const text = (of: Pick<FoundRow, 'table' | 'key' | 'type' | 'cause' | 'columns'>): string =>
  [of.table, of.key, of.type, of.cause, ...of.columns].join(' ');

async function foundBy(site: LossSite, jobId: string): Promise<readonly FoundRow[]> {
  const { rows } = await site.postgres.query<FoundRow>(
    `SELECT f.id::text AS id, t.source AS "table", f.row_key AS key, f.type, f.cause, f.columns
     FROM _cdc_findings AS f JOIN _cdc_tables AS t ON t.id = f.table_id
     WHERE f.job_id::text = $1 AND f.status IN ('PENDING', 'AUTO_RESOLVED') ORDER BY f.id`,
    [jobId],
  );
  return rows;
}

const isLive = (key: string): boolean => Number((JSON.parse(key) as string[])[0]) >= FIRST_LIVE;

async function shownRow(site: LossSite, { table, key }: Pick<FoundRow, 'table' | 'key'>): Promise<string> {
  const [pk, ck] = (JSON.parse(key) as string[]).map(Number);
  const name = table.endsWith('#static') ? `${LOSSY}__static` : LOSSY;
  const columns = name === LOSSY ? 'v, n, home, tags' : 's';
  const { rows } = await site.postgres.query(
    `SELECT ${columns} FROM ${name} WHERE pk = ${pk}${ck === undefined ? '' : ` AND ck = ${ck}`}`,
  );
  return JSON.stringify(rows);
}

export async function lossRound(
  site: LossSite,
  live: LiveWrites,
  round: number,
  /** Rows that were undone in earlier rounds, and so differ for good. */
  accepted: Set<string>,
  tell: (text: string) => void,
): Promise<RoundResult> {
  live.start();
  const provoked = await injectLosses(site, round, tell);
  await live.stop();

  tell('the truth, while nothing moves');
  await comeToRest(site);
  const truth = new Set([...(await differingKeys(site))].filter((key) => !accepted.has(key)));
  // The connector tells of many changes twice: a second copy may come behind the deletion of the first.
  const captured = provoked.filter(({ key }) => !truth.has(key));
  const injected = provoked.filter(({ key }) => truth.has(key));
  if (captured.length > 0) tell(`captured after all: ${captured.map(text).join(', ')}`);
  for (const kind of LOSS_KINDS) {
    if (!injected.some((each) => each.kind === kind)) throw new Error(`nothing was lost: ${kind}`);
  }

  tell('comparing beside the live workload');
  const beganMs = Date.now();
  live.start();
  const report = await reconcile(site);
  const found = await foundBy(site, report.job_id);
  const expected = new Set(injected.map(text));
  const missed = [...expected].filter((each) => !found.some((row) => text(row) === each));
  for (const key of truth) {
    if (injected.some((each) => each.key === key) || found.some((row) => row.key === key)) continue;
    // A lost change of a live row is healed by the next change of all its columns.
    if (!live.touchedSince(key, beganMs)) missed.push(`a live row: ${await evidenceOf(site, key)}`);
  }
  const wrong = found.filter((row) => !truth.has(row.key) || (!isLive(row.key) && !expected.has(text(row))));

  tell('repairing beside the live workload');
  const before = new Map<string, string>();
  for (const row of found) before.set(row.id, await shownRow(site, row));
  const repairMs = Date.now();
  const repair = await reconcile(site, '--repair');
  tell(`${repair.verdict}: ${repair.reasons.join('; ')}; ${JSON.stringify(repair.repaired)}`);
  const resolved = await foundBy(site, repair.job_id);
  await live.stop();
  await comeToRest(site);
  const differing = async (): Promise<string[]> => [...(await differingKeys(site))].filter((key) => !accepted.has(key));
  const moved = (await differing()).filter((key) => live.touchedSince(key, repairMs));
  const left = new Set((await differing()).filter((key) => !moved.includes(key)));
  const told = repair.in_flight + repair.unproven + (repair.repaired['stale'] ?? 0);
  // More than it told of it has passed over.
  if (moved.length > told) for (const key of moved) left.add(key);
  const evidence = await Promise.all([...left].map((key) => evidenceOf(site, key)));
  if (moved.length > 0) {
    tell(`repairing ${moved.length} rows that had moved`);
    await reconcile(site, '--repair');
    for (const key of await differing()) evidence.push(await evidenceOf(site, key));
  }
  tell('a later pass');
  const later = await reconcile(site);

  tell('taking one repair of each kind back');
  const notRestored: string[] = [];
  const samples = new Map(
    resolved.filter(({ key }) => !isLive(key)).map((row) => [[row.table, row.type, row.cause].join(' '), row]),
  );
  for (const row of samples.values()) {
    const ended = await site.lockstep('reconcile', 'undo', row.id, '--reason', 'wanted');
    if (ended.code !== 0 || (await shownRow(site, row)) !== before.get(row.id)) {
      notRestored.push(`${text(row)} ${ended.stderr}`);
    }
    accepted.add(row.key);
  }
  return {
    captured: captured.map(text),
    injected,
    alongside: truth.size - injected.length,
    found: found.length,
    missed,
    wrong: wrong.map(text),
    repaired: repair.repaired['applied'] ?? 0,
    movedMeanwhile: moved.length,
    leftAfterRepair: evidence,
    laterVerdict: [later.verdict, ...later.reasons].join(' '),
    undone: samples.size,
    notRestored,
  };
}

export function roundPasses(result: RoundResult): boolean {
  const { missed, wrong, leftAfterRepair, notRestored, laterVerdict, repaired, injected, undone } = result;
  const nothing = [missed, wrong, leftAfterRepair, notRestored].every((list) => list.length === 0);
  return nothing && laterVerdict === 'PASS' && repaired >= injected.length && undone > 0;
}
