/** PostgreSQL's array literals of one dimension, read as the server reads them. */
export function parseArray(text: string): (string | null)[] {
  const elements: (string | null)[] = [];
  if (text === '{}') return elements;
  if (!text.includes('"')) {
    return text
      .slice(1, -1)
      .split(',')
      .map((element) => (element === 'NULL' ? null : element));
  }
  let at = 1;
  while (at < text.length) {
    if (text[at] === '"') {
      let element = '';
      for (at += 1; text[at] !== '"'; at += 1) {
        if (text[at] === '\\') at += 1;
        if (at >= text.length) throw new Error(`malformed array literal ${text}`);
        element += text[at] ?? '';
      }
      elements.push(element);
      at += 2;
    } else {
      let end = at;
      while (text[end] !== ',' && text[end] !== '}') end += 1;
      const element = text.slice(at, end);
      elements.push(element === 'NULL' ? null : element);
      at = end + 1;
    }
  }
  return elements;
}

export function parseBigints(text: string | null): (bigint | null)[] {
  return text === null ? [] : parseArray(text).map((element) => (element === null ? null : BigInt(element)));
}

export function printBigints(values: readonly (bigint | null)[]): string {
  return `{${values.map((value) => value ?? 'NULL').join(',')}}`;
}
