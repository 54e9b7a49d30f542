/** The losses, one kind after another, each with what a comparison must say of every row that it touched. */
import { readdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { logRanges } from '../../src/demo/kafka/kafka.ts';
import { readRecords } from '../../src/demo/kafka/read-records.ts';
import { nextSegment } from '../../src/demo/losses/commit-log.ts';
import { waitFor } from '../../src/demo/waiting.ts';
import { LOSSY, type LossSite } from './site.ts';

export const LOSS_KINDS = ['range deletes', 'UDT field', 'dead agent', 'deleted records', 'by hand', 'static'] as const;
export type LossKind = (typeof LOSS_KINDS)[number];

/** One row that a fault has made to differ. */
export interface Injected {
  readonly kind: LossKind;
  readonly table: string;
  readonly key: string;
  readonly type: 'MISSING_IN_POSTGRES' | 'MISSING_IN_CASSANDRA' | 'DATA_MISMATCH';
  readonly cause: string;
  readonly columns: readonly string[];
}

const SEEDED_ROWS = 10;
const NEW_ROW = 100;
const LIMIT_MS = 60_000;
/** No further copy of a record is expected after so long without one. */
const NO_COPY_MS = 8_000;

class Injector {
  readonly #site: LossSite;
  readonly #table: string;
  readonly #first: number;
  readonly injected: Injected[] = [];

  /** @param round Every round has partitions of its own. */
  constructor(site: LossSite, round: number) {
    this.#site = site;
    this.#table = `${site.keyspace}.${LOSSY}`;
    this.#first = round * LOSS_KINDS.length;
  }

  partition(kind: LossKind): number {
    return this.#first + LOSS_KINDS.indexOf(kind);
  }

  /** Rows that the faults will hit, arrived in the target. */
  async seed(): Promise<void> {
    const { source, postgres } = this.#site;
    const partitions = LOSS_KINDS.map((kind) => this.partition(kind));
    for (const pk of partitions) {
      for (let ck = 0; ck < SEEDED_ROWS; ck++) {
        await source.execute(`INSERT INTO ${this.#table} (pk, ck, v, n) VALUES (?, ?, ?, ?)`, [pk, ck, `v${ck}`, ck], {
          prepare: true,
        });
      }
    }
    await reached('the seeded rows', async () => {
      const { rowCount } = await postgres.query(`SELECT 1 FROM ${LOSSY} WHERE pk = ANY($1)`, [partitions]);
      return rowCount === partitions.length * SEEDED_ROWS;
    });
  }

  #expect(
    kind: LossKind,
    key: readonly number[],
    type: Injected['type'],
    cause: string,
    columns: readonly string[] = [],
  ): void {
    const table = key.length === 1 ? `${this.#table}#static` : this.#table;
    this.injected.push({ kind, table, key: JSON.stringify(key.map(String)), type, cause, columns });
  }

  /** A new row, a changed one and a deleted one, all of which will be lost. */
  async #ordinary(kind: LossKind): Promise<void> {
    const { source } = this.#site;
    const pk = this.partition(kind);
    await source.execute(`INSERT INTO ${this.#table} (pk, ck, v) VALUES (${pk}, ${NEW_ROW}, 'lost')`);
    await source.execute(`UPDATE ${this.#table} SET v = 'changed' WHERE pk = ${pk} AND ck = 7`);
    await source.execute(`DELETE FROM ${this.#table} WHERE pk = ${pk} AND ck = 8`);
    this.#expect(kind, [pk, NEW_ROW], 'MISSING_IN_POSTGRES', 'missed-insert');
    this.#expect(kind, [pk, 7], 'DATA_MISMATCH', 'missed-update', ['v']);
    this.#expect(kind, [pk, 8], 'MISSING_IN_CASSANDRA', 'missed-delete');
  }

  /** The connector fails on the batch, and skips what is behind it in its segment. */
  async rangeDeletes(): Promise<void> {
    const { source, keyspace } = this.#site;
    const pk = this.partition('range deletes');
    // At two times: at one they would be a single range to Cassandra.
    let timeUs = BigInt(Date.now()) * 1000n;
    const range = (from: number, to: number): string =>
      `DELETE FROM ${this.#table} USING TIMESTAMP ${timeUs++} WHERE pk = ${pk} AND ck >= ${from} AND ck < ${to};`;
    await source.execute(`BEGIN BATCH ${range(0, 2)} ${range(2, 4)} APPLY BATCH`);
    for (let ck = 0; ck < 4; ck++) {
      this.#expect('range deletes', [pk, ck], 'MISSING_IN_CASSANDRA', 'missed-delete');
    }
    await this.#ordinary('range deletes');
    await nextSegment(source, keyspace);
  }

  async udtField(): Promise<void> {
    const { source, keyspace } = this.#site;
    const pk = this.partition('UDT field');
    await source.execute(`UPDATE ${this.#table} SET home.city = 'lost' WHERE pk = ${pk} AND ck = 1`);
    this.#expect('UDT field', [pk, 1], 'DATA_MISMATCH', 'missed-update', ['home']);
    await this.#ordinary('UDT field');
    await nextSegment(source, keyspace);
  }

  /** The agent dies, and with it the segments that it had not read. */
  async deadAgent(): Promise<void> {
    const { stack, source, keyspace } = this.#site;
    await stack.stopPart('agent', 'SIGKILL');
    await this.#ordinary('dead agent');
    await nextSegment(source, keyspace);
    const dir = join(stack.dir, 'cassandra', 'cdc_raw');
    const names = await readdir(dir);
    // Of each a log file and an index. Cassandra writes the last but one, and has the last one ready.
    const segment = (name: string): string => name.replace(/(_cdc\.idx|\.log)$/, '');
    const kept = new Set([...new Set(names.map(segment))].sort().slice(-2));
    for (const name of names) if (!kept.has(segment(name))) await rm(join(dir, name), { force: true });
    await stack.startPart('agent');
  }

  /** Records are gone from Kafka before Lockstep has read them. */
  async deletedRecords(): Promise<void> {
    const { service, source, keyspace, kafka, topic } = this.#site;
    await service.stop();
    const before = await logRanges(kafka, [topic]);
    await this.#ordinary('deleted records');
    const pk = this.partition('deleted records');
    let ends = before;
    const seen = new Set<string>();
    let lastCopyMs = performance.now();
    // A segment that is done is read once more: its records come a second time.
    await nextSegment(source, keyspace);
    await reached('the last copy of the records in their topic', async () => {
      const read = ends;
      ends = await logRanges(kafka, [topic]);
      const unread = ends.map((range) => ({
        ...range,
        start: read.find(({ partition }) => partition === range.partition)?.end ?? range.start,
      }));
      await readRecords(kafka, unread, ({ value }) => {
        const after = (JSON.parse(value?.toString('utf8') ?? '{}') as { after?: Record<string, { value: number }> })
          .after;
        if (after?.['pk']?.value !== pk) return;
        seen.add(String(after['ck']?.value));
        lastCopyMs = performance.now();
      });
      const isWhole = [NEW_ROW, 7, 8].every((ck) => seen.has(String(ck)));
      return isWhole && performance.now() - lastCopyMs >= NO_COPY_MS;
    });
    const admin = kafka.admin();
    await admin.connect();
    // The client learns who leads the partitions.
    await admin.fetchTopicOffsets(topic);
    await admin.deleteTopicRecords({
      topic,
      partitions: ends.map(({ partition, end }) => ({ partition, offset: String(end) })),
    });
    await admin.disconnect();
    await service.start();
    await service.waitUntilReady();
  }

  async byHand(): Promise<void> {
    const { postgres } = this.#site;
    const pk = this.partition('by hand');
    await postgres.query(`UPDATE ${LOSSY} SET v = 'by hand' WHERE pk = ${pk} AND ck = 1`);
    await postgres.query(`DELETE FROM ${LOSSY} WHERE pk = ${pk} AND ck = 2`);
    await postgres.query(`INSERT INTO ${LOSSY} (pk, ck, v) VALUES (${pk}, 200, 'rogue')`);
    this.#expect('by hand', [pk, 1], 'DATA_MISMATCH', 'rogue-update', ['v']);
    this.#expect('by hand', [pk, 2], 'MISSING_IN_POSTGRES', 'missed-insert');
    this.#expect('by hand', [pk, 200], 'MISSING_IN_CASSANDRA', 'rogue-insert');
  }

  async staticWrite(): Promise<void> {
    const pk = this.partition('static');
    await this.#site.source.execute(`UPDATE ${this.#table} SET s = 'static' WHERE pk = ${pk}`);
    this.#expect('static', [pk], 'MISSING_IN_POSTGRES', 'uncaptured');
  }
}

async function reached(what: string, look: () => Promise<boolean>): Promise<void> {
  if (!(await waitFor(look, { limitMs: LIMIT_MS, everyMs: 250 }))) throw new Error(`not reached: ${what}`);
}

/** Injects every kind of loss, beside whatever else is written. */
export async function injectLosses(
  site: LossSite,
  round: number,
  tell: (text: string) => void,
): Promise<readonly Injected[]> {
  const injector = new Injector(site, round);
  await injector.seed();
  const steps: Readonly<Record<LossKind, () => Promise<void>>> = {
    'range deletes': () => injector.rangeDeletes(),
    'UDT field': () => injector.udtField(),
    'dead agent': () => injector.deadAgent(),
    'deleted records': () => injector.deletedRecords(),
    'by hand': () => injector.byHand(),
    static: () => injector.staticWrite(),
  };
  for (const kind of LOSS_KINDS) {
    tell(`injecting: ${kind}`);
    await steps[kind]();
  }
  return injector.injected;
}
