/**
 * The table that a request means: `keyspace.table`, or the table alone where only one keyspace has it. Null where there is
 * none, or several.
 */
export function tableNamed(names: readonly string[], text: string): string | null {
  if (names.includes(text)) return text;
  const found = names.filter((name) => name.split('.')[1] === text);
  return found.length === 1 ? (found[0] ?? null) : null;
}
