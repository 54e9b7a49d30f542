import { LockstepError } from '../shared/errors.ts';
import type { CqlType, ScalarName, UdtType } from './source-type.ts';

/** Fields of a user-defined type, by its name as the source keeps it (unquoted), or undefined where it is unknown. */
export type UdtLookup = (name: string) => UdtType['fields'] | undefined;

const SCALARS: ReadonlySet<string> = new Set<ScalarName>([
  'ascii',
  'bigint',
  'blob',
  'boolean',
  'counter',
  'date',
  'decimal',
  'double',
  'duration',
  'float',
  'inet',
  'int',
  'smallint',
  'text',
  'time',
  'timestamp',
  'timeuuid',
  'tinyint',
  'uuid',
  'varint',
]);

/** Nesting deeper than any schema has; without a limit a text of brackets would end the stack. */
const MAX_DEPTH = 64;

function refuse(text: string, found: string): LockstepError {
  return new LockstepError(`${JSON.stringify(text)} is no CQL type: ${found}`, {
    code: 'CQL_TYPE_UNKNOWN',
    kind: 'config',
    remedy: 'write the type as DESCRIBE TABLE prints it; user-defined types must be declared',
  });
}

/** Tokens of a type text: names, "quoted names", 'class names', numbers, and the punctuation < > , */
const TOKEN = /\s*(?:([A-Za-z_][\w.]*)|"((?:[^"]|"")+)"|'([^']+)'|(\d+)|([<>,]))/y;

type Token =
  | { readonly kind: 'name' | 'quoted' | 'class' | 'number' | 'mark'; readonly text: string }
  | { readonly kind: 'end'; readonly text: '' };

function tokens(text: string): Token[] {
  const found: Token[] = [];
  const scanner = new RegExp(TOKEN);
  const end = text.trimEnd().length;
  while (scanner.lastIndex < end) {
    const at = scanner.lastIndex;
    const match = scanner.exec(text);
    if (match === null) throw refuse(text, `unexpected ${JSON.stringify(text.slice(at, at + 10))}`);
    const [, name, quoted, className, number, mark] = match;
    if (name !== undefined) found.push({ kind: 'name', text: name });
    else if (quoted !== undefined) found.push({ kind: 'quoted', text: quoted.replaceAll('""', '"') });
    else if (className !== undefined) found.push({ kind: 'class', text: className });
    else if (number !== undefined) found.push({ kind: 'number', text: number });
    else found.push({ kind: 'mark', text: mark ?? '' });
  }
  return found;
}

const END: Token = { kind: 'end', text: '' };

class Parser {
  readonly #text: string;
  readonly #tokens: readonly Token[];
  readonly #udt: UdtLookup;
  #at = 0;
  #depth = 0;

  constructor(text: string, udt: UdtLookup) {
    this.#text = text;
    this.#tokens = tokens(text);
    this.#udt = udt;
  }

  whole(): CqlType {
    const type = this.#type(false);
    const rest = this.#next();
    if (rest.kind !== 'end') throw refuse(this.#text, `unexpected ${JSON.stringify(rest.text)} behind the type`);
    return type;
  }

  #next(): Token {
    return this.#tokens[this.#at++] ?? END;
  }

  #expect(mark: string): void {
    const token = this.#next();
    if (token.kind !== 'mark' || token.text !== mark) {
      throw refuse(this.#text, `expected ${mark}, found ${JSON.stringify(token.text)}`);
    }
  }

