/** A decoder of its own for consumer tests: `key=value` text; `!` is garbage, `?` is ambiguous, `~` is a hint. */
import { rowKey } from '../../src/change/change-event.ts';
import type { Decoded, Decoder, SourceRecord } from '../../src/decode/record.ts';

export const TEST_TABLE = 'shop.things';

export const plainDecoder: Decoder = {
  decode(record: SourceRecord): Decoded {
    const text = record.value?.toString() ?? null;
    if (text === null) return { kind: 'skipped', reason: 'kafka-tombstone' };
    if (text.startsWith('!'))
      return { kind: 'refused', refusal: { code: 'GARBAGE', message: 'no text', path: 'value' } };
    return {
      kind: 'change',
      contents: null,
      change: {
        kind: 'write',
        table: TEST_TABLE,
        writeTime: 1_700_000_000_000_000n,
        ambiguity: text.startsWith('?') ? 'duration' : null,
        key: rowKey([record.key?.toString() ?? '']),
        marker: null,
        cells: [{ writeTime: 1_700_000_000_000_000n, value: text, expiry: null }],
        ...(text.startsWith('~') ? { hint: { columns: [0], marker: false } } : {}),
      },
    };
  },
};
