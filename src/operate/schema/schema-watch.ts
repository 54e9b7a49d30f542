import { setTimeout as delay } from 'node:timers/promises';
import type { Finding } from '../../catalog/finding.ts';
import type { SourceTable } from '../../catalog/source-table.ts';
import type { TableMapping } from '../../catalog/table-mapping.ts';
import type { Table } from '../../catalog/table.ts';
import type { Decoder } from '../../decode/record.ts';
import type { Consumer } from '../../consume/index.ts';
import type { Clock } from '../../shared/clock.ts';
import { messageOf } from '../../shared/errors.ts';
import type { Target } from '../../target/index.ts';
import type { Logger } from '../telemetry/logger.ts';
import { judgeSchema, TABLE_RECREATED, type SchemaStop, type SchemaVerdict } from './schema-change.ts';
import type { Service } from '../service/service.ts';
import type { ResolvedTable } from './source-tables.ts';
import type { CheckedTable } from './target-check.ts';

/** What the watch is given; tests put their own source and target behind it. */
export interface SchemaWatchParts {
  readonly tables: readonly { readonly resolved: ResolvedTable; readonly mapping: TableMapping }[];
  /** Null where no source is configured: then only the target is watched. */
  readonly readKeyspace: ((keyspace: string) => Promise<readonly SourceTable[]>) | null;
  readonly checkTargets: (tables: readonly Table[]) => Promise<{ readonly tables: readonly CheckedTable[] }>;
  /** Additive DDL, for tables whose policy is `evolve`. */
  readonly extendTarget: (table: Table) => Promise<{ readonly refusals: readonly Finding[] }>;
  readonly target: Pick<Target, 'rebind' | 'identity'>;
  readonly consumer: Pick<Consumer, 'rebind' | 'block' | 'resumeTopic'>;
  readonly decoderOf: (table: Table) => Decoder;
  readonly clock: Clock;
  readonly logger: Logger;
  /** Told of each schema change and its outcome: cdc_schema_changes_total. */
  readonly onChange: (table: string, outcome: 'applied' | 'stopped') => void;
  /** Told of columns that the policy `ignore` leaves out: cdc_schema_ignored_columns. */
  readonly onIgnored: (table: string, columns: number) => void;
}

/** How often schema and target are compared although nobody asked. */
const POLL_MS = 10_000;
/** A doubt is answered at once, but not more often than this. */
const MIN_PAUSE_MS = 500;
/** Columns found to be unknown to the source; made-up names in poison records must not grow it without bound. */
const MAX_SETTLED = 1_000;

interface Watched {
  /** What is in force. `source.id`: the table that the target's rows are from, once `recognise` has asked for it. */
  resolved: ResolvedTable;
  readonly mapping: TableMapping;
  /** Columns that a reading of the source begun after the doubt did not know, and until when that is believed, ms. */
  readonly settled: Map<string, number>;
  readonly doubted: Set<string>;
  stop: SchemaStop | null;
  ignored: number;
}

/**
 * Follows schema changes while running: reads the source's schema and compares the live targets every few seconds, and
 * at once when a record carries a column that is not known. A table that changes is bound anew between two batches; one
 * that can't follow stops, with its reason, and goes on by itself when that is mended. Nothing read is lost, because its
 * shards read again from their positions.
 */
export class SchemaWatch implements Service {
  readonly id = 'watch-schema';
  readonly #parts: SchemaWatchParts;
  readonly #tables: Map<string, Watched>;
  #wake: (() => void) | null = null;

