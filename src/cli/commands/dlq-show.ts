import { styleText } from 'node:util';
import { Command, Option } from 'commander';
import { DEFAULT_CONFIGURATION_FILE } from '../../config/index.ts';
import type { IndexedLetter, LetterAttempt } from '../../deadletter/letter-index.ts';
import type { Payload } from '../../operate/redrive/payload.ts';
import { LockstepError } from '../../shared/errors.ts';
import { EXIT } from '../exit-code.ts';
import { printJson, second, withLetters, type DlqContext } from './dlq-context.ts';
import { idArgument } from './letter-options.ts';

interface ShowOptions {
  readonly config?: string;
  readonly json?: true;
  readonly unmask?: true;
}

const READ_LIMIT_MS = 60_000;
const NAME_CHARS = 15;

/** The payload, the lines of its cause pointed at and, on a terminal, in colour. */
export function payloadText({ text, causeLines }: Payload): string {
  const lines = text.split('\n').map((line, i) => {
    const isCause = causeLines !== null && i >= causeLines.first && i < causeLines.first + causeLines.count;
    return isCause ? styleText(['bold', 'red'], `▶ ${line}`, { stream: process.stdout }) : `  ${line}`;
  });
  return lines.join('\n');
}

function lettersLines(letter: IndexedLetter, attempts: readonly LetterAttempt[]): readonly string[] {
  const { shard, offset, path, changeId, rowKey, status, attempts: tries } = letter;
  const facts: readonly (readonly [string, string | null])[] = [
    ['table', letter.table],
    ['record', `${shard.topic}/${shard.partition}@${offset}, ${letter.valueBytes} bytes, ${second(letter.recordMs)}`],
    ['where', path === '' ? null : path],
    ['row', rowKey],
    ['change ID', changeId],
    ['status', `${status}, ${tries === 1 ? 'tried once' : `tried ${tries} times`}`],
    ['first failed', second(letter.firstFailedMs)],
    ['last failed', second(letter.lastFailedMs)],
    ['resolved', letter.resolvedMs === null ? null : second(letter.resolvedMs)],
  ];
  return [
    `letter ${letter.id}: ${letter.code}`,
    letter.reason,
    '',
    ...facts.flatMap(([name, value]) => (value === null ? [] : [`${name.padEnd(NAME_CHARS)}${value}`])),
    ...attempts.map(
      ({ atMs, outcome, code, jobId }, i) =>
        `${(i === 0 ? 'history' : '').padEnd(NAME_CHARS)}${second(atMs)} ${outcome}${code === null ? '' : ` ${code}`}, ${jobId === null ? 'by itself' : `job ${jobId}`}`,
    ),
  ];
}

async function show(id: bigint, options: ShowOptions, context: DlqContext): Promise<void> {
  const { index, configuration, masking } = context;
  const [letter] = await index.page({ id }, 0n, 1);
  if (letter === undefined) {
    throw new LockstepError(`there is no dead letter ${id}`, {
      code: 'LETTER_UNKNOWN',
      kind: 'usage',
      remedy: 'lockstep dlq list shows their numbers',
    });
  }
  const { kafkaClientOf } = await import('../../operate/connect/kafka-client.ts');
  const { createLogger } = await import('../../operate/telemetry/logger.ts');
  const { reachKafka } = await import('../../operate/connect/reach.ts');
  const { LetterBytes } = await import('../../consume/letter-bytes.ts');
  const { payloadOf } = await import('../../operate/redrive/payload.ts');
  const { attemptDocument, letterDocument } = await import('../../operate/redrive/letter-document.ts');
  await reachKafka(configuration.kafka);
  const kafka = kafkaClientOf(configuration.kafka, createLogger({ level: 'silent' }));
  const bytes = new LetterBytes(kafka, configuration.deadLetter.topic);
  const record = (await bytes.read([letter], AbortSignal.timeout(READ_LIMIT_MS))).get(letter.id) ?? null;
  const { columns } = masking.of(letter.table);
  const payload = record === null ? null : payloadOf(record.value, letter.path, columns);
  const attempts = (await index.attempts(letter.id)).map((attempt) => ({
    ...attempt,
    reason: masking.reason(letter.table, attempt.code, attempt.reason),
  }));
  const shown = masking.letter(letter);
  if (options.json === true) {
    printJson({
      ...letterDocument(shown),
      key: record?.key == null ? null : payloadOf(record.key, '', columns).text,
      payload: payload?.text ?? null,
      payload_encoding: payload?.encoding ?? null,
      cause: payload?.cause ?? null,
      cause_lines: payload?.causeLines ?? null,
      history: attempts.map(attemptDocument),
    });
  } else {
    const lines = [...lettersLines(shown, attempts), ''];
    if (payload === null) lines.push('The record is gone from the DLQ topic and from its source topic.');
    else {
      lines.push(payloadText(payload));
      if (columns.size > 0)
        lines.push('', `sensitive columns are masked (${[...columns].join(', ')}); --unmask shows them`);
    }
    process.stdout.write(`${lines.join('\n')}\n`);
  }
  if (payload === null) process.exitCode = EXIT.no;
}

/** `lockstep dlq show`: one dead letter, its record and what was tried. Exit 1 where the record is gone. */
export function dlqShowCommand(): Command {
  return new Command('show')
    .description('one dead letter with its record, the cause pointed at')
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
      await withLetters(options, (context) => show(wanted, options, context));
    });
}
