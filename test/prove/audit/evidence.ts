/** Gathers what is known of a differing row and has it judged (row-evidence.ts). */
import { isMultiCell } from '../generate/cql-type.ts';
import type { CqlValue } from '../generate/cql-value.ts';
import type { Effect, TimedEffect } from '../generate/statement.ts';
import { quotedName, tableDdl, tableName, type GeneratedTable, type KeyColumn } from '../generate/table.ts';
import type { WrittenStatement } from '../stage/history-log.ts';
import type { Site } from '../stage/site.ts';
import type { ProvenTable, TableSet } from '../stage/table-set.ts';
import type { CapturedEvent } from './captured-event.ts';
import { comparableKey, type DifferingRow } from './image-difference.ts';
import { lostEffects } from './lost-effects.ts';
import { judge, type RowEvidence } from './row-evidence.ts';

/**
 * Whether ranges cover a row: asked of Cassandra itself, in a table of the same key that is not captured and holds the row
 * alone. So the order of no type is written down here.
 */
class CoverageProbe {
  readonly #site: Site;
  readonly #table: GeneratedTable;
  readonly #mirror: string;

  private constructor(site: Site, table: GeneratedTable) {
    this.#site = site;
    this.#table = table;
    this.#mirror = `${table.name}_mirror`;
  }

  static async of(site: Site, table: GeneratedTable, key: readonly CqlValue[]): Promise<CoverageProbe> {
    const probe = new CoverageProbe(site, table);
    const exists = await site.source.execute(
      'SELECT table_name FROM system_schema.tables WHERE keyspace_name = ? AND table_name = ?',
      [table.keyspace, probe.#mirror],
      { prepare: true },
    );
    if (exists.rowLength === 0) await site.source.execute(tableDdl(table, probe.#mirror, false));
    const name = tableName({ keyspace: table.keyspace, name: probe.#mirror });
    await site.source.execute(`TRUNCATE ${name}`);
    const columns = [...table.partitionKey, ...table.clustering].map((column) => quotedName(column.name)).join(', ');
    await site.source.execute(
      `INSERT INTO ${name} (${columns}) VALUES (${key.map(({ literal }) => literal).join(', ')})`,
    );
    return probe;
  }

  async covers(where: string): Promise<boolean> {
    const name = tableName({ keyspace: this.#table.keyspace, name: this.#mirror });
    const { rowLength } = await this.#site.source.execute(`SELECT * FROM ${name} WHERE ${where} ALLOW FILTERING`);
    return rowLength > 0;
  }
}

/** The literal of a key value that is known in its plain form. */
function literalOf(columns: ProvenTable['columns'], keys: readonly KeyColumn[], plains: readonly string[]): CqlValue[] {
  return keys.map((column, index) => {
    const found = column.pool.find(({ plain }) => {
      const wanted = plains.map((value, at) => (at === index ? plain : value));
      return comparableKey(columns, wanted) === comparableKey(columns, plains);
    });
    if (found === undefined) throw new Error(`${column.name}: ${plains[index] ?? ''} was never written`);
    return found;
  });
}

/** The evidence about one row. */
export async function evidenceOf(
  site: Site,
  set: TableSet,
  proven: ProvenTable,
  row: DifferingRow,
  nowUs: bigint,
): Promise<RowEvidence> {
  const { table, columns, topic } = proven;
  const plains = JSON.parse(row.key) as string[];
  const partition = JSON.stringify(plains.slice(0, table.partitionKey.length));
  const literals = literalOf(columns, [...table.partitionKey, ...table.clustering], plains);
  const probe = await CoverageProbe.of(site, table, literals);
  const sameRow = (key: string): boolean => comparableKey(columns, JSON.parse(key) as string[]) === row.key;

  const touches = async (effect: Effect): Promise<boolean> => {
    switch (effect.kind) {
      case 'write':
      case 'row-delete':
        return sameRow(effect.row);
      case 'partition-delete':
        return effect.partition === partition;
      case 'range-delete':
        return effect.partition === partition && (await probe.covers(effect.where));
    }
  };
  const log = set.events.of(topic);
  const lost = lostEffects(log, set.history.of(table));
  const statements: WrittenStatement[] = [];
  const missing: WrittenStatement[] = [];
  const rangeTimes = new Set<bigint>();
  for (const written of set.history.of(table)) {
    const touching: TimedEffect[] = [];
    for (const effect of written.statement.effects) if (await touches(effect)) touching.push(effect);
    if (touching.length === 0) continue;
    statements.push(written);
    if (touching.some((effect) => lost.has(effect))) missing.push(written);
    // A range's event is known by its time: what its bounds cover, Cassandra has said.
    for (const { kind, timeUs } of touching) if (kind === 'range-delete' && timeUs !== null) rangeTimes.add(timeUs);
  }
  const events = log.events.filter((event) => {
    if (event.row !== null) return sameRow(event.row);
    if (event.partition !== partition) return false;
    return event.kind === 'partition-delete' || rangeTimes.has(event.timeUs);
  });
  return judge({
    columns,
    multiCell: new Set(table.regular.filter(({ type }) => isMultiCell(type)).map(({ name }) => name)),
    usesTtl: table.usesTtl,
    row,
    statements,
    events: withoutRepeats(events),
    missing,
    nowUs,
  });
}

/** Events as they came, each once: deliveries of one event differ in `ts_ms`, position and file. */
function withoutRepeats(events: readonly CapturedEvent[]): CapturedEvent[] {
  const first = new Map<string, CapturedEvent>();
  for (const event of events) {
    const after = event.text.slice(event.text.indexOf('"after"'));
    const same = `${event.kind} ${event.timeUs} ${after}`;
    if (!first.has(same)) first.set(same, event);
  }
  return [...first.values()];
}
