/** Which dead letters: the filters of the command line and of HTTP, in one form. */

export const LETTER_STATUSES = ['pending', 'waiting', 'redriven', 'discarded'] as const;
export type LetterStatus = (typeof LETTER_STATUSES)[number];

/** Offsets [from, to] of one source partition, both included, as people say them. */
export interface SourceOffsets {
  readonly topic: string;
  readonly partition: number;
  readonly from: bigint;
  readonly to: bigint;
}

/** Everything that is given must hold. Times are of the first failure, ms since the epoch, [from, to). */
export interface LetterFilter {
  readonly table?: string;
  readonly reason?: string;
  readonly code?: string;
  readonly status?: LetterStatus;
  readonly fromMs?: number;
  readonly toMs?: number;
  readonly sourceOffsets?: SourceOffsets;
  readonly id?: bigint;
}

/** A filter of what is given; what is undefined is left out. */
export function letterFilter(parts: { readonly [K in keyof LetterFilter]: LetterFilter[K] | undefined }): LetterFilter {
  return Object.fromEntries(Object.entries(parts).filter(([, value]) => value !== undefined));
}

const SOURCE_OFFSETS = /^([a-zA-Z0-9._-]{1,249}):(\d{1,9}):(\d{1,19})-(\d{1,19})$/;

/** Parses `TOPIC:PARTITION:FROM-TO`; null where the text is none, or ends before it begins. */
export function parseSourceOffsets(text: string): SourceOffsets | null {
  const match = SOURCE_OFFSETS.exec(text);
  if (match === null) return null;
  const [, topic = '', partition = '', from = '', to = ''] = match;
  const offsets = { topic, partition: Number(partition), from: BigInt(from), to: BigInt(to) };
  return offsets.from <= offsets.to ? offsets : null;
}

/** The filter as SQL over `_cdc_dead_letters AS d` and `_cdc_tables AS t`, with its values from `$1` on. */
export function letterConditions(filter: LetterFilter): { readonly sql: string; readonly values: readonly unknown[] } {
  const values: unknown[] = [];
  const parts: string[] = [];
  const add = (sql: string, value: unknown): void => {
    values.push(value);
    parts.push(sql.replaceAll('?', `$${values.length}`));
  };
  if (filter.table !== undefined) add('t.source = ?', filter.table);
  // A part of the reason, as people remember it; % and _ mean themselves.
  if (filter.reason !== undefined) add('position(lower(?::text) in lower(d.reason)) > 0', filter.reason);
  if (filter.code !== undefined) add('d.code = ?', filter.code);
  if (filter.status !== undefined) add('d.status = ?', filter.status);
  if (filter.fromMs !== undefined) add('d.first_failed_at >= to_timestamp(?::float8 / 1000)', filter.fromMs);
  if (filter.toMs !== undefined) add('d.first_failed_at < to_timestamp(?::float8 / 1000)', filter.toMs);
  if (filter.id !== undefined) add('d.id = ?', String(filter.id));
  if (filter.sourceOffsets !== undefined) {
    const { topic, partition, from, to } = filter.sourceOffsets;
    add('d.topic = ?', topic);
    add('d.partition = ?', partition);
    add('d."offset" >= ?', String(from));
    add('d."offset" <= ?', String(to));
  }
  return { sql: parts.length === 0 ? 'true' : parts.join(' AND '), values };
}
