import { Command, Option } from 'commander';
import { Listr, type ListrTask } from 'listr2';
import {
  DEFAULT_STACK_DIR,
  openStack,
  PART_NAMES,
  PROVIDER_CHOICES,
  type AnyPartName,
  type PartName,
  type ProviderChoice,
  type Stack,
  type StackEndpoints,
  type StackEvent,
  type StackStatus,
} from '../../stack/index.ts';
import { EXIT } from '../exit-code.ts';

interface StackOptions {
  readonly provider: ProviderChoice;
  readonly dir: string;
  readonly json?: true;
}

const seconds = (ms: number): string => `${(ms / 1000).toFixed(1)} s`;

/** One event as a line for a log. */
function eventText(event: StackEvent): string {
  switch (event.kind) {
    case 'preparing':
      return event.what;
    case 'prepared':
      return `${event.what}: done in ${seconds(event.tookMs)}`;
    case 'starting':
    case 'stopping':
      return `${event.part}: ${event.kind}`;
    case 'healthy':
      return event.reused
        ? `${event.part}: healthy (was running)`
        : `${event.part}: healthy after ${seconds(event.tookMs)}`;
    case 'failed':
      // The error itself follows, with log and remedy.
      return `${event.part}: failed`;
    case 'stopped':
      return `${event.part}: stopped in ${seconds(event.tookMs)}`;
  }
}

/** Whom to tell of events, and when the work is over. */
interface Progress {
  readonly onProgress: (event: StackEvent) => void;
  readonly run: (work: () => Promise<void>) => Promise<void>;
}

/** A line per event on standard error. */
function lineProgress(): Progress {
  return {
    onProgress: (event) => {
      process.stderr.write(`${eventText(event)}\n`);
    },
    run: (work) => work(),
  };
}

/** One row of the list, until it is ended. */
interface Row {
  readonly ended: Promise<void>;
  readonly resolve: () => void;
  readonly reject: (error: Error) => void;
}

function openRow(): Row {
  let resolve: Row['resolve'] = () => undefined;
  let reject: Row['reject'] = () => undefined;
  const ended = new Promise<void>((onResolve, onReject) => {
    resolve = onResolve;
    reject = onReject;
  });
  // Ended before the list shows it: nobody waits yet, and that is fine.
  ended.catch(() => undefined);
  return { ended, resolve, reject };
}

/** A live list on a terminal: one row per part, which ends when its part is `ends`. */
function listProgress(ends: 'healthy' | 'stopped'): Progress {
  const rows = new Map<AnyPartName, Row>();
  const titles = new Map<AnyPartName, (title: string) => void>();
  for (const part of PART_NAMES) rows.set(part, openRow());
  const onProgress = (event: StackEvent): void => {
    if (!('part' in event)) {
      // Before the rows mean anything; what is being fetched goes above them.
      for (const show of titles.values()) show(event.kind === 'preparing' ? event.what : '');
      return;
    }
    titles.get(event.part)?.(eventText(event));
    if (event.kind === ends) rows.get(event.part)?.resolve();
    if (event.kind === 'failed') rows.get(event.part)?.reject(new Error('failed'));
  };
  const task = (part: PartName): ListrTask => ({
    title: part,
    task: async (_context, row) => {
      titles.set(part, (title) => {
        row.title = title === '' ? part : title.startsWith(part) ? title : `${part}: ${title}`;
      });
      await rows.get(part)?.ended;
    },
  });
  const run = async (work: () => Promise<void>): Promise<void> => {
    const list = new Listr(PART_NAMES.map(task), {
      concurrent: true,
      exitOnError: false,
      registerSignalListeners: false,
      renderer: 'default',
    });
    const shown = list.run();
    try {
      await work();
      for (const row of rows.values()) row.resolve();
    } catch (error) {
      for (const row of rows.values()) row.reject(new Error('given up'));
      throw error;
    } finally {
      await shown;
    }
  };
  return { onProgress, run };
}

/** listr2 writes to standard output, so the list is only for people, and only where both streams are a terminal. */
function progressFor(options: StackOptions, ends: 'healthy' | 'stopped'): Progress {
  const terminal = process.stdout.isTTY && process.stderr.isTTY && process.env['CI'] === undefined;
  return terminal && options.json !== true ? listProgress(ends) : lineProgress();
}

