import { childOf, holdsSecret, isSecret, type SchemaNode } from './schema-node.ts';

const MASK = '***';

/** Key names that are treated as secrets where the schema does not know the key (a misspelt one, for instance). */
const SECRET_NAME = /pass|secret|token|credential|private|apikey/i;

/** Longest text of a value in a message; the rest is cut. */
const MAX_SHOWN = 120;

/**
 * Masks the password of a URL. Works on text that is no valid URL too, because that is when it is printed: everything
 * between the first `:` after `//user` and the last `@` goes.
 */
export function maskUrl(text: string): string {
  return text
    .replace(/:\/\/([^:/@]*):.*@/s, `://$1:${MASK}@`)
    .replace(/([?&](?:[a-z_]*password|[a-z_]*token|[a-z_]*secret)=)[^&]*/gi, `$1${MASK}`);
}

/** A copy of a configuration value in which everything secret is masked: what may be printed or logged. */
export function maskSecrets(value: unknown, node: SchemaNode | undefined): unknown {
  if (value === null || value === undefined) return value;
  if (node !== undefined && isSecret(node)) return MASK;
  if (typeof value === 'string') return maskUrl(value);
  if (Array.isArray(value)) return value.map((entry) => maskSecrets(entry, node && childOf(node, 0)));
  if (typeof value === 'object') {
    return Object.fromEntries(
      Object.entries(value).map(([key, entry]) => {
        const child = node && childOf(node, key);
        return [key, child === undefined && SECRET_NAME.test(key) ? MASK : maskSecrets(entry, child)];
      }),
    );
  }
  return value;
}

/** A value for an error message: short, masked; where a secret may hide in it, only its kind is told. */
export function shownValue(value: unknown, node: SchemaNode | undefined, key?: string): string {
  if (value === undefined) return 'nothing';
  if (value === null) return 'null';
  const secret = node === undefined ? key !== undefined && SECRET_NAME.test(key) : holdsSecret(node);
  if (secret && typeof value !== 'object') return `a ${typeof value} (not shown: it may be secret)`;
  if (value instanceof Date) return value.toISOString();
  const text = JSON.stringify(maskSecrets(value, node));
  return text.length > MAX_SHOWN ? `${text.slice(0, MAX_SHOWN)}…` : text;
}
