/**
 * The stack as containers, with testcontainers.
 *
 * Not yet run against an engine (none was to be had where it was written): what is decided is in `container-plan.ts`
 * and tested; this file only drives the engine.
 *
 * Owned containers carry testcontainers' session label, so its reaper removes them when this process dies, however it
 * dies. Detached ones do not. Data is in named volumes, which outlive both and go only with `destroy`.
 */
import { randomBytes } from 'node:crypto';
import { mkdir, rm } from 'node:fs/promises';
import { getContainerRuntimeClient, getReaper, type ContainerRuntimeClient } from 'testcontainers';
import { LABEL_TESTCONTAINERS_SESSION_ID } from 'testcontainers';
import { messageOf } from '../../shared/errors.ts';
import { agentHealthUrl, loopbackEndpoints, loopbackPostgresUrl } from '../endpoints.ts';
import { choosePorts } from '../native/ports.ts';
import { pollUntil } from '../poll.ts';
import { agentAnswers, cassandraAnswers, kafkaAnswers, postgresAnswers } from '../probes.ts';
import { StackError } from '../stack-error.ts';
import {
  PART_NAMES,
  PART_NEEDS,
  type PartName,
  type PartStatus,
  type Stack,
  type StackEndpoints,
  type StackEvent,
  type StackStatus,
  type StopSignal,
  type UpOptions,
} from '../stack.ts';
import { buildAgentImage } from './agent-image.ts';
import { planContainers, type ContainerPlan } from './container-plan.ts';
import { readDockerState, stackName, writeDockerState, type DockerState } from './docker-state.ts';
import { LoopbackContainer, RunningStrategy, textOfLog } from './loopback-container.ts';

/** Longest start of a part once its image is there. */
const START_LIMIT_MS = 300_000;
const ASK_EVERY_MS = 200;
/** Cassandra drains before it ends; the others are quicker. */
const STOP_LIMIT_SECONDS = 30;
const LOG_LINES = 15;

type Report = (event: StackEvent) => void;
type Container = ReturnType<ContainerRuntimeClient['container']['getById']>;

/** Whether the engine says that there is no such thing. */
function isMissing(error: unknown): boolean {
  return (error as { statusCode?: unknown } | null)?.statusCode === 404;
}

/** A {@link Stack} of containers; see the header. */
export class DockerStack implements Stack {
  readonly provider = 'docker';
  readonly dir: string;
  readonly #name: string;

  constructor(dir: string) {
    this.dir = dir;
    this.#name = stackName(dir);
  }

  endpoints(): StackEndpoints {
    const state = this.#state();
    return loopbackEndpoints(state.ports, state.postgresPassword);
  }

  async up(options: UpOptions = {}): Promise<StackEndpoints> {
    await mkdir(this.dir, { recursive: true });
    const client = await getContainerRuntimeClient();
    const report: Report = options.onProgress ?? (() => undefined);
    const running = await this.#runningParts(client);
    const before = readDockerState(this.dir);
    const state: DockerState = {
      version: 1,
      provider: 'docker',
      // The network is one for all: the ports of running parts are settled, those of the others are looked at.
      ports: await choosePorts(before?.ports ?? {}, new Set(running)),
      postgresPassword: before?.postgresPassword ?? randomBytes(18).toString('base64url'),
    };
    await writeDockerState(this.dir, state);
    const began = performance.now();
    report({ kind: 'preparing', what: 'building the image of the capture agent' });
    const plans = await planContainers(state, await buildAgentImage(this.dir));
    report({ kind: 'prepared', what: 'building the image of the capture agent', tookMs: performance.now() - began });
    const session = options.lifetime === 'detached' ? undefined : (await getReaper(client)).sessionId;
    await this.#makeNetwork(client, session);
    await this.#startAll(client, plans, state, running, session, report, options);
    return this.endpoints();
  }

