/**
 * Loaded before the simulation (`node --import`): changes one line of one source file on its way into the process. Nothing
 * is written to disk. `LOCKSTEP_MUTATION` is the position in the list.
 */
import { readFileSync } from 'node:fs';
import { registerHooks } from 'node:module';
import { MUTATIONS } from './mutation-list.ts';

const mutation = MUTATIONS[Number(process.env['LOCKSTEP_MUTATION'])];
if (mutation === undefined) throw new Error('LOCKSTEP_MUTATION names no mutation');
const url = new URL(`../../${mutation.file}`, import.meta.url);
if (readFileSync(url, 'utf8').split(mutation.find).length !== 2) {
  throw new Error(`"${mutation.name}" does not apply: its text is not there exactly once in ${mutation.file}`);
}

registerHooks({
  load(loaded, context, nextLoad) {
    const result = nextLoad(loaded, context);
    if (loaded !== url.href) return result;
    const source =
      typeof result.source === 'string' ? result.source : Buffer.from(result.source as Uint8Array).toString();
    return { ...result, source: source.replace(mutation.find, () => mutation.replace) };
  },
});
