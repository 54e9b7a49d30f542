import CliTable from 'cli-table3';
import { Command, Option } from 'commander';
import type { IndexedLetter } from '../../deadletter/letter-index.ts';
import { countArgument } from './arguments.ts';
import { printJson, second, shortened, withLetters } from './dlq-context.ts';
import { addFilterOptions, filterOf, type FilterOptions } from './letter-options.ts';

const DEFAULT_LIMIT = 100;
const ROW_CHARS = 24;

function printLetters(letters: readonly IndexedLetter[], total: number): void {
  if (total === 0) {
    process.stdout.write('no dead letters\n');
    return;
  }
  const table = new CliTable({
    head: ['id', 'table', 'topic/partition@offset', 'row', 'code', 'status', 'tries', 'first failed (UTC)', 'reason'],
    style: { head: [], border: [], compact: true },
  });
  for (const letter of letters) {
    const { shard } = letter;
    table.push([
      String(letter.id),
      letter.table ?? '?',
      `${shard.topic}/${shard.partition}@${letter.offset}`,
      shortened(letter.rowKey ?? '', ROW_CHARS),
      letter.code,
      letter.status,
      letter.attempts,
      second(letter.firstFailedMs),
      shortened(letter.reason),
    ]);
  }
  const more = letters.length < total ? `; the newest ${letters.length} are shown, --limit shows more` : '';
  process.stdout.write(`${table.toString()}\n${total} letters${more}\n`);
}

/** `lockstep dlq list`: the newest dead letters that the filter lets through. */
export function dlqListCommand(): Command {
  return addFilterOptions(new Command('list').description('the newest dead letters'))
    .addOption(new Option('--limit <n>', 'letters at most').argParser(countArgument).default(DEFAULT_LIMIT))
    .action((options: FilterOptions & { limit: number }) =>
      withLetters(options, async ({ index, masking }) => {
        const filter = filterOf(options);
        const [found, total] = [await index.newest(filter, options.limit, 0), await index.count(filter)];
        const letters = found.map((letter) => masking.letter(letter));
        if (options.json !== true) {
          printLetters(letters, total);
          return;
        }
        const { letterDocument } = await import('../../operate/redrive/letter-document.ts');
        printJson({ records: letters.map(letterDocument), total });
      }),
    );
}
