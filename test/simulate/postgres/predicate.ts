/**
 * The WHERE clauses that the door writes for partition and range deletes (`range-predicate.ts`), read from their SQL and
 * evaluated as PostgreSQL would: comparisons of columns with parameters, AND before OR, parentheses.
 */

type ColumnReader<Row> = (name: string) => (row: Row) => string;
type Predicate<Row> = (row: Row, values: readonly string[]) => boolean;

const TOKEN = /\s*(?:(\(|\))|(AND|OR)\b|(true|false)\b|t\.("(?:[^"]|"")*"|\w+)\s*(<=|>=|=|<|>)\s*\$(\d+)::(\w+))/y;

function compare(type: string, left: string, right: string): number {
  switch (type) {
    case 'integer':
    case 'bigint': {
      const [a, b] = [BigInt(left), BigInt(right)];
      return a < b ? -1 : a > b ? 1 : 0;
    }
    case 'text':
      // COLLATE "C".
      return Buffer.compare(Buffer.from(left), Buffer.from(right));
    case 'uuid':
    case 'bytea':
      // Hex of the same case: byte order; a shorter one that is a prefix comes first.
      return left < right ? -1 : left > right ? 1 : 0;
    default:
      throw new Error(`no order of ${type}`);
  }
}

export function compilePredicate<Row>(sql: string, column: ColumnReader<Row>): Predicate<Row> {
  let at = 0;
  const next = (): RegExpExecArray | null => {
    TOKEN.lastIndex = at;
    return TOKEN.exec(sql);
  };
  const take = (): RegExpExecArray => {
    const token = next();
    if (token === null) throw new Error(`the simulation can't read ${sql.slice(at)}`);
    at += token[0].length;
    return token;
  };
  const primary = (): Predicate<Row> => {
    const [, paren, , literal, quoted, operator, parameter, type] = take();
    if (paren === '(') {
      const inner = either();
      if (take()[1] !== ')') throw new Error(`missing ) in ${sql}`);
      return inner;
    }
    if (literal !== undefined) return () => literal === 'true';
    if (quoted === undefined || type === undefined) throw new Error(`the simulation can't read ${sql}`);
    const read = column(quoted.startsWith('"') ? quoted.slice(1, -1).replaceAll('""', '"') : quoted);
    const position = Number(parameter) - 1;
    return (row, values) => {
      const order = compare(type, read(row), values[position]!.replace(/^\\x/, ''));
      switch (operator) {
        case '=':
          return order === 0;
        case '<':
          return order < 0;
        case '>':
          return order > 0;
        case '<=':
          return order <= 0;
        default:
          return order >= 0;
      }
    };
  };
  const both = (): Predicate<Row> => {
    let left = primary();
    while (next()?.[2] === 'AND') {
      take();
      const [before, right] = [left, primary()];
      left = (row, values) => before(row, values) && right(row, values);
    }
    return left;
  };
  const either = (): Predicate<Row> => {
    let left = both();
    while (next()?.[2] === 'OR') {
      take();
      const [before, right] = [left, both()];
      left = (row, values) => before(row, values) || right(row, values);
    }
    return left;
  };
  const whole = either();
  if (sql.slice(at).trim() !== '') throw new Error(`the simulation can't read ${sql.slice(at)}`);
  return whole;
}
