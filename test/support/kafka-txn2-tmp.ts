import pino from 'pino';
import { createKafkaClient } from '../../src/consume/index.ts';
import { createRequire } from 'node:module';
const require = createRequire(import.meta.url);
const f = require('kafkajs/src/consumer/filterAbortedMessages');
const B = require('kafkajs/src/consumer/batch');
const kafka = createKafkaClient({ brokers: ['127.0.0.1:29092'], clientId: 'x', logger: pino({ level: 'error' }) });
import { deliverFilteredBatches } from '../../src/consume/kafkajs-batch.ts';
deliverFilteredBatches();
const resp = require('kafkajs/src/protocol/requests/fetch/v11/response');
const orig = resp.decode; resp.decode = async (raw: any) => { const r = await orig(raw); for (const t of r.responses) for (const p of t.partitions) if (p.messages.length) console.log('  aborted', JSON.stringify(p.abortedTransactions), 'lso', p.lastStableOffset, 'err', p.errorCode); return r; };
const c = kafka.consumer({ groupId: 'g' + Math.random(), maxWaitTimeInMs: 100, minBytes: 1 });
await c.connect(); await c.subscribe({ topic: process.argv[2]!, fromBeginning: true });
let F = 0;
await c.run({ autoCommit: false, eachBatch: async ({ batch }: any) => {
  console.log('fetched', batch.fetchedOffset, 'raw', batch.rawMessages.map((m: any) => m.offset + (m.isControlRecord ? 'c' : '')).join(), 'msgs', batch.messages.map((m: any) => m.offset).join(), 'last', batch.lastOffset());
  F += 1; if (F > 7) { setTimeout(() => process.exit(0), 10); return; }
  c.seek({ topic: batch.topic, partition: 0, offset: String(F) });
} });
