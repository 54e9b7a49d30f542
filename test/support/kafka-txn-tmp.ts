import kafkajs from 'kafkajs';
import { randomUUID } from 'node:crypto';
import pino from 'pino';
import { createKafkaClient } from '../../src/consume/index.ts';
const kafka = createKafkaClient({ brokers: ['127.0.0.1:29092'], clientId: 'x', logger: pino({ level: 'error' }) });
const admin = kafka.admin(); await admin.connect();
const topic = process.argv[2]!;
await admin.createTopics({ topics: [{ topic, numPartitions: 1, replicationFactor: 1 }], waitForLeaders: false });
await new Promise((r) => setTimeout(r, 1000));
const p = kafka.producer({ transactionalId: randomUUID(), idempotent: true, maxInFlightRequests: 1 });
await p.connect();
for (const kind of ['commit', 'abort', 'abort', 'commit'] as const) {
  const t = await p.transaction();
  await t.send({ topic, messages: [{ key: 'k', value: kind, partition: 0 }] });
  await t[kind]();
  if (process.argv[3]) await new Promise((r) => setTimeout(r, Number(process.argv[3])));
}
await p.disconnect(); await admin.disconnect();
