/** What a V8 CPU profile says: functions by the time spent in themselves. */
import { readdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';

/** A regular expression's "name" is its whole source. */
const MAX_NAME_CHARS = 50;

interface CpuProfile {
  readonly nodes: readonly {
    readonly id: number;
    readonly callFrame: { readonly functionName: string; readonly url: string; readonly lineNumber: number };
  }[];
  readonly samples: readonly number[];
  readonly timeDeltas: readonly number[];
}

export interface ProfiledFunction {
  readonly name: string;
  /** `src/decode/…:12`, shortened. */
  readonly place: string;
  readonly selfMs: number;
  /** Of the time in which the process was not idle. */
  readonly share: number;
}

/** The functions of the newest profile in `dir` with most self time; `(idle)` is left out of the shares. */
export function topFunctions(dir: string, limit: number): ProfiledFunction[] {
  const file = readdirSync(dir)
    .filter((name) => name.endsWith('.cpuprofile'))
    .sort((a, b) => statSync(join(dir, b)).mtimeMs - statSync(join(dir, a)).mtimeMs)[0];
  if (file === undefined) throw new Error(`no profile in ${dir}: the service did not end by itself`);
  const profile = JSON.parse(readFileSync(join(dir, file), 'utf8')) as CpuProfile;
  const places = new Map(
    profile.nodes.map(({ id, callFrame: { functionName, url, lineNumber } }) => [
      id,
      { functionName, url, lineNumber },
    ]),
  );
  const selfUs = new Map<string, { name: string; place: string; us: number }>();
  let busyUs = 0;
  profile.samples.forEach((id, i) => {
    const place = places.get(id);
    if (place === undefined || place.functionName === '(idle)') return;
    const us = profile.timeDeltas[i] ?? 0;
    busyUs += us;
    const where =
      place.url === ''
        ? ''
        : `${place.url.replace(/^.*\/(?=(?:dist|src|node_modules)\/)/, '')}:${place.lineNumber + 1}`;
    const key = `${place.functionName} ${where}`;
    const name = place.functionName === '' ? '(anonymous)' : place.functionName.slice(0, MAX_NAME_CHARS);
    const entry = selfUs.get(key) ?? { name, place: where, us: 0 };
    entry.us += us;
    selfUs.set(key, entry);
  });
  return [...selfUs.values()]
    .sort((a, b) => b.us - a.us)
    .slice(0, limit)
    .map(({ name, place, us }) => ({ name, place, selfMs: us / 1000, share: us / busyUs }));
}
