/** The filters of `lockstep dlq`, as options. */
import { InvalidArgumentError, Option, type Command } from 'commander';
import { DEFAULT_CONFIGURATION_FILE } from '../../config/index.ts';
import {
  LETTER_STATUSES,
  letterFilter,
  parseSourceOffsets,
  type LetterFilter,
  type LetterStatus,
  type SourceOffsets,
} from '../../deadletter/letter-filter.ts';
import { textArgument, timeArgument } from './arguments.ts';

export interface FilterOptions {
  readonly config?: string;
  readonly json?: true;
  readonly table?: string;
  readonly reason?: string;
  readonly code?: string;
  readonly status?: LetterStatus;
  readonly from?: number;
  readonly to?: number;
  readonly sourceOffsets?: SourceOffsets;
  readonly id?: bigint;
}

export function idArgument(text: string): bigint {
  if (!/^\d{1,18}$/.test(text)) throw new InvalidArgumentError('expected the number of a dead letter');
  return BigInt(text);
}

function offsetsArgument(text: string): SourceOffsets {
  const offsets = parseSourceOffsets(text);
  if (offsets === null)
    throw new InvalidArgumentError('expected TOPIC:PARTITION:FROM-TO, such as cass1.shop.orders:0:100-200');
  return offsets;
}

export function addFilterOptions(command: Command): Command {
  return command
    .option('-c, --config <file>', `configuration file (default ${DEFAULT_CONFIGURATION_FILE})`)
    .addOption(new Option('--table <keyspace.table>', 'letters of this table').argParser(textArgument))
    .addOption(new Option('--reason <text>', 'whose reason contains this text').argParser(textArgument))
    .addOption(new Option('--code <code>', 'with this code (docs/error-codes.md)').argParser(textArgument))
    .addOption(new Option('--status <status>', 'with this status').choices(LETTER_STATUSES))
    .addOption(new Option('--from <time>', 'first failed at this time or later').argParser(timeArgument))
    .addOption(new Option('--to <time>', 'first failed before this time').argParser(timeArgument))
    .addOption(
      new Option('--source-offsets <topic:partition:from-to>', 'records of this range, both ends included').argParser(
        offsetsArgument,
      ),
    )
    .addOption(new Option('--id <n>', 'this letter').argParser(idArgument))
    .option('--json', 'print one JSON document');
}

export function filterOf(options: FilterOptions): LetterFilter {
  const { table, reason, code, status, from, to, sourceOffsets, id } = options;
  return letterFilter({ table, reason, code, status, fromMs: from, toMs: to, sourceOffsets, id });
}
