import CliTable from 'cli-table3';
import { Command, Option } from 'commander';
import { DEFAULT_CONFIGURATION_FILE, loadConfiguration, type Configuration } from '../../config/index.ts';
import type { IndexedLetter, LetterIndex, LetterStats } from '../../deadletter/letter-index.ts';
import { LockstepError } from '../../shared/errors.ts';
import { EXIT } from '../exit-code.ts';
import { countArgument } from './arguments.ts';
import { addFilterOptions, filterOf, idArgument, type FilterOptions } from './letter-options.ts';

const DEFAULT_LIMIT = 100;
const REASON_CHARS = 80;
const HISTOGRAM_CHARS = 40;

async function withIndex<T>(
  options: { readonly config?: string },
  work: (index: LetterIndex, configuration: Configuration) => Promise<T>,
): Promise<T> {
  const configuration = loadConfiguration({ path: options.config, env: process.env });
  const { withControlTables } = await import('../../operate/command-pool.ts');
  const { LetterIndex: Index } = await import('../../deadletter/letter-index.ts');
  return withControlTables(configuration, (pool, schema) => work(new Index(pool, schema), configuration));
}

function printJson(document: unknown): void {
  process.stdout.write(`${JSON.stringify(document)}\n`);
}

function shortened(text: string): string {
  return text.length <= REASON_CHARS ? text : `${text.slice(0, REASON_CHARS - 1)}…`;
}

function printLetters(letters: readonly IndexedLetter[], total: number): void {
  const table = new CliTable({
    head: ['id', 'table', 'topic/partition@offset', 'code', 'status', 'tries', 'first failed', 'reason'],
    style: { head: [], border: [] },
  });
  for (const letter of letters) {
    const { shard } = letter;
    table.push([
      String(letter.id),
      letter.table ?? '?',
      `${shard.topic}/${shard.partition}@${letter.offset}`,
      letter.code,
      letter.status,
      letter.attempts,
      new Date(letter.firstFailedMs).toISOString().slice(0, 19),
      shortened(letter.reason),
    ]);
  }
  process.stdout.write(`${table.toString()}\n${letters.length} of ${total}\n`);
}

/** `lockstep dlq list`: the newest dead letters that the filter lets through. */
export function dlqListCommand(): Command {
  return addFilterOptions(new Command('list').description('the newest dead letters'))
    .addOption(new Option('--limit <n>', 'letters at most').argParser(countArgument).default(DEFAULT_LIMIT))
    .action((options: FilterOptions & { limit: number }) =>
      withIndex(options, async (index) => {
        const filter = filterOf(options);
        const [letters, total] = [await index.newest(filter, options.limit, 0), await index.count(filter)];
        if (options.json !== true) {
          printLetters(letters, total);
          return;
        }
        const { letterDocument } = await import('../../operate/redrive/letter-document.ts');
        printJson({ records: letters.map(letterDocument), total });
      }),
    );
}

function printStats(stats: LetterStats): void {
  const groups = new CliTable({
    head: ['table', 'code', 'status', 'letters', 'first', 'last', 'sample', 'its reason'],
    style: { head: [], border: [] },
  });
  for (const group of stats.groups) {
    groups.push([
      group.table ?? '?',
      group.code,
      group.status,
      group.count,
      new Date(group.firstMs).toISOString().slice(0, 19),
      new Date(group.lastMs).toISOString().slice(0, 19),
      String(group.sampleId),
      shortened(group.sampleReason),
    ]);
  }
  const most = Math.max(1, ...stats.hours.map(({ count }) => count));
  const hours = stats.hours.map(({ hourMs, count }) => {
    const bar = '█'.repeat(Math.max(1, Math.round((count / most) * HISTOGRAM_CHARS)));
    return `${new Date(hourMs).toISOString().slice(0, 13)}h  ${bar} ${count}`;
  });
  process.stdout.write(
    `${groups.toString()}\n${hours.join('\n')}${hours.length === 0 ? '' : '\n'}${stats.total} letters\n`,
  );
}

