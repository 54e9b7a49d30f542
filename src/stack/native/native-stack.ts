/**
 * The stack as processes on this machine.
 *
 * Invariants: a process is in the state file before anyone waits for it; a pid is only ever signalled together with
 * its start time; who changes the directory holds its lock.
 */
import { createHash, randomBytes } from 'node:crypto';
import { chmod, mkdir, rm, stat } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { messageOf } from '../../shared/errors.ts';
import { loopbackEndpoints } from '../endpoints.ts';
import { StackError } from '../stack-error.ts';
import {
  PART_NEEDS,
  TWO_NODE_PART_NEEDS,
  type AnyPartName,
  type PartStatus,
  type Stack,
  type StackEndpoints,
  type StackEvent,
  type StackStatus,
  type StopSignal,
  type UpOptions,
} from '../stack.ts';
import { withFileLock } from './file-lock.ts';
import { resolveJars } from './jars.ts';
import { findJava } from './java.ts';
import { logFile } from './log-file.ts';
import { Owner } from './owner.ts';
import type { StartContext } from './part.ts';
import type { NativeOptions } from './native-options.ts';
import { extraPorts, NATIVE_PARTS, partNames, PORTS_OF } from './parts.ts';
import { choosePorts, findFreePort } from './ports.ts';
import { preparePostgresBinaries } from './postgres-binaries.ts';
import { isAlive } from './process-identity.ts';
import { awaitHealthy, failure, spawnPart } from './start-part.ts';
import { readState, writeState, type NativeState } from './state-file.ts';
import { stopProcess } from './stop-process.ts';
import { findRunAs, isReachableByOthers, reachableDataDir, reachableHome } from './unprivileged.ts';

/** Longest that one command waits for another on the same directory. */
const LOCK_LIMIT_MS = 5 * 60_000;

type Report = (event: StackEvent) => void;
const silent: Report = () => undefined;

const endpointsOf = (state: NativeState): StackEndpoints => loopbackEndpoints(state.ports, state.postgresPassword);

const isAgent = (name: AnyPartName): boolean => name === 'agent' || name === 'agent2';

/** A {@link Stack} of processes; see the header. */
export class NativeStack implements Stack {
  readonly provider = 'native';
  readonly dir: string;
  readonly #options: NativeOptions;
  readonly #names: readonly AnyPartName[];
  #owner: Owner | undefined;

  constructor(dir: string, options: NativeOptions = {}) {
    this.dir = dir;
    this.#options = options;
    this.#names = partNames(options);
  }