  async down(options: { readonly onProgress?: Report } = {}): Promise<void> {
    if (!readDockerState(this.dir)) return;
    const client = await getContainerRuntimeClient();
    const remove = async (part: PartName): Promise<void> => {
      const container = await this.#find(client, part);
      if (!container) return;
      const began = performance.now();
      options.onProgress?.({ kind: 'stopping', part });
      await client.container.stop(container, { timeout: STOP_LIMIT_SECONDS * 1000 });
      await container.remove({ force: true });
      options.onProgress?.({ kind: 'stopped', part, tookMs: performance.now() - began });
    };
    // The agent first: it finishes what it has read while Kafka still takes it.
    await remove('agent');
    await Promise.all(PART_NAMES.filter((name) => name !== 'agent').map(remove));
    await client.network
      .getById(this.#name)
      .remove()
      .catch((error: unknown) => {
        if (!isMissing(error)) throw error;
      });
  }

  async status(): Promise<StackStatus> {
    const state = readDockerState(this.dir);
    const client = await getContainerRuntimeClient();
    const rows = await Promise.all(
      PART_NAMES.map(async (name) => [name, await this.#partStatus(client, name, state)] as const),
    );
    return {
      provider: 'docker',
      dir: this.dir,
      healthy: rows.every(([, row]) => row.state === 'running' && row.healthy),
      running: rows.some(([, row]) => row.state === 'running'),
      parts: Object.fromEntries(rows) as Record<PartName, PartStatus>,
      endpoints: state ? this.endpoints() : null,
    };
  }

  async stopPart(part: PartName, signal: StopSignal = 'SIGTERM'): Promise<void> {
    const client = await getContainerRuntimeClient();
    const container = await this.#find(client, part);
    if (!container || !(await container.inspect()).State.Running) return;
    if (signal !== 'SIGTERM') await container.kill({ signal });
    else await client.container.stop(container, { timeout: STOP_LIMIT_SECONDS * 1000 });
  }

  async startPart(part: PartName): Promise<void> {
    const client = await getContainerRuntimeClient();
    const container = await this.#find(client, part);
    if (!container)
      throw new StackError(
        'STACK_NOT_UP',
        `The part "${part}" has no container.`,
        `Start the stack: lockstep stack up --dir ${this.dir}`,
      );
    if (!(await container.inspect()).State.Running) await client.container.start(container);
    await this.#awaitHealthy(client, part, this.#state(), undefined);
  }

  async destroy(): Promise<void> {
    await this.down();
    const { dockerode } = (await getContainerRuntimeClient()).container;
    for (const part of PART_NAMES) {
      await dockerode
        .getVolume(this.#volume(part))
        .remove()
        .catch((error: unknown) => {
          if (!isMissing(error)) throw error;
        });
    }
    await rm(this.dir, { recursive: true, force: true });
  }

  #state(): DockerState {
    const state = readDockerState(this.dir);
    if (state) return state;
    throw new StackError(
      'STACK_NOT_UP',
      `No stack has been up in ${this.dir}.`,
      `Start it: lockstep stack up --dir ${this.dir}`,
    );
  }

  #containerName(part: PartName): string {
    return `${this.#name}-${part}`;
  }

  #volume(suffix: string): string {
    return `${this.#name}-${suffix}`;
  }

  /** The part's container, running or not. */
  async #find(client: ContainerRuntimeClient, part: PartName): Promise<Container | undefined> {
    const container = client.container.getById(this.#containerName(part));
    return container.inspect().then(
      () => container,
      (error: unknown) => {
        if (isMissing(error)) return undefined;
        throw error;
      },
    );
  }

  async #runningParts(client: ContainerRuntimeClient): Promise<PartName[]> {
    const running: PartName[] = [];
    for (const part of PART_NAMES) {
      const container = await this.#find(client, part);
      if (container && (await container.inspect()).State.Running) running.push(part);
    }
    return running;
  }

  async #makeNetwork(client: ContainerRuntimeClient, session: string | undefined): Promise<void> {
    const there = await client.network
      .getById(this.#name)
      .inspect()
      .then(
        () => true,
        () => false,
      );
    if (there) return;
    await client.network.create({
      Name: this.#name,
      Driver: 'bridge',
      Labels: session === undefined ? {} : { [LABEL_TESTCONTAINERS_SESSION_ID]: session },
    });
  }

