import CliTable from 'cli-table3';
import { Command } from 'commander';
import type { LetterFilter } from '../../deadletter/letter-filter.ts';
import type { LetterStats } from '../../deadletter/letter-index.ts';
import type { KeepingSummary } from '../../deadletter/letter-keeping.ts';
import { messageOf } from '../../shared/errors.ts';
import { hourBars, hourSpan } from '../hour-bars.ts';
import { printJson, second, shortened, withLetters, type DlqContext } from './dlq-context.ts';
import { payloadText } from './dlq-show.ts';
import { addFilterOptions, filterOf, type FilterOptions } from './letter-options.ts';

interface StatsOptions extends FilterOptions {
  readonly samples?: true;
}

const HOUR_MS = 3_600_000;
const DAY_MS = 24 * HOUR_MS;
const READ_LIMIT_MS = 60_000;
/** Lines of a sample's payload around its cause. */
const AROUND = 2;

function statsText(stats: LetterStats): string {
  const span = hourSpan(stats.hours.map(({ hourMs }) => hourMs));
  if (span === null) return 'no dead letters\n';
  const until = new Date(span.fromMs + span.bars * span.hoursPerBar * 3_600_000).toISOString().slice(0, 13);
  const perBar = span.hoursPerBar === 1 ? 'hour' : `${span.hoursPerBar} hours`;
  const table = new CliTable({
    head: ['table', 'code', 'status', 'letters', `by ${perBar}`, 'first (UTC)', 'last (UTC)', 'sample', 'its reason'],
    style: { head: [], border: [], compact: true },
  });
  for (const group of stats.groups) {
    const hours = stats.hours.filter(({ table: name, code }) => name === group.table && code === group.code);
    table.push([
      group.table ?? '?',
      group.code,
      group.status,
      group.count,
      hourBars(span, hours),
      second(group.firstMs),
      second(group.lastMs),
      String(group.sampleId),
      shortened(group.sampleReason),
    ]);
  }
  const from = new Date(span.fromMs).toISOString().slice(0, 13);
  return `${table.toString()}\n${stats.total} letters, ${from}h to ${until}h; bars of a code are over all its states\n`;
}

function daysText(ms: number): string {
  const days = ms / DAY_MS;
  if (days >= 2) return `${Math.round(days)} days`;
  return ms >= HOUR_MS ? `${Math.round((ms / HOUR_MS) * 10) / 10} hours` : `${Math.ceil(ms / 60_000)} min`;
}

/** What the DLQ topic still has of the letters that are open. */
export function keepingText(keeping: KeepingSummary, nowMs: number): string {
  const { topic, retentionMs, gone, leaving, open, oldestOpenMs, firstLeavesMs } = keeping;
  const kept = retentionMs === null ? 'keeps records for ever' : `keeps records for ${daysText(retentionMs)}`;
  const oldest = oldestOpenMs === null ? '' : `, the oldest for ${daysText(nowMs - oldestOpenMs)}`;
  const lines = [
    `${topic} ${kept} and holds ${keeping.records}, about ${keeping.bytes} bytes; ${open} letters are open${oldest}`,
  ];
  const ids = (of: readonly bigint[], count: number): string => `${of.join(', ')}${count > of.length ? ', …' : ''}`;
  if (gone.count > 0) {
    lines.push(
      `${gone.count} of them have left the topic: ${ids(gone.ids, gone.count)}`,
      '  a redrive looks for them in their source topic; where that has passed them too, compare the rows with the source',
    );
  }
  if (leaving.count > 0 && firstLeavesMs !== null) {
    const when = firstLeavesMs <= nowMs ? 'at any moment' : `from ${second(firstLeavesMs)} on`;
    lines.push(
      `${leaving.count} of them leave the topic ${when}: ${ids(leaving.ids, leaving.count)}`,
      `  redrive them, or raise retention.ms of ${topic}`,
    );
  }
  if (gone.count + leaving.count === 0 && open > 0) lines.push('none of them leaves the topic soon');
  return `${lines.join('\n')}\n`;
}

