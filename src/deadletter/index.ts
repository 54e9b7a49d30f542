export { coordinatesOf, deadLetterRecord, originalOf } from './dead-letter.ts';
export type { DeadLetter, DeadLetterOrigin, DeadLetterRecord, DeadLetterStage } from './dead-letter.ts';
export { createDlqProducer } from './dlq-producer.ts';
export type { DeadLetterSink, DlqProducerOptions } from './dlq-producer.ts';
export { ensureDlqTopic, requiredDlqMessageBytes } from './dlq-topic.ts';
export type { DlqTopicOptions } from './dlq-topic.ts';
export { hashOfRecord } from './record-hash.ts';