/** `lockstep dlq stats`: how many of what, and when. */
export function dlqStatsCommand(): Command {
  return addFilterOptions(new Command('stats').description('dead letters by table, code and hour')).action(
    (options: FilterOptions) =>
      withIndex(options, async (index) => {
        const stats = await index.stats(filterOf(options));
        if (options.json !== true) {
          printStats(stats);
          return;
        }
        const { statsDocument } = await import('../../operate/redrive/letter-document.ts');
        printJson(statsDocument(stats));
      }),
  );
}

interface ShowOptions {
  readonly config?: string;
  readonly json?: true;
  readonly unmask?: true;
}

async function show(id: bigint, options: ShowOptions): Promise<void> {
  await withIndex(options, async (index, configuration) => {
    const [letter] = await index.page({ id }, 0n, 1);
    if (letter === undefined) {
      throw new LockstepError(`there is no dead letter ${id}`, {
        code: 'LETTER_UNKNOWN',
        kind: 'usage',
        remedy: 'lockstep dlq list shows their numbers',
      });
    }
    const { kafkaClientOf } = await import('../../operate/kafka-client.ts');
    const { createLogger } = await import('../../operate/logger.ts');
    const { reachKafka } = await import('../../operate/reach.ts');
    const { LetterBytes } = await import('../../consume/letter-bytes.ts');
    const { sensitiveColumnsOf } = await import('../../operate/operations.ts');
    const { payloadOf } = await import('../../operate/redrive/payload.ts');
    const { attemptDocument, letterDocument } = await import('../../operate/redrive/letter-document.ts');
    await reachKafka(configuration.kafka);
    const kafka = kafkaClientOf(configuration.kafka, createLogger({ level: 'silent' }));
    const bytes = new LetterBytes(kafka, configuration.deadLetter.topic);
    const record = (await bytes.read([letter], AbortSignal.timeout(60_000))).get(letter.id) ?? null;
    const sensitive =
      options.unmask === true ? new Set<string>() : sensitiveColumnsOf(configuration.tables, letter.table);
    const payload = record === null ? null : payloadOf(record.value, letter.path, sensitive);
    const attempts = await index.attempts(letter.id);
    if (options.json === true) {
      printJson({
        ...letterDocument(letter),
        key: record?.key?.toString('utf8') ?? null,
        payload: payload?.text ?? null,
        payload_encoding: payload?.encoding ?? null,
        cause: payload?.cause ?? null,
        history: attempts.map(attemptDocument),
      });
      return;
    }
    const lines = Object.entries(letterDocument(letter)).map(([name, value]) => `${name.padEnd(16)} ${String(value)}`);
    lines.push(
      '',
      ...attempts.map(({ atMs, outcome, code }) => `${new Date(atMs).toISOString()}  ${outcome} ${code ?? ''}`),
    );
    if (payload === null) lines.push('', 'The record is gone from the DLQ topic and from its source topic.');
    else {
      if (payload.cause !== null) lines.push('', `▶ ${letter.path} = ${payload.cause}`);
      lines.push('', payload.text);
    }
    process.stdout.write(`${lines.join('\n')}\n`);
    if (payload === null) process.exitCode = EXIT.no;
  });
}

/** `lockstep dlq show`: one dead letter, its record and what was tried. Exit 1 where the record is gone. */
export function dlqShowCommand(): Command {
  return new Command('show')
    .description('one dead letter with its record, the cause shown first')
    .argument('[id]', 'number of the letter', idArgument)
    .addOption(new Option('--id <n>', 'number of the letter').argParser(idArgument))
    .option('-c, --config <file>', `configuration file (default ${DEFAULT_CONFIGURATION_FILE})`)
    .option('--unmask', 'show the values of columns that are marked as sensitive')
    .option('--json', 'print one JSON document')
    .action(async (id: bigint | undefined, options: ShowOptions & { id?: bigint }) => {
      const wanted = id ?? options.id;
      if (wanted === undefined) {
        throw new LockstepError('which dead letter?', {
          code: 'LETTER_UNNAMED',
          kind: 'usage',
          remedy: 'lockstep dlq show N; lockstep dlq list shows their numbers',
        });
      }
      await show(wanted, options);
    });
}
