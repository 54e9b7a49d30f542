/** The members of the consumer group: real `lockstep run` processes that come, go and are killed. */
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import getPort from 'get-port';
import { stringify } from 'yaml';
import { LockstepService } from '../../../src/demo/service/lockstep-service.ts';
import { sumOf } from '../../../src/demo/service/metrics-text.ts';
import type { Random } from '../../../src/demo/workload/random.ts';
import type { GeneratedTable } from '../generate/table.ts';
import type { Site } from './site.ts';

/** The least that brokers allow by default, so that the partitions of a killed member are soon taken over. */
const SESSION_TIMEOUT = '6s';
const PRODUCER_METADATA_AGE = '20s';

/** Names that one set of tables has to itself. */
export interface Names {
  /** Of the keyspace, the target schema, the control schema and the consumer group. */
  readonly set: string;
  readonly dlqTopic: string;
}

export const topicOf = (site: Site, { keyspace, name }: GeneratedTable): string =>
  `${site.endpoints.agent.topicPrefix}.${keyspace}.${name}`;

/** The lockstep.yaml of a member. */
export function configuration(
  site: Site,
  names: Names,
  tables: readonly GeneratedTable[],
  apiPort: number,
): Record<string, unknown> {
  return {
    kafka: { brokers: site.proxied.brokers, groupId: names.set, sessionTimeout: SESSION_TIMEOUT },
    source: {
      cassandra: {
        contactPoints: site.proxied.contactPoints,
        localDataCenter: site.endpoints.cassandra.localDataCenter,
        keyspace: names.set,
        consistency: site.nodes === 1 ? 'LOCAL_ONE' : 'LOCAL_QUORUM',
        agents: site.endpoints.agentHealthUrls.map((url) => ({ url })),
      },
    },
    target: { postgres: { url: site.proxied.postgresUrl, controlSchema: names.set } },
    tables: tables.map((table) => ({
      source: `${table.keyspace}.${table.name}`,
      topic: topicOf(site, table),
      target: `${names.set}.${table.name}`,
      schemaChange: 'evolve',
      ...(table.usesTtl ? { usesTtl: true } : {}),
    })),
    // Where a topic grows, the connector is started again within this time.
    apply: { producerMetadataAge: PRODUCER_METADATA_AGE },
    deadLetter: { topic: names.dlqTopic },
    reconciliation: { enabled: false },
    api: { host: '127.0.0.1', port: apiPort },
  };
}

interface Member {
  readonly name: string;
  readonly service: LockstepService;
}

/** See the header. */
export class Members {
  readonly #site: Site;
  readonly #names: Names;
  readonly #tables: readonly GeneratedTable[];
  readonly #program: string;
  #members: Member[] = [];
  #made = 0;

  constructor(site: Site, names: Names, tables: readonly GeneratedTable[], program: string) {
    this.#site = site;
    this.#names = names;
    this.#tables = tables;
    this.#program = program;
  }

  get count(): number {
    return this.#members.length;
  }

  get logFiles(): readonly string[] {
    return this.#members.map(({ name }) => this.#logFile(name));
  }

  #logFile(name: string): string {
    return join(this.#site.stack.dir, `${name}.log`);
  }

  /** Starts one more. It joins the group by itself. */
  async add(): Promise<string> {
    this.#made += 1;
    const name = `${this.#names.set}-member${this.#made}`;
    const apiPort = await getPort({ host: '127.0.0.1' });
    const configurationFile = join(this.#site.stack.dir, `${name}.yaml`);
    await writeFile(configurationFile, stringify(configuration(this.#site, this.#names, this.#tables, apiPort)), {
      mode: 0o600,
    });
    const service = new LockstepService({
      configurationFile,
      apiPort,
      logFile: this.#logFile(name),
      program: this.#program,
    });
    await service.start();
    this.#members.push({ name, service });
    return name;
  }

  /** SIGTERM: it finishes its transaction and leaves the group. */
  async remove(random: Random): Promise<string> {
    const member = random.pick(this.#members);
    this.#members = this.#members.filter((each) => each !== member);
    await member.service.stop();
    return member.name;
  }

  /** SIGKILL. The member stays one of us: {@link revive} starts it again. */
  async kill(random: Random): Promise<string> {
    const member = random.pick(this.#members);
    await member.service.crash();
    return member.name;
  }

  /** Starts those that are not running. A process that ended by itself is an error: nothing here may end it. */
  async revive(): Promise<void> {
    for (const { service } of this.#members) {
      await service.assertAlive();
      if (service.pid === null) await service.start();
    }
  }

  async assertAlive(): Promise<void> {
    for (const { service } of this.#members) await service.assertAlive();
  }

  /** Resolves once every member says that it is ready. */
  async ready(signal: AbortSignal): Promise<void> {
    for (const { service } of this.#members) await service.waitUntilReady(signal);
  }

  async stop(): Promise<void> {
    const members = this.#members;
    this.#members = [];
    await Promise.all(members.map(({ service }) => service.stop()));
  }

  /** A counter over the running members; what killed ones had counted is gone with them. */
  async sum(metric: string): Promise<number> {
    const samples = await Promise.all(this.#members.map(({ service }) => service.scrape()));
    return samples.reduce((sum, each) => sum + (each === null ? 0 : sumOf(each, metric)), 0);
  }
}
