/** What is shown of dead letters of tables with sensitive columns: payload, key and reason may all quote a value. */
import type { TableMapping } from '../../catalog/table-mapping.ts';
import { VALUE_PROBLEMS } from '../../catalog/value-problems.ts';
import { DECODE_CODES } from '../../decode/debezium-cassandra/codes.ts';
import type { IndexedLetter, LetterGroup, LetterIndex } from '../../deadletter/letter-index.ts';

/** What stands for a value of a sensitive column. */
export const MASK = '••••••';

const EXPLAINED: Readonly<Record<string, { readonly meaning: string; readonly remedy: string }>> = {
  ...VALUE_PROBLEMS,
  ...DECODE_CODES,
};

/** Codes whose message is PostgreSQL's or a trigger's own and may quote any value: data exceptions, raised exceptions. */
const QUOTING = /^PG_(22|P0)/;

interface TableMask {
  /** Sensitive columns; nothing is masked where there is none. */
  readonly columns: ReadonlySet<string>;
  /** Whether one of them belongs to the key. */
  readonly key: boolean;
}

const NOTHING: TableMask = { columns: new Set(), key: false };

function sensitiveOf(columns: TableMapping['columns']): ReadonlySet<string> {
  return new Set(Object.entries(columns).flatMap(([name, column]) => (column.sensitive ? [name] : [])));
}

/** Columns of a table that the configuration marks as sensitive. */
export function sensitiveColumnsOf(mappings: readonly TableMapping[], table: string | null): ReadonlySet<string> {
  return sensitiveOf(mappings.find(({ source }) => source === table)?.columns ?? {});
}

export class Masking {
  readonly #masks: ReadonlyMap<string, TableMask>;

  private constructor(masks: ReadonlyMap<string, TableMask>) {
    this.#masks = masks;
  }

  /** Everything is shown. */
  static readonly off = new Masking(new Map());

  /** Masks what the configuration marks as sensitive. */
  static async of(mappings: readonly TableMapping[], index: LetterIndex): Promise<Masking> {
    const sensitive = mappings.flatMap(({ source, columns }) => {
      const names = sensitiveOf(columns);
      return names.size === 0 ? [] : [[source, names] as const];
    });
    if (sensitive.length === 0) return Masking.off;
    const regular = await index.regularColumns();
    const masks = sensitive.map(([source, columns]) => {
      const known = regular.get(source) ?? new Set<string>();
      return [source, { columns, key: [...columns].some((name) => !known.has(name)) }] as const;
    });
    return new Masking(new Map(masks));
  }

  of(table: string | null): TableMask {
    return (table === null ? undefined : this.#masks.get(table)) ?? NOTHING;
  }

  letter(letter: IndexedLetter): IndexedLetter {
    const mask = this.of(letter.table);
    if (mask.columns.size === 0) return letter;
    const rowKey = letter.rowKey !== null && mask.key ? MASK : letter.rowKey;
    return { ...letter, rowKey, reason: reasonOf(mask, letter.code, letter.path, letter.reason) };
  }

  group(group: LetterGroup): LetterGroup {
    const mask = this.of(group.table);
    if (mask.columns.size === 0) return group;
    return { ...group, sampleReason: reasonOf(mask, group.code, group.samplePath, group.sampleReason) };
  }

  /** A reason that has no place in the record of its own: of a later attempt. */
  reason(table: string | null, code: string | null, reason: string | null): string | null {
    const mask = this.of(table);
    if (mask.columns.size === 0 || reason === null) return reason;
    return reasonOf(mask, code ?? '', '', reason);
  }
}

/** The reason as it is, or what its code means where it may quote a masked value. */
function reasonOf({ columns, key }: TableMask, code: string, path: string, reason: string): string {
  const explained = EXPLAINED[code];
  const namesOther = path !== '' && !path.split('.').some((part) => columns.has(part)) && !(key && path === 'key');
  if (explained === undefined) return QUOTING.test(code) ? `${MASK} (it may quote a sensitive column)` : reason;
  return namesOther ? reason : `${explained.meaning}: ${MASK}; ${explained.remedy}`;
}