  endpoints(): StackEndpoints {
    return endpointsOf(this.#state());
  }

  async up(options: UpOptions = {}): Promise<StackEndpoints> {
    await this.#makeDir();
    return this.#locked(options.signal, async () => {
      const report = options.onProgress ?? silent;
      const running = await this.#runningParts();
      const before = readState(this.dir)?.ports;
      const context = await this.#startContext(running, report, options.signal);
      const { kafka, cassandra } = context.state.ports;
      if (running.has('agent') && (before?.kafka !== kafka || before.cassandra !== cassandra)) {
        // It would go on looking for the one that is started now where it used to be.
        await this.#stopAgents(report);
        for (const name of this.#names.filter(isAgent)) running.delete(name);
      }
      // Detached parts are owned until all are up, so that a start that dies half-way leaves nothing behind.
      const startOwner = options.lifetime === 'detached' ? new Owner(this.dir) : this.#claim();
      const started: AnyPartName[] = [];
      try {
        await this.#startAll(context, running, startOwner, started, report, options);
      } catch (error) {
        await Promise.all(started.map((name) => this.#stop(name, 'SIGTERM', silent)));
        if (options.lifetime === 'detached') await startOwner.release();
        else await this.#releaseWhenIdle();
        throw error;
      }
      if (options.lifetime === 'detached') {
        await this.#disown(startOwner);
        await startOwner.release();
      }
      return endpointsOf(this.#state());
    });
  }

  async down(options: { readonly onProgress?: Report } = {}): Promise<void> {
    if (!readState(this.dir)) return;
    await this.#locked(undefined, async () => {
      const report = options.onProgress ?? silent;
      // The agents first: they finish what they have read while Kafka still takes it.
      await this.#stopAgents(report);
      await Promise.all(
        this.#names.filter((name) => !isAgent(name)).map((name) => this.#stop(name, 'SIGTERM', report)),
      );
    });
    await this.#releaseWhenIdle();
  }

  async status(): Promise<StackStatus> {
    const state = readState(this.dir);
    const rows = await Promise.all(
      this.#names.map(async (name) => [name, await this.#partStatus(name, state)] as const),
    );
    const parts = Object.fromEntries(rows) as Record<AnyPartName, PartStatus>;
    return {
      provider: 'native',
      dir: this.dir,
      healthy: rows.every(([, row]) => row.state === 'running' && row.healthy),
      running: rows.some(([, row]) => row.state === 'running'),
      parts,
      endpoints: state ? endpointsOf(state) : null,
    };
  }

  async stopPart(part: AnyPartName, signal: StopSignal = 'SIGTERM'): Promise<void> {
    this.#state();
    await this.#locked(undefined, () => this.#stop(part, signal, silent));
  }

  async startPart(part: AnyPartName): Promise<void> {
    // Throws where there is no stack yet.
    this.#state();
    await this.#locked(undefined, async () => {
      const running = await this.#runningParts();
      if (running.has(part)) return;
      // A part started alone lives as its fellows do: with this process if it owns them, else on.
      const fellows = Object.values(this.#state().parts);
      const owner = this.#owner ?? (fellows.some((fellow) => fellow.owner === null) ? undefined : this.#claim());
      // All ports stay: clients have them. One that a stranger took meanwhile is in the part's log.
      const context = await this.#startContext(new Set(this.#names), silent, undefined);
      try {
        await this.#start(part, context, owner, silent, undefined);
      } catch (error) {
        await this.#stop(part, 'SIGTERM', silent);
        throw error;
      }
    });
  }

  async destroy(): Promise<void> {
    const state = readState(this.dir);
    await this.down();
    if (state && state.postgresDataDir !== join(this.dir, 'postgres', 'data')) {
      // Up to the folder that is this stack's alone.
      await rm(dirname(dirname(state.postgresDataDir)), { recursive: true, force: true });
    }
    await rm(this.dir, { recursive: true, force: true });
  }

