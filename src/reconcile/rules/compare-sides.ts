/** One look at a rule: both queries, compared key by key in bounded memory. */
import { setImmediate as breathe } from 'node:timers/promises';
import { LockstepError } from '../../shared/errors.ts';
import { differs, normalised } from './compare-values.ts';
import { KeyStore, type KeyRow, type Side } from './key-store.ts';
import type { AskSide, Mismatch, Rule, RuleColumn, ValueKind } from './rule.ts';

/** Keys that differ and are told of and looked at again; of more it is only known that they differ. */
export const MAX_MISMATCHES = 10_000;
/** Keys compared before others may run: the stream shares the process. */
const BREATHE_EVERY = 1_000;

export interface Sides {
  readonly source: AskSide;
  readonly target: AskSide;
}

export interface Look {
  readonly sourceKeys: number;
  readonly targetKeys: number;
  readonly mismatches: ReadonlyMap<string, Mismatch>;
  /** Keys that differ beyond MAX_MISMATCHES. */
  readonly more: number;
}

const NAMES: Readonly<Record<Side, string>> = { source: 'CQL', target: 'SQL' };

interface Layout {
  readonly kinds: ReadonlyMap<string, ValueKind>;
  readonly keyAt: readonly number[];
  readonly valueAt: readonly number[];
}

function refused(rule: Rule, message: string, remedy: string): LockstepError {
  return new LockstepError(`rule ${rule.name}: ${message}`, { code: 'RULE_COLUMNS', kind: 'usage', remedy });
}

/** @throws {LockstepError} `usage` where the answer lacks a key column, has no other, or has a type that can't be compared. */
function layoutOf(rule: Rule, side: Side, columns: readonly RuleColumn[]): Layout {
  const names = columns.map(({ name }) => name);
  const listed = names.join(', ');
  const twice = names.find((name, at) => names.indexOf(name) < at);
  if (twice !== undefined)
    throw refused(rule, `the ${NAMES[side]} has two columns ${twice}`, 'name each column once, with AS');
  const missing = rule.key.filter((name) => !names.includes(name));
  if (missing.length > 0) {
    throw refused(
      rule,
      `the ${NAMES[side]} has no column ${missing.join(', ')}; it has ${listed}`,
      'select the columns of key, and name them with AS',
    );
  }
  const kinds = new Map<string, ValueKind>();
  for (const { name, kind, type } of columns) {
    if (kind === null)
      throw refused(
        rule,
        `column ${name} of the ${NAMES[side]} is ${type}, which can not be compared`,
        'cast it to a number, a text or a time',
      );
    kinds.set(name, kind);
  }
  const values = names.filter((name) => !rule.key.includes(name)).sort();
  if (values.length === 0)
    throw refused(
      rule,
      `the ${NAMES[side]} has nothing but its key`,
      'select what is to be compared, such as count(*) AS n',
    );
  return {
    kinds,
    keyAt: rule.key.map((name) => names.indexOf(name)),
    valueAt: values.map((name) => names.indexOf(name)),
  };
}

/** Both sides must have the same columns, of the same kinds. */
function assertAlike(rule: Rule, source: Layout, target: Layout): void {
  for (const [name, kind] of source.kinds) {
    const other = target.kinds.get(name);
    if (other === undefined)
      throw refused(
        rule,
        `only the CQL has a column ${name}; the SQL has ${[...target.kinds.keys()].join(', ')}`,
        'name the columns of both alike, with AS',
      );
    if (other !== kind)
      throw refused(rule, `column ${name} is a ${kind} in the CQL and a ${other} in the SQL`, 'cast one of them');
  }
  const extra = [...target.kinds.keys()].find((name) => !source.kinds.has(name));
  if (extra !== undefined)
    throw refused(
      rule,
      `only the SQL has a column ${extra}; the CQL has ${[...source.kinds.keys()].join(', ')}`,
      'name the columns of both alike, with AS',
    );
}

