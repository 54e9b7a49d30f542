/**
 * JSON as a tree that loses nothing: numbers stay text (JSON.parse would round them), objects are lists of entries
 * (a map key `__proto__` is a key like any other, and order and duplicates stay visible).
 */
export type JsonValue =
  | { readonly kind: 'string'; readonly text: string }
  /** The number as it is written. */
  | { readonly kind: 'number'; readonly text: string }
  | { readonly kind: 'literal'; readonly text: string }
  | { readonly kind: 'array'; readonly items: readonly JsonValue[] }
  | { readonly kind: 'object'; readonly entries: readonly JsonEntry[] };

export interface JsonEntry {
  readonly key: string;
  readonly value: JsonValue;
}

const SPACE = /[ \t\n\r]*/y;
const STRING = /"(?:[^"\\]|\\.)*"/sy;
const SCALAR = /-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?|true|false|null/y;

/** A cursor over JSON text that is known to be valid: canonical text, PostgreSQL's output, or checked before. */
class Reader {
  readonly #text: string;
  #at = 0;

  constructor(text: string) {
    this.#text = text;
  }

  value(): JsonValue {
    this.#skip(SPACE);
    const first = this.#text[this.#at];
    const value = first === '[' ? this.#array() : first === '{' ? this.#object() : this.#scalar(first);
    this.#skip(SPACE);
    return value;
  }

  #skip(pattern: RegExp): string {
    pattern.lastIndex = this.#at;
    const match = pattern.exec(this.#text);
    if (match === null) throw new SyntaxError(`invalid JSON at character ${this.#at}`);
    this.#at += match[0].length;
    return match[0];
  }

  #string(): string {
    return JSON.parse(this.#skip(STRING)) as string;
  }

  #scalar(first: string | undefined): JsonValue {
    if (first === '"') return { kind: 'string', text: this.#string() };
    const text = this.#skip(SCALAR);
    return { kind: /^[-\d]/.test(text) ? 'number' : 'literal', text };
  }

  /** Calls `element` for each element up to the closing bracket. */
  #elements(close: string, element: () => void): void {
    this.#at += 1;
    this.#skip(SPACE);
    if (this.#text[this.#at] === close) {
      this.#at += 1;
      return;
    }
    for (;;) {
      element();
      const separator = this.#text[this.#at];
      this.#at += 1;
      if (separator === close) return;
      if (separator !== ',') throw new SyntaxError(`invalid JSON at character ${this.#at - 1}`);
    }
  }

  #array(): JsonValue {
    const items: JsonValue[] = [];
    this.#elements(']', () => items.push(this.value()));
    return { kind: 'array', items };
  }

  #object(): JsonValue {
    const entries: JsonEntry[] = [];
    this.#elements('}', () => {
      this.#skip(SPACE);
      const key = this.#string();
      this.#skip(SPACE);
      this.#skip(/:/y);
      entries.push({ key, value: this.value() });
    });
    return { kind: 'object', entries };
  }
}

/** Reads JSON text. Throws SyntaxError on what is no JSON; meant for text that is known to be. */
export function parseJson(text: string): JsonValue {
  return new Reader(text).value();
}

/** Order of two texts by their UTF-8 bytes: that of Cassandra's text and of COLLATE "C". */
export function compareUtf8(left: string, right: string): number {
  return Buffer.compare(Buffer.from(left, 'utf8'), Buffer.from(right, 'utf8'));
}
