/** CQL types as the system tables spell them, parsed for the proof alone. */

/** A type, down to its scalars. Freezing does not change what a value is, so it is not kept. */
export type ProofType =
  | { readonly kind: 'scalar'; readonly name: string }
  | { readonly kind: 'list' | 'set'; readonly element: ProofType }
  | { readonly kind: 'map'; readonly key: ProofType; readonly value: ProofType }
  | { readonly kind: 'tuple'; readonly elements: readonly ProofType[] }
  | { readonly kind: 'udt'; readonly fields: readonly { readonly name: string; readonly type: ProofType }[] };

/** Fields of user-defined types by type name: names and type texts, in order. */
export type UserTypes = ReadonlyMap<string, readonly { readonly name: string; readonly type: string }[]>;

/** Splits `a, map<b, c>` at the commas that stand outside of brackets. */
function parts(text: string): string[] {
  const found: string[] = [];
  let depth = 0;
  let start = 0;
  for (let at = 0; at < text.length; at += 1) {
    const character = text[at];
    if (character === '<') depth += 1;
    else if (character === '>') depth -= 1;
    else if (character === ',' && depth === 0) {
      found.push(text.slice(start, at).trim());
      start = at + 1;
    }
  }
  found.push(text.slice(start).trim());
  return found;
}

/** The type that a text of `system_schema` names. */
export function parseProofType(text: string, userTypes: UserTypes): ProofType {
  const bracket = text.indexOf('<');
  if (bracket < 0) {
    const fields = userTypes.get(text);
    return fields === undefined
      ? { kind: 'scalar', name: text }
      : {
          kind: 'udt',
          fields: fields.map((field) => ({ name: field.name, type: parseProofType(field.type, userTypes) })),
        };
  }
  const outer = text.slice(0, bracket);
  const inner = parts(text.slice(bracket + 1, -1)).map((part) => parseProofType(part, userTypes));
  const [first, second] = inner;
  if (first === undefined) throw new Error(`no type inside ${text}`);
  switch (outer) {
    case 'frozen':
      return first;
    case 'list':
    case 'set':
      return { kind: outer, element: first };
    case 'map':
      if (second === undefined) throw new Error(`a map of one type: ${text}`);
      return { kind: 'map', key: first, value: second };
    case 'tuple':
      return { kind: 'tuple', elements: inner };
    default:
      throw new Error(`the proof does not know the type ${text}`);
  }
}
