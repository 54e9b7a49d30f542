import { Command, InvalidArgumentError } from 'commander';
import type { ChangeId } from '../../change/change-id.ts';
import { DEFAULT_CONFIGURATION_FILE, loadConfiguration } from '../../config/index.ts';
import type { LedgerHit } from '../../target/stores/ledger-search.ts';
import { EXIT } from '../exit-code.ts';

function idArgument(text: string): ChangeId {
  const id = text.replaceAll('-', '').toLowerCase();
  if (!/^[0-9a-f]{32}$/.test(id)) throw new InvalidArgumentError('expected a change ID: 32 hexadecimal digits');
  return id;
}

/** Milliseconds of write time that an ID begins with. */
function writtenAt(id: ChangeId): string | null {
  const ms = Number.parseInt(id.slice(0, 12), 16);
  return ms > 8.64e15 ? null : new Date(ms).toISOString();
}

function hitDocument(hit: LedgerHit): Record<string, unknown> {
  return {
    table: hit.table,
    outcome: hit.outcome,
    origin: hit.origin,
    processed_at: new Date(hit.processedMs).toISOString(),
    topic: hit.topic,
    incarnation: hit.incarnation,
    partition: hit.partition,
    from_offset: String(hit.from),
    next_offset: String(hit.next),
  };
}

async function find(id: ChangeId, options: { readonly config?: string; readonly json?: true }): Promise<void> {
  const configuration = loadConfiguration({ path: options.config, env: process.env });
  const { withControlTables } = await import('../../operate/connect/command-pool.ts');
  const { findInLedger } = await import('../../target/stores/ledger-search.ts');
  await withControlTables(configuration, async (pool, controlSchema) => {
    const hits = await findInLedger(pool, controlSchema, id);
    if (options.json === true) {
      const document = {
        change_id: id,
        written_at: writtenAt(id),
        found: hits.length > 0,
        segments: hits.map(hitDocument),
      };
      process.stdout.write(`${JSON.stringify(document)}\n`);
    } else if (hits.length === 0) {
      process.stdout.write(
        `${id} is not in the ledger (of ${writtenAt(id) ?? 'no time'}; kept for retention.ledger)\n`,
      );
    } else {
      for (const hit of hits) {
        const batch = hit.origin === 'stream' ? ` in the batch of offsets ${hit.from} to ${hit.next - 1n}` : '';
        process.stdout.write(
          `${hit.table ?? '?'}: ${hit.outcome} at ${new Date(hit.processedMs).toISOString()} by ${hit.origin}, ${hit.topic}/${hit.partition}${batch}\n`,
        );
      }
    }
    if (hits.length === 0) process.exitCode = EXIT.no;
  });
}

/** `lockstep ledger find CHANGE_ID`: exit 1 where the ledger does not know it. */
export function ledgerCommand(): Command {
  return new Command('ledger')
    .description('the processed changes')
    .addCommand(
      new Command('find')
        .description('was a change processed, when, with what outcome?')
        .argument('<change-id>', '32 hexadecimal digits, dashes allowed', idArgument)
        .option('-c, --config <file>', `configuration file (default ${DEFAULT_CONFIGURATION_FILE})`)
        .option('--json', 'print one JSON document')
        .action(find),
    );
}