  async #startAll(
    client: ContainerRuntimeClient,
    plans: Readonly<Record<PartName, ContainerPlan>>,
    state: DockerState,
    running: readonly PartName[],
    session: string | undefined,
    report: Report,
    options: UpOptions,
  ): Promise<void> {
    const starts = new Map<PartName, Promise<void>>();
    for (const part of PART_NAMES) {
      const needs = PART_NEEDS[part].map((need) => starts.get(need) ?? Promise.resolve());
      const start = async (): Promise<void> => {
        await Promise.all(needs);
        options.signal?.throwIfAborted();
        if (part === 'agent') await options.beforeAgent?.(this.endpoints());
        const began = performance.now();
        const reused = running.includes(part);
        if (!reused) {
          report({ kind: 'starting', part });
          await this.#create(client, part, plans[part], session);
        }
        await this.#awaitHealthy(client, part, state, options.signal);
        report({ kind: 'healthy', part, tookMs: performance.now() - began, reused });
      };
      starts.set(part, start());
    }
    const outcomes = await Promise.allSettled(starts.values());
    const failed = outcomes.find((outcome) => outcome.status === 'rejected');
    if (!failed) return;
    await Promise.all(
      PART_NAMES.filter((part) => !running.includes(part)).map((part) => this.stopPart(part).catch(() => undefined)),
    );
    throw failed.reason;
  }

  async #create(
    client: ContainerRuntimeClient,
    part: PartName,
    plan: ContainerPlan,
    session: string | undefined,
  ): Promise<void> {
    // One that was stopped may have been made for other ports or another plan; its data is in the volume.
    await (await this.#find(client, part))?.remove({ force: true });
    const container = new LoopbackContainer(plan.image)
      .withName(this.#containerName(part))
      .withNetworkMode(this.#name)
      .withNetworkAliases(part)
      .withEnvironment({ ...plan.environment })
      .withBindMounts(
        Object.entries(plan.volumes).map(([suffix, target]) => ({ source: this.#volume(suffix), target })),
      )
      .withCopyContentToContainer(
        Object.entries(plan.files).map(([target, content]) => ({ target, content, mode: 0o644 })),
      )
      .withAutoCleanup(session !== undefined)
      .withWaitStrategy(new RunningStrategy())
      .publish(plan.port);
    if (plan.command.length > 0) container.withCommand([...plan.command]);
    if (plan.user !== undefined) container.withUser(plan.user);
    try {
      await container.start();
    } catch (error) {
      throw await this.#failure(client, part, `could not be started: ${messageOf(error)}`, 'STACK_PART_FAILED', error);
    }
  }

  #isHealthy(part: PartName, { ports, postgresPassword }: DockerState): Promise<boolean> {
    switch (part) {
      case 'kafka':
        return kafkaAnswers(ports.kafka);
      case 'cassandra':
        return cassandraAnswers(ports.cassandra);
      case 'postgres':
        return postgresAnswers(loopbackPostgresUrl(ports.postgres, postgresPassword));
      case 'agent':
        return agentAnswers(agentHealthUrl(ports.agent));
    }
  }

  async #awaitHealthy(
    client: ContainerRuntimeClient,
    part: PartName,
    state: DockerState,
    signal: AbortSignal | undefined,
  ): Promise<void> {
    const healthy = await pollUntil(
      async () => {
        if (await this.#isHealthy(part, state)) return true;
        const container = await this.#find(client, part);
        if (!container || !(await container.inspect()).State.Running)
          throw await this.#failure(client, part, 'ended while it was starting', 'STACK_PART_FAILED');
        return undefined;
      },
      { limitMs: START_LIMIT_MS, everyMs: ASK_EVERY_MS, signal },
    );
    if (!healthy)
      throw await this.#failure(client, part, `was not healthy after ${START_LIMIT_MS / 1000} s`, 'STACK_PART_STUCK');
  }

  async #failure(
    client: ContainerRuntimeClient,
    part: PartName,
    what: string,
    code: 'STACK_PART_FAILED' | 'STACK_PART_STUCK',
    cause?: unknown,
  ): Promise<StackError> {
    const container = await this.#find(client, part).catch(() => undefined);
    const log = await container
      ?.logs({ follow: false, stdout: true, stderr: true, tail: LOG_LINES })
      .catch(() => undefined);
    const shown = log === undefined ? 'It has no log.' : `Its last lines:\n${textOfLog(log)}`;
    return new StackError(
      code,
      `The part "${part}" ${what}. ${shown}`,
      `See: docker logs ${this.#containerName(part)}`,
      cause,
    );
  }

  async #partStatus(
    client: ContainerRuntimeClient,
    part: PartName,
    state: DockerState | undefined,
  ): Promise<PartStatus> {
    const log = `docker logs ${this.#containerName(part)}`;
    const container = state ? await this.#find(client, part) : undefined;
    if (!state || !container) return { state: 'stopped', healthy: false, pid: null, endpoint: null, log };
    const endpoint = part === 'agent' ? agentHealthUrl(state.ports.agent) : `127.0.0.1:${state.ports[part]}`;
    if (!(await container.inspect()).State.Running)
      return { state: 'exited', healthy: false, pid: null, endpoint, log };
    return { state: 'running', healthy: await this.#isHealthy(part, state), pid: null, endpoint, log };
  }
}
