/**
 * `node bench/decode.ts [--events 200000]`: µs per event of decoding alone, without Kafka and PostgreSQL. Inserts and
 * sparse updates apart; `identify` (change ID and fingerprint) apart too, because every change needs it.
 */
import { parseArgs } from 'node:util';
import Table from 'cli-table3';
import { identify } from '../src/change/change-id.ts';
import { createDebeziumCassandraDecoder } from '../src/decode/debezium-cassandra/index.ts';
import type { Decoded, SourceRecord } from '../src/decode/record.ts';
import { BENCH_TOPIC, benchTable, cassandraEvent } from './support/events.ts';
import { Workload } from './support/orders.ts';

/** Passes over the records; the fastest counts, because everything that disturbs only adds. */
const PASSES = 7;

const { values } = parseArgs({ options: { events: { type: 'string', default: '200000' } } });
const events = Number(values.events);

const records: SourceRecord[] = [];
for (const change of new Workload({ rows: events / 2, events, seed: 1 }).changes()) {
  const { key, value } = cassandraEvent(change);
  records.push({
    topic: BENCH_TOPIC,
    partition: 0,
    offset: BigInt(records.length),
    timestampMs: 0,
    key: Buffer.from(key),
    value: Buffer.from(value),
    headers: {},
  });
}

function fastest(count: number, pass: () => void): number {
  let best = Infinity;
  for (let i = 0; i < PASSES; i++) {
    const began = performance.now();
    pass();
    best = Math.min(best, performance.now() - began);
  }
  return (best / count) * 1000;
}

const decoder = createDebeziumCassandraDecoder(benchTable());

function decodeAll(subset: readonly SourceRecord[]): Decoded[] {
  return subset.map((record) => decoder.decode(record));
}

const table = new Table({
  head: ['events', 'decode µs', 'identify µs', 'JSON.parse alone µs'],
  style: { head: [], border: [] },
});
const half = Math.floor(records.length / 2);
for (const [name, subset] of [
  ['full inserts', records.slice(0, half)],
  ['sparse updates', records.slice(half)],
] as const) {
  const changes = decodeAll(subset).map((decoded) => {
    if (decoded.kind !== 'change')
      throw new Error(`an event of the benchmark does not decode: ${JSON.stringify(decoded)}`);
    return decoded;
  });
  const decode = fastest(subset.length, () => void decodeAll(subset));
  const identified = fastest(subset.length, () =>
    changes.forEach(({ change, contents }) => void identify(change, contents)),
  );
  const parse = fastest(subset.length, () =>
    subset.forEach((record) => void JSON.parse(record.value?.toString() ?? '')),
  );
  table.push([name, decode.toFixed(2), identified.toFixed(2), parse.toFixed(2)]);
}
console.log(table.toString());
