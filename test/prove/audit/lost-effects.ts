/** Which effects of a table's history no event tells of. */
import type { TimedEffect } from '../generate/statement.ts';
import type { WrittenStatement } from '../stage/history-log.ts';
import type { TopicLog } from './event-log.ts';

/**
 * Effects are found by their time. A lightweight transaction's was chosen by the server: of those on one row, as many have
 * their event as there are events of times that no other statement has, and the last ones are lost: a capture that stands
 * still delivers nothing more.
 */
export function lostEffects(log: TopicLog, history: readonly WrittenStatement[]): ReadonlySet<TimedEffect> {
  const lost = new Set<TimedEffect>();
  const serverTimed = new Map<string, TimedEffect[]>();
  const known = new Map<string, Set<bigint>>();
  for (const { statement } of history) {
    for (const effect of statement.effects) {
      const place = log.placeOf(effect);
      if (effect.timeUs === null) {
        serverTimed.set(place, [...(serverTimed.get(place) ?? []), effect]);
        continue;
      }
      const times = known.get(place) ?? new Set();
      known.set(place, times.add(effect.timeUs).add(effect.timeUs - 1n));
      if (statement.isProbe !== true && !log.has(effect, statement)) lost.add(effect);
    }
  }
  for (const [place, effects] of serverTimed) {
    const others = known.get(place);
    const captured = [...log.timesAt(place)].filter((timeUs) => others?.has(timeUs) !== true).length;
    for (const effect of effects.slice(captured)) lost.add(effect);
  }
  return lost;
}
