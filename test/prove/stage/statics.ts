/**
 * Static columns: no event tells of them, so their table is as the last scan left it. Where the rows have been judged, the
 * program's own backfill and comparison run, and the partitions are compared by plain reads of both sides.
 */
import { runForDocument } from '../../../src/demo/service/run-command.ts';
import { readSource, type PlainRow, type TableImage } from '../../../src/demo/proof/source-rows.ts';
import { readTarget } from '../../../src/demo/proof/target-rows.ts';
import type { Site } from './site.ts';
import type { ProvenTable, TableSet } from './table-set.ts';

const MAX_SHOWN = 5;

/** Partitions that show a static value; one without any is like one that is not there. */
function shown({ rows }: TableImage, keys: number): Map<string, PlainRow> {
  return new Map([...rows].filter(([, row]) => row.slice(keys).some((value) => value !== null)));
}

async function differences(site: Site, set: TableSet, { table, columns }: ProvenTable): Promise<string[]> {
  const own = columns.filter(({ kind }) => kind === 'partition_key' || kind === 'static');
  const keys = table.partitionKey.length;
  const client = await site.postgres.connect();
  try {
    const names = { schema: set.names.set, table: `${table.name}__static` };
    const target = shown(await readTarget(client, names, own), keys);
    const source = shown(await readSource(site.source, table.keyspace, table.name, own, { distinct: true }), keys);
    return [...new Set([...source.keys(), ...target.keys()])].flatMap((key) => {
      const [left, right] = [JSON.stringify(source.get(key) ?? null), JSON.stringify(target.get(key) ?? null)];
      return left === right
        ? []
        : [`static columns of ${table.keyspace}.${table.name}: source ${left}, target ${right}`];
    });
  } finally {
    client.release();
  }
}

/** What the program's comparison of the table finds; the rows are known to agree. */
async function ownVerdict(set: TableSet, { table }: ProvenTable, signal: AbortSignal): Promise<string[]> {
  const name = `${table.keyspace}.${table.name}`;
  const { configurationFile: config, logFile } = set;
  const run = (args: readonly string[]): Promise<unknown> =>
    runForDocument([...args, '--table', name, '--json', '-c', config], logFile, signal);
  const filled = (await run(['backfill'])) as { readonly state?: string };
  const report = (await run(['reconcile', 'run', '--strategy', 'CHECKSUM', '--allow-empty'])) as {
    readonly verdict?: string;
  };
  if (report.verdict !== 'DRIFT') return [];
  return [`reconcile run ${name} after its backfill (${filled.state ?? 'no state'}) says ${JSON.stringify(report)}`];
}

/** Brings static columns over and says what is not as it should be. */
export async function proveStatics(site: Site, set: TableSet, signal: AbortSignal): Promise<readonly string[]> {
  const failures: string[] = [];
  for (const each of set.tables.filter(({ table }) => table.statics.length > 0)) {
    failures.push(
      ...(await ownVerdict(set, each, signal)),
      ...(await differences(site, set, each)).slice(0, MAX_SHOWN),
    );
  }
  return failures;
}