/** Endpoints as a person copies them. */
function endpointsText(endpoints: StackEndpoints): string {
  return [
    `kafka      ${endpoints.kafka.brokers.join(',')}`,
    `cassandra  ${endpoints.cassandra.contactPoints.join(',')} (data center ${endpoints.cassandra.localDataCenter})`,
    `postgres   ${endpoints.postgres.url}`,
    `agent      ${endpoints.agent.healthUrl} (topics ${endpoints.agent.topicPrefix}.<keyspace>.<table>)`,
  ].join('\n');
}

function statusText(status: StackStatus): string {
  const rows = PART_NAMES.map((name) => {
    const part = status.parts[name];
    const health = part.state !== 'running' ? '' : part.healthy ? 'healthy' : 'NOT HEALTHY';
    return `${name.padEnd(10)} ${part.state.padEnd(8)} ${health.padEnd(12)} ${(part.pid === null ? '' : `pid ${part.pid}`).padEnd(12)} ${part.endpoint ?? ''}\n${''.padEnd(11)}log: ${part.log}`;
  });
  return [
    `${status.provider} stack in ${status.dir}: ${status.healthy ? 'up' : status.running ? 'not whole' : 'not running'}`,
    ...rows,
  ].join('\n');
}

function print(options: StackOptions, document: unknown, text: string): void {
  process.stdout.write(`${options.json === true ? JSON.stringify(document) : text}\n`);
}

/** Ends the start of a stack on Ctrl-C, so that what was started so far is stopped again. */
async function untilInterrupted<T>(work: (signal: AbortSignal) => Promise<T>): Promise<T> {
  const abort = new AbortController();
  const give = (): void => {
    abort.abort(new DOMException('interrupted', 'AbortError'));
  };
  process.once('SIGINT', give).once('SIGTERM', give);
  try {
    return await work(abort.signal);
  } finally {
    process.off('SIGINT', give).off('SIGTERM', give);
  }
}

async function up(stack: Stack, options: StackOptions): Promise<void> {
  const { onProgress, run } = progressFor(options, 'healthy');
  let endpoints: StackEndpoints | undefined;
  const interrupted = await untilInterrupted(async (signal) => {
    try {
      await run(async () => {
        endpoints = await stack.up({ lifetime: 'detached', onProgress, signal });
      });
      return false;
    } catch (error) {
      if (!signal.aborted) throw error;
      return true;
    }
  });
  if (interrupted || !endpoints) {
    process.stderr.write('Interrupted; what had been started was stopped again.\n');
    if (options.json === true) print(options, { provider: stack.provider, dir: stack.dir, interrupted: true }, '');
    process.exitCode = EXIT.no;
    return;
  }
  print(options, { provider: stack.provider, dir: stack.dir, endpoints }, endpointsText(endpoints));
}

async function down(stack: Stack, options: StackOptions): Promise<void> {
  const { onProgress, run } = progressFor(options, 'stopped');
  await run(() => stack.down({ onProgress }));
  print(options, { provider: stack.provider, dir: stack.dir, running: false }, `stopped; the data is in ${stack.dir}`);
}

async function status(stack: Stack, options: StackOptions): Promise<void> {
  const found = await stack.status();
  print(options, found, statusText(found));
  if (!found.healthy) process.exitCode = EXIT.no;
}

function action(
  name: string,
  description: string,
  act: (stack: Stack, options: StackOptions) => Promise<void>,
): Command {
  return new Command(name)
    .description(description)
    .addOption(new Option('--provider <name>', 'how to run it').choices([...PROVIDER_CHOICES]).default('auto'))
    .option('--dir <dir>', 'directory with its data, logs and state', DEFAULT_STACK_DIR)
    .option('--json', 'print one JSON document')
    .action(async (options: StackOptions) => act(await openStack(options), options));
}

/** `lockstep stack`: exit 0 done, 1 not up (`status`) or not started, 2 wrong usage. */
export function stackCommand(): Command {
  return new Command('stack')
    .description('Cassandra, its capture agent, Kafka and PostgreSQL for development, on this machine')
    .addCommand(action('up', 'starts what is not running and prints the endpoints; it runs until "down"', up))
    .addCommand(action('down', 'stops everything; the data stays', down))
    .addCommand(action('status', 'shows each part; exit code 1 unless all are healthy', status));
}
