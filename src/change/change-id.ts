import { hash } from 'node:crypto';
import type { Bound, ChangeEvent, RowWrite } from './change-event.ts';

/** 32 lower-case hex digits; text order = order of the write time (clamped to its millisecond), so windows are ranges. */
export type ChangeId = string;

/** Hash over the whole change (of a delete, its ID). Only equal fingerprints are duplicates that may be skipped. */
export type Fingerprint = string;

/** Rises when the encoding below changes, so that IDs of two encodings never meet by accident. */
const ENCODING_VERSION = '1';

/** Write times are kept in 48 bits of milliseconds; what lies outside is clamped to the ends: one untimed window. */
const MAX_CLAMPED_MS = 2n ** 48n - 1n;
const HASH_HEX_DIGITS = 20;

function clampedMs(writeTimeUs: bigint): string {
  // BigInt division truncates towards zero; every negative time is clamped to 0 anyway.
  const ms = writeTimeUs < 0n ? 0n : writeTimeUs / 1000n;
  return (ms > MAX_CLAMPED_MS ? MAX_CLAMPED_MS : ms).toString(16).padStart(12, '0');
}

function boundText(bound: Bound): string {
  return JSON.stringify([bound.inclusive, ...bound.values]);
}

/**
 * Table, row key or bounds, kind and exact write time: what identifies a change. Not in it: cells, the op letter, ts_ms,
 * file, position and server names, because the same change emitted again after ALTER TABLE lists other columns ⚠.
 */
function identity(change: ChangeEvent): string {
  switch (change.kind) {
    case 'write':
    case 'row-delete':
      return `${ENCODING_VERSION}\n${change.table}\n${change.kind}\n${change.writeTime}\n${change.key.text}`;
    case 'partition-delete':
      return `${ENCODING_VERSION}\n${change.table}\n${change.kind}\n${change.writeTime}\n${change.partition.text}`;
    case 'range-delete':
      return `${ENCODING_VERSION}\n${change.table}\n${change.kind}\n${change.writeTime}\n${change.partition.text}\n${boundText(change.start)}\n${boundText(change.end)}`;
  }
}

/** What a write says beside its identity, injectively. */
function contentsOf(change: RowWrite): string {
  let contents = change.marker === null ? '-' : `${change.marker.writeTime}:${change.marker.expiry ?? ''}`;
  for (const cell of change.cells) {
    if (cell === null) contents += '\n';
    else if (cell.value === null) contents += `\n${cell.writeTime}:${cell.expiry ?? ''}`;
    else contents += `\n${cell.writeTime}:${cell.expiry ?? ''}:${cell.value.length}:${cell.value}`;
  }
  return contents;
}

/**
 * Change ID and fingerprint of one change (DESIGN §2). SHA-256, because windows prove delivery by these IDs.
 *
 * `contents`: text that decides marker and cells together with the change's identity, if the decoder has such a text
 * anyway (the part of the envelope it was read from): writing the cells out again costs more than decoding them. Two
 * readings of one change by different texts get different fingerprints, which is harmless: both are applied.
 */
export function identify(
  change: ChangeEvent,
  contents: string | null = null,
): { readonly id: ChangeId; readonly fingerprint: Fingerprint } {
  const id = clampedMs(change.writeTime) + hash('sha256', identity(change), 'hex').slice(0, HASH_HEX_DIGITS);
  if (change.kind !== 'write') return { id, fingerprint: id };
  // One digest over everything, because tens of thousands are remembered: text put together from parts keeps the parts.
  const whole = `${id}${change.marker === null ? 'u' : 'i'}${contents ?? contentsOf(change)}`;
  return { id, fingerprint: hash('sha256', whole, 'base64') };
}
