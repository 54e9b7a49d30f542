import { isDeepStrictEqual } from 'node:util';
import { describe, expect, test } from 'vitest';
import {
  capturedRecords,
  recordOf,
  TABLES,
  type FixtureName,
} from '../../../test/fixtures/debezium-cassandra/tables.ts';
import { mutated, seededBelow } from '../../../test/fixtures/debezium-cassandra/mutations.ts';
import type { ChangeEvent } from '../../change/change-event.ts';
import { identify } from '../../change/change-id.ts';
import type { Decoded } from '../record.ts';
import { EnvelopeScanner } from './envelope-scanner.ts';
import { createDebeziumCassandraDecoder, DECODE_CODES } from './index.ts';

/** One seed replays a failure: LOCKSTEP_FUZZ_SEED=… npx vitest run --project unit src/decode */
const SEED = Number(process.env['LOCKSTEP_FUZZ_SEED'] ?? 20261121);
const CASES_PER_TABLE = 4000;
/** About three seconds of work; machines that run the whole suite at once take far longer. */
const TIMEOUT_MS = 180_000;
const NAMES = Object.keys(TABLES) as FixtureName[];

describe.each(NAMES)('mutations of %s', (name) => {
  test(
    `never throw, never a bug, and both readings agree (seed ${SEED}, ${CASES_PER_TABLE} cases)`,
    () => {
      const random = seededBelow(SEED + name.length * 7919);
      const originals = capturedRecords(name);
      const warm = createDebeziumCassandraDecoder(TABLES[name]);
      const byText = new Map<string, ChangeEvent>();
      const outcomes = { change: 0, refused: 0, skipped: 0 };
      for (let index = 0; index < CASES_PER_TABLE; index++) {
        const original = originals[random(originals.length)];
        const [key, value] = [original?.key?.toString('utf8') ?? '', original?.value?.toString('utf8') ?? ''];
        let bytes = mutated(value, random);
        if (random(4) === 0) bytes = mutated(bytes.toString('utf8'), random);
        const record = recordOf(random(10) === 0 ? mutated(key, random) : key, bytes);
        // Keeps the scanner of the warm decoder on the form of the captured events.
        if (original !== undefined) warm.decode(original);
        const result = warm.decode(record);
        outcomes[result.kind]++;
        if (result.kind === 'change' && result.contents !== null) {
          // The fingerprint rests on it: the text decides the change, together with the change's identity and marker.
          const { change, contents } = result;
          const known = byText.get(identify(change, contents).fingerprint);
          if (known === undefined) byText.set(identify(change, contents).fingerprint, change);
          else expect(change).toEqual(known);
        }
        const general = createDebeziumCassandraDecoder(TABLES[name]).decode(record);
        if (!isDeepStrictEqual(essence(result), essence(general))) {
          expect({ index, value: bytes.toString('utf8'), result }).toEqual({
            index,
            value: bytes.toString('utf8'),
            result: general,
          });
        }
        if (result.kind !== 'refused') continue;
        expect(Object.hasOwn(DECODE_CODES, result.refusal.code)).toBe(true);
        if (result.refusal.code === 'DECODER_BUG')
          throw new Error(`case ${index}: ${result.refusal.message}\n${bytes.toString('utf8')}`);
      }
      // Both kinds must occur often, or the mutations test nothing.
      expect(outcomes.refused).toBeGreaterThan(CASES_PER_TABLE / 10);
      expect(outcomes.change).toBeGreaterThan(CASES_PER_TABLE / 50);
    },
    TIMEOUT_MS,
  );
});

/** What both readings must agree on: the whole change, or code and place. A message may show a number rounded. */
function essence(decoded: Decoded): unknown {
  if (decoded.kind === 'change') return decoded.change;
  return decoded.kind === 'refused' ? [decoded.refusal.code, decoded.refusal.path] : decoded;
}

describe('the scanner', () => {
  test.each(NAMES)('reads every captured insert and update of %s once it knows the order of the columns', (name) => {
    let scanned = 0;
    for (const record of capturedRecords(name)) {
      const text = record.value?.toString('utf8') ?? '';
      const envelope = JSON.parse(text) as { readonly op: string; readonly after: object };
      const scanner = new EnvelopeScanner(TABLES[name]);
      expect(scanner.scan(text)).toBeNull();
      scanner.learn(Object.keys(envelope.after));
      const result = scanner.scan(text);
      if (envelope.op === 'i' || envelope.op === 'u') {
        expect(result?.op).toBe(envelope.op);
        expect(result?.names).toEqual(Object.keys(envelope.after));
        scanned++;
      } else expect(result).toBeNull();
    }
    expect(scanned).toBeGreaterThan(0);
  });

  test('garbage without any likeness is refused, whatever its bytes', () => {
    const random = seededBelow(SEED);
    const decoder = createDebeziumCassandraDecoder(TABLES.people);
    for (let index = 0; index < 2000; index++) {
      const bytes = Buffer.from(Array.from({ length: random(60) }, () => random(256)));
      expect(decoder.decode(recordOf('{}', bytes))).toMatchObject({ kind: 'refused' });
    }
  });
});