/** Null with a word on standard error where Kafka can't be asked: everything else is told all the same. */
async function keepingFor({ index, configuration }: DlqContext, filter: LetterFilter): Promise<KeepingSummary | null> {
  const { kafkaClientOf } = await import('../../operate/connect/kafka-client.ts');
  const { createLogger } = await import('../../operate/telemetry/logger.ts');
  const { reachKafka } = await import('../../operate/connect/reach.ts');
  const { keepingSummary } = await import('../../operate/upkeep/dlq-keeping.ts');
  try {
    await reachKafka(configuration.kafka);
    const kafka = kafkaClientOf(configuration.kafka, createLogger({ level: 'silent' }));
    const { topic } = configuration.deadLetter;
    return await keepingSummary({ kafka, topic, index }, filter, Date.now(), AbortSignal.timeout(READ_LIMIT_MS));
  } catch (error) {
    process.stderr.write(`whether the records are still there is unknown: ${messageOf(error)}\n`);
    return null;
  }
}

async function samplesText({ index, configuration, masking }: DlqContext, stats: LetterStats): Promise<string> {
  const { kafkaClientOf } = await import('../../operate/connect/kafka-client.ts');
  const { createLogger } = await import('../../operate/telemetry/logger.ts');
  const { reachKafka } = await import('../../operate/connect/reach.ts');
  const { LetterBytes } = await import('../../consume/letter-bytes.ts');
  const { payloadOf } = await import('../../operate/redrive/payload.ts');
  await reachKafka(configuration.kafka);
  const kafka = kafkaClientOf(configuration.kafka, createLogger({ level: 'silent' }));
  const letters = [];
  for (const { sampleId } of stats.groups) letters.push(...(await index.page({ id: sampleId }, 0n, 1)));
  const bytes = new LetterBytes(kafka, configuration.deadLetter.topic);
  const records = await bytes.read(letters, AbortSignal.timeout(READ_LIMIT_MS));
  const texts = letters.map((letter) => {
    const head = `\n${letter.id} ${letter.table ?? '?'} ${letter.code}${letter.path === '' ? '' : ` at ${letter.path}`}`;
    const record = records.get(letter.id);
    if (record === undefined) return `${head}\n  its record is gone`;
    const payload = payloadOf(record.value, letter.path, masking.of(letter.table).columns);
    const lines = payloadText(payload).split('\n');
    const { first, count } = payload.causeLines ?? { first: 0, count: AROUND };
    const [from, to] = [Math.max(0, first - AROUND), Math.min(lines.length, first + count + AROUND)];
    const part = lines.slice(from, to).map(shortened);
    return [head, ...(from > 0 ? ['  …'] : []), ...part, ...(to < lines.length ? ['  …'] : [])].join('\n');
  });
  return `${texts.join('\n')}\n`;
}

/** `lockstep dlq stats`: how many of what, when, and whether their records are still there. */
export function dlqStatsCommand(): Command {
  return addFilterOptions(
    new Command('stats').description('dead letters by table, code and hour, and how long their records stay'),
  )
    .option('--samples', 'show a record of each kind, where its cause is')
    .action((options: StatsOptions) =>
      withLetters(options, async (context) => {
        const filter = filterOf(options);
        const found = await context.index.stats(filter);
        const stats = { ...found, groups: found.groups.map((group) => context.masking.group(group)) };
        const keeping = await keepingFor(context, filter);
        if (options.json === true) {
          const { statsDocument } = await import('../../operate/redrive/letter-document.ts');
          printJson(statsDocument(stats, keeping));
          return;
        }
        process.stdout.write(statsText(stats));
        if (keeping !== null) process.stdout.write(keepingText(keeping, Date.now()));
        if (options.samples === true) process.stdout.write(await samplesText(context, stats));
      }),
    );
}