/** Reads one side into the store. */
async function readSide(
  rule: Rule,
  side: Side,
  ask: AskSide,
  store: KeyStore,
  signal: AbortSignal,
): Promise<{ readonly layout: Layout; readonly keys: number }> {
  let layout: Layout | null = null;
  let keys = 0;
  for await (const { columns, rows } of ask(signal)) {
    signal.throwIfAborted();
    const known: Layout = (layout ??= layoutOf(rule, side, columns));
    const text = (row: readonly (string | null)[], at: number): string | null => {
      const { name = '', kind = 'text' } = columns[at] ?? {};
      return normalised(kind ?? 'text', row[at] ?? null, `rule ${rule.name}: ${name} of the ${NAMES[side]}`);
    };
    const entries = rows.map((row): [string, string] => [
      JSON.stringify(known.keyAt.map((at) => text(row, at))),
      JSON.stringify(known.valueAt.map((at) => text(row, at))),
    ]);
    const twice = store.add(side, entries);
    if (twice !== null) {
      throw new LockstepError(`rule ${rule.name}: the ${NAMES[side]} has the key ${twice} more than once`, {
        code: 'RULE_KEY_NOT_UNIQUE',
        kind: 'usage',
        remedy: 'group by the columns of key, or name more of them',
      });
    }
    keys += rows.length;
  }
  if (layout === null)
    throw refused(
      rule,
      `the ${NAMES[side]} gave no answer`,
      'report it: an answer without rows still names its columns',
    );
  return { layout, keys };
}

function mismatchOf(rule: Rule, layout: Layout, names: readonly string[], row: KeyRow): Mismatch | null {
  const values = (text: string | null): (string | null)[] | null =>
    text === null ? null : (JSON.parse(text) as (string | null)[]);
  const named = (list: readonly (string | null)[] | null): Mismatch['source'] =>
    list === null ? null : Object.fromEntries(names.map((name, i) => [name, list[i] ?? null]));
  const [source, target] = [values(row.source), values(row.target)];
  const found = { key: row.key, source: named(source), target: named(target) };
  if (source === null) return { ...found, kind: 'MISSING_IN_CASSANDRA', columns: [] };
  if (target === null) return { ...found, kind: 'MISSING_IN_POSTGRES', columns: [] };
  const columns = names.filter((name, i) =>
    differs(layout.kinds.get(name) ?? 'text', source[i] ?? null, target[i] ?? null, rule.tolerance),
  );
  return columns.length === 0 ? null : { ...found, kind: 'VALUE_MISMATCH', columns };
}

/**
 * Asks the target, then the source: where the source says the same as at the look before, nothing has moved in it before the
 * target was asked.
 *
 * @throws what the sides throw; LockstepError `usage` where the answers can't be compared.
 */
export async function compareSides(rule: Rule, sides: Sides, signal: AbortSignal): Promise<Look> {
  const store = new KeyStore();
  try {
    const target = await readSide(rule, 'target', sides.target, store, signal);
    const source = await readSide(rule, 'source', sides.source, store, signal);
    assertAlike(rule, source.layout, target.layout);
    const names = [...source.layout.kinds.keys()].filter((name) => !rule.key.includes(name)).sort();
    const mismatches = new Map<string, Mismatch>();
    let [compared, more] = [0, 0];
    for (const row of store.rows()) {
      compared += 1;
      if (compared % BREATHE_EVERY === 0) {
        await breathe();
        signal.throwIfAborted();
      }
      const mismatch = mismatchOf(rule, source.layout, names, row);
      if (mismatch === null) continue;
      if (mismatches.size < MAX_MISMATCHES) mismatches.set(mismatch.key, mismatch);
      else more += 1;
    }
    return { sourceKeys: source.keys, targetKeys: target.keys, mismatches, more };
  } finally {
    store.close();
  }
}
