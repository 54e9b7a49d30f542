/** What goes wrong while histories are written. Each fault ends by itself; {@link healAll} ends what is still going on. */
import { redeliver } from '../../../src/demo/faults/redelivery.ts';
import { pause } from '../../../src/demo/waiting.ts';
import { weighted, type Random } from '../../../src/demo/workload/random.ts';
import type { StopSignal } from '../../../src/stack/index.ts';
import { PROXIED, restartAgents, type Site } from '../stage/site.ts';
import type { TableSet } from '../stage/table-set.ts';

/** What was done, for the report. */
export interface FaultCounts {
  kills: number;
  cuts: number;
  delays: number;
  half_opens: number;
  refusals: number;
  postgres_restarts: number;
  kafka_restarts: number;
  agent_restarts: number;
  members_added: number;
  members_removed: number;
  redelivered: number;
  partitions_added: number;
}

export const noFaults = (): FaultCounts => ({
  kills: 0,
  cuts: 0,
  delays: 0,
  half_opens: 0,
  refusals: 0,
  postgres_restarts: 0,
  kafka_restarts: 0,
  agent_restarts: 0,
  members_added: 0,
  members_removed: 0,
  redelivered: 0,
  partitions_added: 0,
});

/** How often each kind is chosen. */
const WEIGHTS = {
  kill: 6,
  cut: 5,
  delay: 3,
  'half-open': 4,
  refuse: 2,
  'restart postgres': 3,
  'restart kafka': 1,
  'restart agent': 1,
  'add member': 2,
  'remove member': 2,
  redeliver: 4,
  'grow topic': 2,
} as const;

export type FaultKind = keyof typeof WEIGHTS;
export const FAULT_KINDS = Object.keys(WEIGHTS) as FaultKind[];

const MAX_MEMBERS = 3;
/** A topic grows to this many. */
const MAX_PARTITIONS = 6;
const MAX_DELAY_MS = 400;
/** Half-open and slow connections last up to this long: beyond the 10 s after which the service's own timeouts act. */
const MAX_SPELL_MS = 12_000;
const MAX_OUTAGE_MS = 3_000;
const REDELIVERED_PER_PARTITION = 200;
const NEWEST_LEFT_OUT = 50;

/** PostgreSQL's three ways to go: fast shutdown, immediate shutdown, and a crash. */
const STOP_SIGNALS: readonly StopSignal[] = ['SIGTERM', 'SIGQUIT', 'SIGKILL'];

/** Where faults happen. */
export interface FaultContext {
  readonly site: Site;
  readonly set: TableSet;
  readonly random: Random;
  readonly counts: FaultCounts;
  readonly signal: AbortSignal;
  readonly tell: (text: string) => void;
}

/** Waits, but not beyond the round: what a fault began is healed by then anyway. */
async function lasting(ms: number, signal: AbortSignal): Promise<void> {
  await pause(ms, signal).catch((error: unknown) => {
    if (!signal.aborted) throw error;
  });
}

async function addPartition({ kafka }: Site, topic: string, count: number): Promise<void> {
  const admin = kafka.admin();
  await admin.connect();
  try {
    await admin.createPartitions({ topicPartitions: [{ topic, count }] });
  } finally {
    await admin.disconnect();
  }
}

