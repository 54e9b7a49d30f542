/** Live writes with comparisons all the time, of every strategy, and nothing injected: no finding is right. */
import type { LiveWrites } from './live-writes.ts';
import type { Report } from './round.ts';
import { LOSSY, type LossSite } from './site.ts';
import { comeToRest, differingKeys } from './truth.ts';

export interface SteadyResult {
  readonly minutes: number;
  readonly runs: number;
  readonly verdicts: Readonly<Record<string, number>>;
  readonly compared: number;
  readonly findings: number;
  /** Rows that moved whenever they were looked at: why a run said INCONCLUSIVE. */
  readonly inFlight: number;
  readonly reasons: readonly string[];
  /** Rows that differ at the end, at rest, by readers of their own. */
  readonly differing: readonly string[];
  /** Of the comparison at rest. */
  readonly lastVerdict: string;
}

const STRATEGIES = [['CHECKSUM'], ['ROW_COUNT'], ['SAMPLE', '--sample-size', '100'], ['TIMESTAMP_RANGE']] as const;

const SPAN_MS = 300_000;

async function compare(site: LossSite, [strategy, ...more]: readonly string[]): Promise<Report> {
  const table = `${site.keyspace}.${LOSSY}`;
  const args = strategy === 'TIMESTAMP_RANGE' ? ['--from', new Date(Date.now() - SPAN_MS).toISOString()] : more;
  const ended = await site.lockstep(
    'reconcile',
    'run',
    '--table',
    table,
    '--strategy',
    strategy ?? 'CHECKSUM',
    '--json',
    ...args,
  );
  try {
    return JSON.parse(ended.stdout) as Report;
  } catch (cause) {
    throw new Error(`reconcile run ended with ${ended.code}: ${ended.stderr}`, { cause });
  }
}

export async function steadyRun(
  site: LossSite,
  live: LiveWrites,
  minutes: number,
  tell: (text: string) => void,
): Promise<SteadyResult> {
  const deadline = performance.now() + minutes * 60_000;
  const verdicts: Record<string, number> = {};
  const reasons = new Set<string>();
  let [runs, compared, inFlight] = [0, 0, 0];
  live.start();
  while (performance.now() < deadline) {
    const strategy = STRATEGIES[runs % STRATEGIES.length] ?? STRATEGIES[0];
    const report = await compare(site, strategy);
    runs += 1;
    compared += report.compared;
    inFlight += report.in_flight;
    verdicts[report.verdict] = (verdicts[report.verdict] ?? 0) + 1;
    for (const reason of report.reasons) reasons.add(reason);
    tell(`${strategy[0]}: ${report.verdict}, ${report.compared} compared ${report.reasons.join('; ')}`);
  }
  await live.stop();
  await comeToRest(site);
  const last = await compare(site, ['CHECKSUM']);
  const { rows } = await site.postgres.query<{ n: number }>('SELECT count(*)::int AS n FROM _cdc_findings');
  return {
    minutes,
    runs,
    verdicts,
    compared,
    findings: rows[0]?.n ?? 0,
    inFlight,
    reasons: [...reasons],
    differing: [...(await differingKeys(site))],
    lastVerdict: last.verdict,
  };
}

export function steadyPasses({ findings, compared, differing, lastVerdict, verdicts }: SteadyResult): boolean {
  const drift = verdicts['DRIFT'] ?? 0;
  return findings === 0 && drift === 0 && compared > 0 && differing.length === 0 && lastVerdict === 'PASS';
}