  #state(): NativeState {
    const state = readState(this.dir);
    if (state) return state;
    throw new StackError(
      'STACK_NOT_UP',
      `No stack has been up in ${this.dir}.`,
      `Start it: lockstep stack up --dir ${this.dir}`,
    );
  }

  #locked<T>(signal: AbortSignal | undefined, work: () => Promise<T>): Promise<T> {
    return withFileLock(join(this.dir, 'lock'), { limitMs: LOCK_LIMIT_MS, signal }, work);
  }

  #claim(): Owner {
    this.#owner ??= new Owner(this.dir);
    return this.#owner;
  }

  /** Ends the guardian once nothing is left for it to guard. */
  async #releaseWhenIdle(): Promise<void> {
    const owner = this.#owner;
    if (!owner) return;
    const state = readState(this.dir);
    if (state && Object.values(state.parts).some((part) => part.owner === owner.id)) return;
    this.#owner = undefined;
    await owner.release();
  }

  /** The directory must be walkable for PostgreSQL's user; what is secret in it has its own mode. */
  async #makeDir(): Promise<void> {
    await mkdir(this.dir, { recursive: true, mode: 0o755 });
    const { mode } = await stat(this.dir);
    if (process.getuid?.() === 0 && (mode & 0o001) === 0) await chmod(this.dir, mode | 0o011);
  }

  async #runningParts(): Promise<Set<AnyPartName>> {
    const state = readState(this.dir);
    const running = new Set<AnyPartName>();
    for (const name of this.#names) {
      const part = state?.parts[name];
      if (part && (await isAlive(part))) running.add(name);
    }
    return running;
  }

  /** Finds and chooses everything a start needs, and writes down what was chosen. Parts in `settled` keep their ports unseen. */
  async #startContext(
    settled: ReadonlySet<AnyPartName>,
    report: Report,
    signal: AbortSignal | undefined,
  ): Promise<StartContext> {
    const began = performance.now();
    let worked: string | undefined;
    const onWork = (what: string): void => {
      worked = what;
      report({ kind: 'preparing', what });
    };
    const java = await findJava();
    const [jars, runAs] = await Promise.all([resolveJars({ signal, onWork }), findRunAs()]);
    const postgres = await preparePostgresBinaries(runAs);
    if (worked !== undefined) report({ kind: 'prepared', what: worked, tookMs: performance.now() - began });
    const before = readState(this.dir);
    const inUse = new Set([...settled].flatMap((name) => PORTS_OF[name]));
    const state: NativeState = {
      version: 1,
      provider: 'native',
      ports: await choosePorts(before?.ports ?? {}, inUse, findFreePort, extraPorts(this.#options)),
      postgresPassword: before?.postgresPassword ?? randomBytes(18).toString('base64url'),
      postgresDataDir: before?.postgresDataDir ?? (await this.#choosePostgresDataDir(runAs !== null)),
      // A Kafka UUID: 16 bytes in base64url that do not look like an option.
      kafkaClusterId:
        before?.kafkaClusterId ?? Buffer.concat([Buffer.from([0]), randomBytes(15)]).toString('base64url'),
      parts: before?.parts ?? {},
    };
    await writeState(this.dir, state);
    return { dir: this.dir, state, java, jars, postgres, runAs, options: this.#options };
  }

  async #choosePostgresDataDir(asOtherUser: boolean): Promise<string> {
    const here = join(this.dir, 'postgres', 'data');
    if (!asOtherUser || (await isReachableByOthers(this.dir))) return here;
    const stackId = createHash('sha256').update(this.dir).digest('hex').slice(0, 16);
    return join(reachableDataDir(await reachableHome(), stackId), 'data');
  }

  /** Starts what is not running, each part as soon as those it needs are healthy. `started` is filled as it goes. */
  async #startAll(
    context: StartContext,
    running: ReadonlySet<AnyPartName>,
    owner: Owner,
    started: AnyPartName[],
    report: Report,
    { signal, beforeAgent }: UpOptions,
  ): Promise<void> {
    // The first failure calls off the others, so that its message is not waited for.
    const abort = new AbortController();
    let prepared: Promise<void> | undefined;
    const agentsMayStart = (): Promise<void> =>
      (prepared ??= beforeAgent?.(endpointsOf(context.state)) ?? Promise.resolve());
    const both = signal ? AbortSignal.any([signal, abort.signal]) : abort.signal;
    const starts = new Map<AnyPartName, Promise<void>>();
    const allNeeds: Readonly<Partial<Record<AnyPartName, readonly AnyPartName[]>>> =
      this.#options.nodes === 2 ? TWO_NODE_PART_NEEDS : PART_NEEDS;
    // Those that others need come first, so that there is something to wait for.
    for (const name of this.#names.toSorted((a, b) => Number(isAgent(a)) - Number(isAgent(b)))) {
      const needs = (allNeeds[name] ?? []).map((need) => starts.get(need) ?? Promise.resolve());
      const start = async (): Promise<void> => {
        await Promise.all(needs);
        both.throwIfAborted();
        if (isAgent(name)) await agentsMayStart();
        if (running.has(name)) {
          await this.#confirm(name, context, report, both);
          return;
        }
        started.push(name);
        await this.#start(name, context, owner, report, both);
      };
      starts.set(
        name,
        start().catch((error: unknown) => {
          abort.abort(error);
          throw error;
        }),
      );
    }
    const outcomes = await Promise.allSettled(starts.values());
    signal?.throwIfAborted();
    if (abort.signal.aborted) throw abort.signal.reason;
    for (const outcome of outcomes) if (outcome.status === 'rejected') throw outcome.reason;
  }

  /** A part that runs already must answer too. */
  async #confirm(name: AnyPartName, context: StartContext, report: Report, signal: AbortSignal): Promise<void> {
    const part = NATIVE_PARTS[name];
    const identity = context.state.parts[name];
    if (!identity) return;
    const began = performance.now();
    await awaitHealthy(this.dir, part, { identity, logStart: 0 }, context.state, signal);
    report({ kind: 'healthy', part: name, tookMs: performance.now() - began, reused: true });
  }

  async #start(
    name: AnyPartName,
    context: StartContext,
    owner: Owner | undefined,
    report: Report,
    signal: AbortSignal | undefined,
  ): Promise<void> {
    const part = NATIVE_PARTS[name];
    const began = performance.now();
    report({ kind: 'starting', part: name });
    try {
      await part.prepare(context).catch(async (error: unknown) => {
        throw error instanceof StackError
          ? error
          : await failure(this.dir, part, Infinity, `could not be prepared: ${messageOf(error)}`, error);
      });
      const spawned = await spawnPart(this.dir, part, part.launch(context), owner?.environment() ?? {});
      await this.#record(name, { ...spawned.identity, owner: owner?.id ?? null });
      await awaitHealthy(this.dir, part, spawned, context.state, signal);
    } catch (error) {
      // One that was called off because another failed, or the user gave up, did not fail itself.
      if (!signal?.aborted) report({ kind: 'failed', part: name, message: messageOf(error) });
      throw error;
    }
    report({ kind: 'healthy', part: name, tookMs: performance.now() - began, reused: false });
  }

  async #stopAgents(report: Report): Promise<void> {
    await Promise.all(this.#names.filter(isAgent).map((name) => this.#stop(name, 'SIGTERM', report)));
  }

  async #stop(name: AnyPartName, signal: StopSignal, report: Report): Promise<void> {
    const running = readState(this.dir)?.parts[name];
    if (!running) return;
    const part = NATIVE_PARTS[name];
    const began = performance.now();
    report({ kind: 'stopping', part: name });
    await stopProcess(running, signal === 'SIGTERM' ? part.stopSignal : signal, part.stopLimitMs);
    await this.#record(name, undefined);
    report({ kind: 'stopped', part: name, tookMs: performance.now() - began });
  }

  #writes: Promise<void> = Promise.resolve();

  /** Read-change-write of one part's entry; parts start at once, so the writes queue up. */
  #record(name: AnyPartName, entry: NativeState['parts'][AnyPartName]): Promise<void> {
    return this.#change((state) => {
      const { [name]: _gone, ...others } = state.parts;
      return { ...state, parts: entry ? { ...others, [name]: entry } : others };
    });
  }

  #change(change: (state: NativeState) => NativeState): Promise<void> {
    const write = this.#writes.then(() => writeState(this.dir, change(this.#state())));
    this.#writes = write.catch(() => undefined);
    return write;
  }

  #disown(owner: Owner): Promise<void> {
    return this.#change((state) => ({
      ...state,
      parts: Object.fromEntries(
        Object.entries(state.parts).map(([name, part]) => [
          name,
          part.owner === owner.id ? { ...part, owner: null } : part,
        ]),
      ),
    }));
  }

  async #partStatus(name: AnyPartName, state: NativeState | undefined): Promise<PartStatus> {
    const log = logFile(this.dir, name);
    const entry = state?.parts[name];
    if (!state || !entry) return { state: 'stopped', healthy: false, pid: null, endpoint: null, log };
    const part = NATIVE_PARTS[name];
    const endpoint = part.endpoint(state);
    if (!(await isAlive(entry))) return { state: 'exited', healthy: false, pid: null, endpoint, log };
    return { state: 'running', healthy: await part.isHealthy(state), pid: entry.pid, endpoint, log };
  }
}
