/** Values of `${NAME}` and `${NAME:-default}` in text; `$${` writes a literal `${`. */
export type Interpolated =
  | { readonly kind: 'text'; readonly text: string; readonly changed: boolean }
  | { readonly kind: 'missing'; readonly name: string }
  | { readonly kind: 'malformed'; readonly reference: string };

/** Environment variables as Node gives them. */
export type Environment = Readonly<Record<string, string | undefined>>;

const REFERENCE = /\$\$\{|\$\{([^}]*)(\}?)/g;
const INNER = /^([A-Za-z_][A-Za-z0-9_]*)(?::-([^]*))?$/;

/**
 * Replaces references by environment variables. As in a shell, `:-default` also stands in for an empty variable. What is
 * put in is not looked at again, so a password may contain `${`.
 */
export function interpolate(text: string, env: Environment): Interpolated {
  let result = '';
  let last = 0;
  let changed = false;
  for (const match of text.matchAll(REFERENCE)) {
    result += text.slice(last, match.index);
    last = match.index + match[0].length;
    changed = true;
    if (match[0] === '$${') {
      result += '${';
      continue;
    }
    const inner = INNER.exec(match[1] ?? '');
    if (inner === null || match[2] !== '}') return { kind: 'malformed', reference: match[0] };
    const [, name = '', fallback] = inner;
    const value = env[name];
    if (value !== undefined && (value !== '' || fallback === undefined)) result += value;
    else if (fallback !== undefined) result += fallback;
    else return { kind: 'missing', name };
  }
  return { kind: 'text', text: result + text.slice(last), changed };
}

/** Private-use characters that no configuration holds; YAML takes them for plain text everywhere. */
const MARK_OPEN = '\uE000';
const MARK_CLOSE = '\uE001';

/** Text whose references are out of the YAML parser's sight, and the way back. */
export interface ShieldedText {
  readonly text: string;
  /** Puts the references back into any piece of the text. */
  restore(piece: string): string;
}

/**
 * Shields references from the YAML parser. In `{ port: ${PORT} }` the braces would otherwise end the mapping, and
 * replacing them before parsing would let a value with a `:` or `#` in it change the document's structure.
 */
export function shieldReferences(text: string): ShieldedText {
  const references: string[] = [];
  const shielded = text.replace(/\$\$?\{[^}\n]*\}/g, (reference) => {
    references.push(reference);
    return `${MARK_OPEN}${references.length - 1}${MARK_CLOSE}`;
  });
  return {
    text: shielded,
    restore: (piece) =>
      piece.includes(MARK_OPEN)
        ? piece.replace(/\uE000(\d+)\uE001/g, (mark, index) => references[Number(index)] ?? mark)
        : piece,
  };
}
