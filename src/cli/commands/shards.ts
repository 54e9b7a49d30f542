import CliTable from 'cli-table3';
import { Command, InvalidArgumentError, Option } from 'commander';
import { DEFAULT_CONFIGURATION_FILE, loadConfiguration, type Configuration } from '../../config/index.ts';
import { breakerDocument } from '../../operate/service/shard-view.ts';
import { LockstepError } from '../../shared/errors.ts';
import type { ShardAdmin, StoredShard } from '../../target/stores/shard-admin.ts';
import { EXIT } from '../exit-code.ts';

interface ShardOptions {
  readonly config?: string;
  readonly json?: true;
  readonly topic?: string;
}

async function withAdmin<T>(
  options: ShardOptions,
  work: (admin: ShardAdmin, configuration: Configuration) => Promise<T>,
): Promise<T> {
  const configuration = loadConfiguration({ path: options.config, env: process.env });
  const { withControlTables } = await import('../../operate/connect/command-pool.ts');
  const { ShardAdmin: Admin } = await import('../../target/stores/shard-admin.ts');
  return withControlTables(configuration, (pool, schema) => work(new Admin(pool, schema), configuration));
}

function shardDocument(shard: StoredShard): Record<string, unknown> {
  return {
    topic: shard.topic,
    partition: shard.partition,
    incarnation: shard.incarnation,
    table: shard.table,
    state: shard.state,
    next_offset: String(shard.next),
    owner: shard.owner,
    epoch: String(shard.epoch),
    growing: shard.growing,
    reason: shard.note.reason,
    state_since: shard.sinceMs === null ? null : new Date(shard.sinceMs).toISOString(),
    breaker: breakerDocument(shard.note.breaker),
    updated_at: new Date(shard.updatedMs).toISOString(),
  };
}

function printShards(shards: readonly StoredShard[]): void {
  const table = new CliTable({
    head: ['topic', 'partition', 'incarnation', 'table', 'state', 'next offset', 'owner', 'epoch', 'updated'],
    style: { head: [], border: [], compact: true },
  });
  for (const shard of shards) {
    table.push([
      shard.topic,
      shard.partition,
      shard.incarnation,
      shard.table ?? '?',
      shard.growing ? `${shard.state}, growing` : shard.state,
      String(shard.next),
      shard.owner ?? '-',
      String(shard.epoch),
      new Date(shard.updatedMs).toISOString().slice(0, 19),
    ]);
  }
  process.stdout.write(`${table.toString()}\n`);
  for (const { topic, partition, state, sinceMs, note } of shards) {
    if (note.reason === null) continue;
    const since = sinceMs === null ? '' : ` since ${new Date(sinceMs).toISOString().slice(0, 19)}`;
    process.stdout.write(`\n${topic}/${partition} is ${state}${since}: ${note.reason}\n`);
    if (note.breaker === null || note.breaker.state === 'closed') continue;
    const { state: breaker, share, records } = note.breaker;
    const tries = breaker === 'half-open' ? ': records at the position are being tried' : '';
    process.stdout.write(`  breaker ${breaker}${tries}; ${Math.round(share * 100)} % of ${records} records failed\n`);
  }
}

function withConfig(command: Command): Command {
  return command
    .option('-c, --config <file>', `configuration file (default ${DEFAULT_CONFIGURATION_FILE})`)
    .option('--json', 'print one JSON document');
}

function listCommand(): Command {
  return withConfig(new Command('list').description('positions, owners and states; exit 1 where a shard is stopped'))
    .option('--topic <topic>', 'only shards of this topic')
    .action((options: ShardOptions) =>
      withAdmin(options, async (admin) => {
        const shards = await admin.list(options.topic ?? null);
        if (options.topic !== undefined && shards.length === 0) {
          throw new LockstepError(`no shard of ${options.topic} is known`, {
            code: 'SHARD_UNKNOWN',
            kind: 'usage',
            remedy: 'lockstep shards list shows all; shards appear when lockstep run has first seen their topic',
          });
        }
        if (options.json === true) process.stdout.write(`${JSON.stringify({ shards: shards.map(shardDocument) })}\n`);
        else printShards(shards);
        if (shards.some(({ state }) => state !== 'running')) process.exitCode = EXIT.no;
      }),
    );
}

function partitionArgument(text: string): number {
  if (!/^\d{1,9}$/.test(text)) throw new InvalidArgumentError('expected the number of a partition');
  return Number(text);
}

function requiredTopic({ topic }: ShardOptions): string {
  if (topic !== undefined) return topic;
  throw new LockstepError('which topic?', {
    code: 'SHARD_UNNAMED',
    kind: 'usage',
    remedy: 'name it with --topic; lockstep shards list shows them',
  });
}

function resumeCommand(): Command {
  return withConfig(
    new Command('resume').description(
      'asks the owners of stopped shards to try again now; they do so by themselves, too',
    ),
  )
    .option('--topic <topic>', 'the topic')
    .addOption(new Option('--partition <n>', 'one partition; left out: all').argParser(partitionArgument))
    .action((options: ShardOptions & { partition?: number }) =>
      withAdmin(options, async (admin) => {
        const topic = requiredTopic(options);
        const asked = await admin.requestResume(topic, options.partition ?? null);
        if (options.json === true) process.stdout.write(`${JSON.stringify({ topic, asked })}\n`);
        else
          process.stdout.write(
            `${asked} shards of ${topic} asked to go on; lockstep shards list shows whether they do\n`,
          );
        if (asked === 0) process.exitCode = EXIT.no;
      }),
    );
}

function resetCommand(): Command {
  return withConfig(
    new Command('reset').description('accepts a topic that was deleted and created again: its records are new ones'),
  )
    .option('--topic <topic>', 'the topic')
    .option('--force', 'also where its shards are not stopped as TOPIC_RECREATED: every record left is applied again')
    .action((options: ShardOptions & { force?: true }) =>
      withAdmin(options, async (admin, configuration) => {
        const topic = requiredTopic(options);
        const { logStartsOf } = await import('../../operate/connect/log-starts.ts');
        const starts = await logStartsOf(configuration.kafka, topic);
        const incarnation = await admin.acceptRecreated(topic, starts, options.force === true);
        await admin.requestResume(topic, null);
        if (options.json === true) process.stdout.write(`${JSON.stringify({ topic, incarnation })}\n`);
        else
          process.stdout.write(`${topic} is incarnation ${incarnation} from now on; its owners go on by themselves\n`);
      }),
    );
}

/** `lockstep shards …`: where each Kafka partition is, and who works on it. */
export function shardsCommand(): Command {
  return new Command('shards')
    .description('positions and states of the Kafka partitions')
    .addCommand(listCommand())
    .addCommand(resumeCommand())
    .addCommand(resetCommand());
}