  constructor(parts: SchemaWatchParts) {
    this.#parts = parts;
    this.#tables = new Map(
      parts.tables.map(({ resolved, mapping }) => [
        resolved.table.topic,
        { resolved, mapping, settled: new Map(), doubted: new Set(), stop: null, ignored: 0 },
      ]),
    );
  }

  /** Whether records with these columns are to wait for the schema to be read again. */
  doubt(topic: string, columns: readonly string[]): boolean {
    const watched = this.#tables.get(topic);
    if (watched === undefined || !this.#follows(watched)) return false;
    const open = columns.filter((name) => (watched.settled.get(name) ?? 0) <= this.#parts.clock.nowMs());
    for (const name of open) watched.doubted.add(name);
    if (open.length > 0) this.#wake?.();
    return open.length > 0;
  }

  /**
   * To be awaited before the first record is applied: stops tables that are others than the target's rows are from, because
   * they were dropped and created again while nothing ran. Rejects where the target does not answer.
   */
  async recognise(): Promise<void> {
    for (const [topic, watched] of this.#tables) {
      const { source, table } = watched.resolved;
      if (!this.#follows(watched) || source.id === null) continue;
      const id = await this.#parts.target.identity.firstOf(table.name, source.id);
      watched.resolved = { table, source: { ...source, id } };
      const verdict = await this.#judge(watched, source);
      if (verdict.kind === 'stop' && verdict.stop.code === TABLE_RECREATED) this.#stop(topic, watched, verdict.stop);
    }
  }

  async run(signal: AbortSignal): Promise<void> {
    let failures = 0;
    // The compiler takes what a loop's condition said for settled until its end.
    const isStopped = () => signal.aborted;
    while (!isStopped()) {
      const woken = new AbortController();
      this.#wake = () => {
        woken.abort();
      };
      const asked = [...this.#tables.values()].some(({ doubted }) => doubted.size > 0);
      const any = AbortSignal.any([signal, woken.signal]);
      if (!asked) await delay(POLL_MS, undefined, { signal: any }).catch(() => undefined);
      if (isStopped()) return;
      try {
        await this.check();
        failures = 0;
      } catch (error) {
        failures += 1;
        const level = failures === 1 ? 'warn' : 'debug';
        this.#parts.logger[level]({ reason: messageOf(error) }, 'could not read the schema, trying again');
      }
      await delay(MIN_PAUSE_MS, undefined, { signal }).catch(() => undefined);
    }
  }

  /** One round over all tables. Rejects where source or target do not answer; what was done until then holds. */
  async check(): Promise<void> {
    const keyspaces = new Map<string, readonly SourceTable[]>();
    const asked = new Map([...this.#tables].map(([topic, { doubted }]) => [topic, [...doubted]]));
    for (const watched of this.#tables.values()) {
      const { keyspace } = watched.resolved.table;
      if (this.#follows(watched) && !keyspaces.has(keyspace)) {
        keyspaces.set(keyspace, (await this.#parts.readKeyspace?.(keyspace)) ?? []);
      }
    }
    for (const [topic, watched] of this.#tables) {
      await this.#settle(topic, watched, keyspaces.get(watched.resolved.table.keyspace) ?? []);
      this.#answer(topic, watched, asked.get(topic) ?? []);
    }
  }

  #follows({ mapping }: Watched): boolean {
    return this.#parts.readKeyspace !== null && mapping.schema === null;
  }

  /** Doubts that this reading has answered; shards that waited for nothing go on. */
  #answer(topic: string, watched: Watched, asked: readonly string[]): void {
    if (asked.length === 0) return;
    if (watched.settled.size > MAX_SETTLED) watched.settled.clear();
    for (const name of asked) {
      watched.settled.set(name, this.#parts.clock.nowMs() + POLL_MS);
      watched.doubted.delete(name);
    }
    if (watched.stop === null) this.#parts.consumer.resumeTopic(topic);
  }

  async #settle(topic: string, watched: Watched, present: readonly SourceTable[]): Promise<void> {
    const { resolved, mapping } = watched;
    const fresh = present.find(({ name }) => name === resolved.table.sourceTable);
    const verdict = this.#follows(watched) ? await this.#judge(watched, fresh) : { kind: 'same' as const };
    if (verdict.kind === 'stop') {
      this.#stop(topic, watched, verdict.stop);
      return;
    }
    if (verdict.kind === 'same') {
      await this.#fit(topic, watched, watched.resolved, null);
      return;
    }
    const { table, source, what, ignored } = verdict;
    if (mapping.schemaChange === 'evolve') await this.#parts.extendTarget(table);
    if (!(await this.#fit(topic, watched, { table, source }, what))) return;
    this.#parts.onChange(table.name, 'applied');
    this.#parts.logger.info({ table: table.name, what }, 'the schema changed: bound anew');
    if (ignored.length === 0) return;
    watched.ignored += ignored.length;
    this.#parts.onIgnored(table.name, watched.ignored);
    this.#parts.logger.warn(
      { table: table.name, columns: ignored },
      'new columns are left out: schemaChange is ignore',
    );
  }

  /** The verdict over a fresh reading, after a table that was created again was accepted where that is possible. */
  async #judge(watched: Watched, fresh: SourceTable | undefined): Promise<SchemaVerdict> {
    const { mapping } = watched;
    const verdict = judgeSchema(watched.resolved, fresh, mapping);
    if (verdict.kind !== 'stop' || verdict.stop.code !== TABLE_RECREATED || fresh?.id == null) return verdict;
    const { table, source } = watched.resolved;
    const { identity } = this.#parts.target;
    const goesOn = { table: table.name, formerId: source.id, id: fresh.id };
    if (mapping.schemaChange === 'ignore') {
      await identity.ignore(table.name, fresh.id);
      this.#parts.logger.warn(
        goesOn,
        'the source table was dropped and created again: schemaChange is ignore, so the rows of the former one stay',
      );
    } else if (await identity.accept(table.name, fresh.id)) {
      this.#parts.logger.info(goesOn, 'the source table was created again and its target is empty: goes on with it');
    } else {
      return verdict;
    }
    this.#parts.onChange(table.name, 'applied');
    watched.resolved = { table, source: { ...source, id: fresh.id } };
    return judgeSchema(watched.resolved, fresh, mapping);
  }

  /** Binds the table anew where it or its target changed, if the target fits; stops it where not. True where it runs. */
  async #fit(topic: string, watched: Watched, next: ResolvedTable, what: readonly string[] | null): Promise<boolean> {
    const [checked] = (await this.#parts.checkTargets([next.table])).tables;
    if (checked === undefined) return false;
    const errors = checked.findings.filter(({ severity }) => severity === 'error');
    const [first] = errors;
    if (first !== undefined) {
      const reasons = errors.map(({ message, remedy }) => `${message}: ${remedy}`).join('; ');
      const changed = what === null ? '' : `${what.join(', ')}; `;
      this.#stop(topic, watched, { code: what === null ? first.code : 'SCHEMA_CHANGED', reason: changed + reasons });
      return false;
    }
    const { table } = checked;
    if (what !== null || notNullOf(table) !== notNullOf(watched.resolved.table)) {
      await this.#parts.consumer.rebind(topic, async () => {
        await this.#parts.target.rebind(table);
        return this.#parts.decoderOf(table);
      });
      watched.resolved = { source: next.source, table };
    }
    if (watched.stop !== null) {
      this.#parts.logger.info({ table: table.name, code: watched.stop.code }, 'the table can go on');
      watched.stop = null;
      this.#parts.consumer.block(topic, null);
    }
    return true;
  }

  #stop(topic: string, watched: Watched, stop: SchemaStop): void {
    if (watched.stop?.code === stop.code && watched.stop.reason === stop.reason) return;
    const { name } = watched.resolved.table;
    this.#parts.logger.error({ table: name, ...stop }, 'the table stops, the others go on');
    this.#parts.onChange(name, 'stopped');
    watched.stop = stop;
    this.#parts.consumer.block(topic, stop);
  }
}

function notNullOf({ regular }: Table): string {
  return regular
    .filter(({ notNull }) => notNull)
    .map(({ name }) => name)
    .join();
}