async function inject(kind: FaultKind, context: FaultContext): Promise<void> {
  const { site, set, random, counts, signal, tell } = context;
  const name = random.pick(PROXIED);
  const proxies = site.proxies[name];
  switch (kind) {
    case 'kill':
      tell(`SIGKILL to ${await set.members.kill(random)}`);
      counts.kills += 1;
      await lasting(random.below(MAX_OUTAGE_MS), signal);
      await set.members.revive();
      return;
    case 'cut': {
      const cut = proxies.reduce((sum, proxy) => sum + proxy.cut(), 0);
      tell(`${cut} connections to ${name} cut`);
      counts.cuts += cut;
      return;
    }
    case 'delay': {
      const ms = random.between(20, MAX_DELAY_MS);
      tell(`${ms} ms of latency to ${name}`);
      counts.delays += 1;
      for (const proxy of proxies) proxy.delay(ms);
      await lasting(random.between(1_000, MAX_SPELL_MS / 2), signal);
      for (const proxy of proxies) proxy.heal();
      return;
    }
    case 'half-open':
      tell(`connections to ${name} half-open`);
      counts.half_opens += proxies.reduce((sum, { connections }) => sum + connections, 0);
      for (const proxy of proxies) proxy.hang();
      await lasting(random.between(1_000, random.chance(0.25) ? MAX_SPELL_MS : MAX_SPELL_MS / 4), signal);
      // Half of the time the peer comes back, else it has forgotten the connections.
      if (random.chance(0.5)) counts.cuts += proxies.reduce((sum, proxy) => sum + proxy.cut(), 0);
      for (const proxy of proxies) proxy.heal();
      return;
    case 'refuse': {
      const cut = proxies.reduce((sum, proxy) => sum + proxy.refuse(), 0);
      tell(`${name} refuses connections`);
      counts.cuts += cut;
      counts.refusals += 1;
      await lasting(random.between(500, MAX_OUTAGE_MS), signal);
      for (const proxy of proxies) proxy.heal();
      return;
    }
    case 'restart postgres': {
      const stop = random.pick(STOP_SIGNALS);
      tell(`PostgreSQL stopped with ${stop}`);
      counts.postgres_restarts += 1;
      await site.stack.stopPart('postgres', stop);
      await lasting(random.below(MAX_OUTAGE_MS), signal);
      await site.stack.startPart('postgres');
      return;
    }
    case 'restart kafka': {
      const stop = random.chance(0.5) ? 'SIGTERM' : 'SIGKILL';
      tell(`Kafka stopped with ${stop}`);
      counts.kafka_restarts += 1;
      await site.stack.stopPart('kafka', stop);
      await lasting(random.below(MAX_OUTAGE_MS), signal);
      await site.stack.startPart('kafka');
      return;
    }
    case 'restart agent': {
      const agent = site.nodes === 2 && random.chance(0.5) ? 'agent2' : 'agent';
      const stop = random.chance(0.5) ? 'SIGTERM' : 'SIGKILL';
      tell(`${agent} stopped with ${stop}`);
      counts.agent_restarts += 1;
      await site.stack.stopPart(agent, stop);
      await site.stack.startPart(agent);
      return;
    }
    case 'add member':
      if (set.members.count >= MAX_MEMBERS) return;
      tell(`${await set.members.add()} joins`);
      counts.members_added += 1;
      return;
    case 'remove member':
      if (set.members.count <= 1) return;
      tell(`${await set.members.remove(random)} leaves`);
      counts.members_removed += 1;
      return;
    case 'redeliver': {
      const count = await redeliver({
        kafka: site.kafka,
        producer: site.producer,
        topics: set.events.topics,
        random,
        perPartition: REDELIVERED_PER_PARTITION,
        skipNewest: random.chance(0.5) ? NEWEST_LEFT_OUT : 0,
      });
      tell(`${count} records delivered again, shuffled`);
      counts.redelivered += count;
      return;
    }
    case 'grow topic': {
      const topic = random.pick(set.events.topics);
      const partitions = (await set.events.ends()).filter((range) => range.topic === topic).length;
      if (partitions >= MAX_PARTITIONS) return;
      await addPartition(site, topic, partitions + 1);
      tell(`${topic} has ${partitions + 1} partitions`);
      counts.partitions_added += 1;
      // The connector's producer goes on as it did until it asks again: with what it is told when it starts.
      await lasting(random.below(MAX_OUTAGE_MS), signal);
      await restartAgents(site);
      return;
    }
  }
}

/** Injects faults until told to stop; each is over, or healed, when this resolves. */
export async function injectFaults(
  context: FaultContext,
  pauseMs: { readonly least: number; readonly most: number },
  kinds: ReadonlySet<FaultKind> | null,
): Promise<void> {
  const { random, signal } = context;
  const weights = Object.fromEntries(
    Object.entries(WEIGHTS).map(([kind, weight]) => [
      kind,
      kinds === null || kinds.has(kind as FaultKind) ? weight : 0,
    ]),
  ) as Record<FaultKind, number>;
  const over = (): boolean => signal.aborted;
  try {
    while (!over()) {
      await lasting(random.between(pauseMs.least, pauseMs.most), signal);
      if (!over()) await inject(weighted(random, weights), context);
    }
  } finally {
    await healAll(context.site);
  }
}

/** Everything works again: proxies pass, parts run. */
export async function healAll({ proxies, stack }: Site): Promise<void> {
  for (const name of PROXIED) for (const proxy of proxies[name]) proxy.heal();
  const { parts } = await stack.status();
  for (const name of Object.keys(parts) as (keyof typeof parts)[]) {
    if (parts[name]?.state !== 'running') await stack.startPart(name);
  }
}