  #opens(): boolean {
    const token = this.#tokens[this.#at];
    return token?.kind === 'mark' && token.text === '<';
  }

  /** `frozen`: a frozen<> stands directly around. What lies inside a frozen value is frozen with it. */
  #type(frozen: boolean): CqlType {
    if (++this.#depth > MAX_DEPTH) throw refuse(this.#text, `nested deeper than ${MAX_DEPTH}`);
    const token = this.#next();
    const type = this.#typeOf(token, frozen);
    this.#depth--;
    return type;
  }

  #typeOf(token: Token, frozen: boolean): CqlType {
    if (token.kind === 'class') return { kind: 'custom', name: token.text };
    if (token.kind === 'quoted') return this.#udtType(token.text, frozen);
    if (token.kind !== 'name')
      throw refuse(this.#text, token.kind === 'end' ? 'it ends too early' : `at ${token.text}`);
    const name = token.text.toLowerCase();
    if (this.#opens()) return this.#generic(name, frozen);
    if (name === 'varchar') return { kind: 'scalar', name: 'text' };
    if (SCALARS.has(name)) return { kind: 'scalar', name: name as ScalarName };
    // A type of another keyspace may be named with it; types live in one keyspace with their tables.
    return this.#udtType(name.slice(name.lastIndexOf('.') + 1), frozen);
  }

  #generic(name: string, frozen: boolean): CqlType {
    this.#expect('<');
    const type = this.#body(name, frozen);
    this.#expect('>');
    return type;
  }

  #body(name: string, frozen: boolean): CqlType {
    switch (name) {
      case 'frozen':
        return this.#type(true);
      case 'list':
      case 'set':
        return { kind: name, element: this.#type(frozen), frozen };
      case 'map': {
        const key = this.#type(frozen);
        this.#expect(',');
        return { kind: 'map', key, value: this.#type(frozen), frozen };
      }
      case 'tuple':
        return { kind: 'tuple', elements: this.#list() };
      case 'vector': {
        const element = this.#type(true);
        this.#expect(',');
        const dimensions = this.#next();
        if (dimensions.kind !== 'number') throw refuse(this.#text, 'a vector needs a number of dimensions');
        return { kind: 'vector', element, dimensions: Number(dimensions.text) };
      }
      default:
        throw refuse(this.#text, `${JSON.stringify(name)} takes no parameters`);
    }
  }

  #list(): CqlType[] {
    const elements = [this.#type(true)];
    while (this.#tokens[this.#at]?.text === ',') {
      this.#at++;
      elements.push(this.#type(true));
    }
    return elements;
  }

  #udtType(name: string, frozen: boolean): CqlType {
    const fields = this.#udt(name);
    if (fields === undefined) throw refuse(this.#text, `the type ${JSON.stringify(name)} is not known`);
    return { kind: 'udt', name, fields, frozen };
  }
}

/**
 * Parses the text of `system_schema.columns.type` (`frozen<map<text, int>>`), resolving user-defined types by `udt`.
 * Throws a `config` error on text that is no type or names an unknown one.
 */
export function parseCqlType(text: string, udt: UdtLookup = () => undefined): CqlType {
  return new Parser(text, udt).whole();
}

function quoted(name: string): string {
  return /^[a-z][a-z0-9_]*$/.test(name) ? name : `"${name.replaceAll('"', '""')}"`;
}

function frozenAround(frozen: boolean, inner: string): string {
  return frozen ? `frozen<${inner}>` : inner;
}

/** The type as `system_schema.columns.type` writes it. */
export function printCqlType(type: CqlType): string {
  switch (type.kind) {
    case 'scalar':
      return type.name;
    case 'custom':
      return `'${type.name}'`;
    case 'list':
    case 'set':
      return frozenAround(type.frozen, `${type.kind}<${printCqlType(type.element)}>`);
    case 'map':
      return frozenAround(type.frozen, `map<${printCqlType(type.key)}, ${printCqlType(type.value)}>`);
    case 'tuple':
      // A tuple is always frozen, and Cassandra says so.
      return `frozen<tuple<${type.elements.map(printCqlType).join(', ')}>>`;
    case 'udt':
      return frozenAround(type.frozen, quoted(type.name));
    case 'vector':
      return `vector<${printCqlType(type.element)}, ${type.dimensions}>`;
  }
}
