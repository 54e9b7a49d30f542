import pino from 'pino';
import { createConsumer, createKafkaClient, createKafkajsPort, silentObserver } from '../../src/consume/index.ts';
import { MemoryTarget } from '../../test/support/kafka-memory-target.ts';
import { rowKey } from '../../src/change/change-event.ts';
const logger = pino({ level: process.env.LOG ?? 'warn' });
const kafka = createKafkaClient({ brokers: ['127.0.0.1:29092'], clientId: 'b', logger });
const topic = process.argv[2]!;
const total = Number(process.argv[3]);
const comp = Number(process.argv[4] ?? 0);
const doorMs = Number(process.env.DOOR_MS ?? 0);
const admin = kafka.admin();
await admin.connect();
if (!(await admin.listTopics()).includes(topic)) {
  await admin.createTopics({ topics: [{ topic, numPartitions: 4, replicationFactor: 1 }] });
  const producer = kafka.producer();
  await producer.connect();
  const pad = JSON.stringify({ pad: Array.from({ length: 30 }, (_, i) => `field${i}=value${i * 7919}`) }).slice(0, 950);
  for (let i = 0; i < total; i += 2000)
    await producer.send({
      topic,
      compression: comp,
      acks: 1,
      messages: Array.from({ length: Math.min(2000, total - i) }, (_, j) => ({
        key: `k${i + j}`,
        value: `{"id":${i + j},"x":"${pad.replaceAll('"', "'")}"}`,
      })),
    });
  await producer.disconnect();
}
const target = new MemoryTarget();
target.keepBatches = false;
if (doorMs) target.before = () => new Promise((r) => setTimeout(r, doorMs));
const decoder = {
  decode(record: any) {
    if (!process.env.NOPARSE) JSON.parse(record.value.toString());
    return {
      kind: 'change',
      change: {
        kind: 'write',
        table: 't',
        writeTime: 1n,
        ambiguity: null,
        key: rowKey([record.key.toString()]),
        marker: null,
        cells: [],
      },
    } as const;
  },
};
let peak = 0,
  sizes: number[] = [];
const port = createKafkajsPort({
  kafka,
  groupId: `g${Date.now()}`,
  logger,
  ...(process.env.FETCH ? { fetchBytes: Number(process.env.FETCH) } : {}),
});
const consumer = createConsumer({
  kafka: port,
  door: target,
  store: target,
  topics: new Map([[topic, { table: 't', decoder }]]),
  deadLetters: { put: async () => {}, forget() {}, close: async () => {} },
  breaker: { maxRatio: 0.5, minRecords: 100 },
  observer: {
    ...silentObserver,
    batchApplied: (s, n) => {
      sizes.push(n);
    },
    bytesInFlight: (b) => {
      peak = Math.max(peak, b);
    },
  },
  logger,
  owner: 'me',
});
const stop = new AbortController();
const mx: Record<string, number> = {};
const iv = setInterval(() => {
  const m = process.memoryUsage();
  for (const k of ['rss', 'heapTotal', 'heapUsed', 'external', 'arrayBuffers'] as const)
    mx[k] = Math.max(mx[k] ?? 0, Math.round(m[k] / 1e6));
}, 20);
const running = consumer.run(stop.signal);
let first = 0;
while (target.changes + target.duplicates === 0) await new Promise((r) => setTimeout(r, 2));
first = performance.now();
const c0 = process.cpuUsage();
while (target.changes + target.duplicates < total) await new Promise((r) => setTimeout(r, 2));
const s = (performance.now() - first) / 1000;
const c = process.cpuUsage(c0);
console.log(
  JSON.stringify({
    perSecond: Math.round(total / s),
    s,
    cpu: (c.user + c.system) / 1e6,
    ...mx,
    peakInFlightMB: peak / 1e6,
    batches: sizes.length,
    mean: total / sizes.length,
  }),
);
const t = performance.now();
stop.abort();
await running;
console.log('stop ms', performance.now() - t);
clearInterval(iv);
await port.close();
await admin.disconnect();
