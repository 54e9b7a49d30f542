import CliTable from 'cli-table3';
import { Command, Option } from 'commander';
import { DEFAULT_CONFIGURATION_FILE, loadConfiguration } from '../../config/index.ts';
import { withControlTables } from '../../operate/connect/command-pool.ts';
import { windowDocument } from '../../operate/delivery/window-document.ts';
import { WindowStore, type WindowRow } from '../../target/stores/window-store.ts';
import { EXIT } from '../exit-code.ts';
import { countArgument, timeArgument } from './arguments.ts';

interface WindowsOptions {
  readonly config?: string;
  readonly table?: string;
  readonly from?: number;
  readonly to?: number;
  readonly verdict?: WindowRow['verdict'];
  readonly limit: number;
  readonly json?: true;
}

const DEFAULT_LIMIT = 100;

function print(rows: readonly WindowRow[]): void {
  const table = new CliTable({
    head: [
      'table',
      'window (UTC)',
      'verdict',
      'changelog',
      'processed',
      'filtered',
      'dead',
      'missing',
      'late',
      'replayed',
    ],
    style: { head: [], border: [] },
  });
  for (const row of rows) {
    table.push([
      row.table,
      `${new Date(row.startMs).toISOString().slice(0, 19)} +${(row.endMs - row.startMs) / 1000}s`,
      row.verdict,
      row.changelog,
      row.processed,
      row.filtered,
      row.deadLettered,
      row.missing,
      row.late,
      row.replayed,
    ]);
  }
  process.stdout.write(`${table.toString()}\n`);
  for (const { table: name, startMs, reason } of rows) {
    if (reason !== null) process.stdout.write(`${name} ${new Date(startMs).toISOString()}: ${reason}\n`);
  }
}

async function run(options: WindowsOptions): Promise<void> {
  const configuration = loadConfiguration({ path: options.config, env: process.env });
  await withControlTables(configuration, async (pool, controlSchema) => {
    const rows = await new WindowStore(pool, controlSchema).list({
      ...(options.table === undefined ? {} : { table: options.table }),
      ...(options.from === undefined ? {} : { fromMs: options.from }),
      ...(options.to === undefined ? {} : { toMs: options.to }),
      ...(options.verdict === undefined ? {} : { verdict: options.verdict }),
      limit: options.limit,
      offset: 0,
    });
    if (options.json === true) process.stdout.write(`${JSON.stringify({ windows: rows.map(windowDocument) })}\n`);
    else print(rows);
    if (rows.some(({ verdict }) => verdict === 'DRIFT')) process.exitCode = EXIT.no;
  });
}

/** `lockstep reconcile windows`: the delivery windows and their accounts. Exit 1 where one of them is drift. */
export function reconcileWindowsCommand(): Command {
  return new Command('windows')
    .description('delivery windows: does the ledger hold every change of the changelog?')
    .option('-c, --config <file>', `configuration file (default ${DEFAULT_CONFIGURATION_FILE})`)
    .option('--table <keyspace.table>', 'only windows of this table')
    .addOption(new Option('--from <time>', 'windows that end after this time').argParser(timeArgument))
    .addOption(new Option('--to <time>', 'windows that begin before this time').argParser(timeArgument))
    .addOption(new Option('--verdict <verdict>', 'only these').choices(['PASS', 'DRIFT', 'INCONCLUSIVE']))
    .addOption(new Option('--limit <n>', 'newest windows at most').argParser(countArgument).default(DEFAULT_LIMIT))
    .option('--json', 'print one JSON document')
    .action(run);
}
